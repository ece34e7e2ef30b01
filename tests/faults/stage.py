"""`serbench run` on a tiny corpus, in processes that are started in a moment and can be killed at any.

    with Stage() as stage:
        run = stage.start(folders, plant="nan")      # a Run: alive(), kill(), signal(), end() → Ended
        stage.finish(folders)                        # the same command, undisturbed, to its end

Every run is the command line itself (`bench.cli.main`), in a process group of its own, forked from a server
that has imported torch and the suite and done nothing else; its cohorts are forked in turn. What is left out
is the time of imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRELOAD = [
    "bench.cli",
    "bench.flags",
    "bench.training.grid",
    "bench.report",
    "bench.measuring.profile",
    "plants",
]
LIMIT_S = 240.0  # for any run to end
TINY = (
    *("--no-profile", "--workers", "1", "--seeds", "0"),
    *("--encoder.d-model", "8", "--encoder.num-layers", "1", "--recipe.batch-size", "32"),
)
DEMO = ("demo", "--corpus-options.turns", "100")
CELLS = ("--layouts", "softmax", "retnet", "--recipe.epochs", "3")


@dataclass(frozen=True)
class Places:
    """A run: where it writes, and what it is told beside."""

    results: Path
    cache: Path
    more: tuple[str, ...] = ()
    preset: tuple[str, ...] = DEMO
    report: bool = False  # whether the run ends with its report, which takes longer than all before

    @property
    def words(self) -> list[str]:
        """The command, after `serbench`."""
        folders = ("--results", str(self.results), "--cache", str(self.cache))
        return ["run", *self.preset, *TINY, *CELLS, *folders, *self.more]


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: of a signal), and what it wrote to standard error."""

    code: int
    said: str

    @property
    def last(self) -> str:
        """The last line that it said."""
        return (self.said.strip().splitlines() or [""])[-1]

    @property
    def clean(self) -> bool:
        """Whether it ended by a sentence of the suite's own."""
        return "Traceback" not in self.said and self.last.startswith("serbench: ")


@dataclass
class Run:
    """One run of the command."""

    process: BaseProcess
    log: Path

    def alive(self) -> bool:
        return self.process.is_alive()

    def children(self) -> list[int]:
        """The processes that it has started: its cohorts."""
        named = Path(f"/proc/{self.process.pid}/task")
        with suppress(OSError):
            return [int(pid) for task in named.iterdir() for pid in (task / "children").read_text().split()]
        return []

    def signal(self, number: signal.Signals, everyone: bool = True) -> None:
        """Send a signal to the whole group, as a terminal does, or to the first process alone."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(self.process.pid, number)

    def end(self, limit_s: float = LIMIT_S) -> Ended:
        """Wait for it; AssertionError where it hangs."""
        self.process.join(limit_s)
        said = self.log.read_text(errors="replace")
        if self.process.exitcode is None:
            self.signal(signal.SIGKILL)
            raise AssertionError(f"a run has not ended in {limit_s:g} s: {said[-2000:]}")
        return Ended(self.process.exitcode, said)


@dataclass
class Stage:
    """The server that runs are forked from; leaving it ends those that are left."""

    runs: list[Run] = field(default_factory=list)

    def __enter__(self) -> Stage:
        os.environ["OMP_NUM_THREADS"] = "1"  # before the server imports torch
        if str(HERE) not in sys.path:
            sys.path.insert(0, str(HERE))
        self._logs = tempfile.TemporaryDirectory(prefix="serbench-logs-")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        return self

    def __exit__(self, *error: object) -> None:
        for run in self.runs:
            if run.alive():
                run.signal(signal.SIGKILL)
        self._logs.cleanup()

    def start(self, places: Places, *plants: tuple[str, ...], words: Sequence[str] | None = None) -> Run:
        """Start the command, or `words`, with faults planted: each a function of `plants`, and its arguments.

        It is in a process group of its own when this returns.
        """
        log = Path(self._logs.name) / f"{len(self.runs)}.log"
        ready, theirs = self._context.Pipe(duplex=False)
        every = [("forked_cohorts",), *([] if places.report else [("no_report",)]), *plants]
        arguments = (list(words or places.words), every, str(log), theirs)
        process = self._context.Process(target=_serbench, args=arguments)
        process.start()
        theirs.close()
        ready.recv()
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def finish(self, places: Places, *plants: tuple[str, ...], words: Sequence[str] | None = None) -> Ended:
        """The same, to its end."""
        return self.start(places, *plants, words=words).end()


def _serbench(words: list[str], planted: list[tuple[str, ...]], log: str, ready: object) -> None:
    """The forked process: becomes `serbench WORDS`."""
    import plants

    os.setsid()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, *arguments in planted:
        getattr(plants, name)(*arguments)
    ready.send(True)  # type: ignore[attr-defined]
    from bench import cli

    sys.argv = ["serbench", *words]
    cli.main()


def wait_for(condition, run: Run, limit_s: float = LIMIT_S) -> bool:  # type: ignore[no-untyped-def]
    """Whether `condition()` came true before the run ended."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if not run.alive() or time.monotonic() > deadline:
            return bool(condition())
        time.sleep(0.005)
    return True
