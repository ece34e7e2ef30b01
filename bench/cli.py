"""The command line: `serbench COMMAND …`. What the commands do is in `bench.commands`.

    serbench run demo
    serbench run open --seeds 0 1 2 --recipe.epochs 60
    serbench report

Bad input ends with one sentence on standard error and exit code 2; Ctrl-C with 130, SIGTERM with 143; output
that nobody reads any more with 141 and no words, as of other Unix tools.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from types import FrameType

from bench.commands import checkpoints, corpora, mixers, models, profiles, reports, results, runs
from bench.errors import SuiteError

COMMANDS = {
    **runs.COMMANDS,
    **profiles.COMMANDS,
    **reports.COMMANDS,
    **results.COMMANDS,
    **mixers.COMMANDS,
    **corpora.COMMANDS,
    **models.COMMANDS,
    **checkpoints.COMMANDS,
}

HELP = """\
usage: serbench COMMAND [options]

Which token mixer should a speech emotion recogniser use? Train every mixer alike, measure it, compare.

  run PRESET           train what has no record yet, profile, and write the report
  run PRESET --launcher slurm  submit what has no record yet as an array of Slurm jobs
  status PRESET        the grid of the latest run: done, running, failed with reason, waiting
  plan PRESET          cost and time on this machine and on many, from a few measured steps
  train                train one system (a mixer layout on one fold)
  profile [NAME]       time and weigh every mixer and encoder on this machine; NAME: quick, full, paper, gpu
  profile ops          time the recurrences alone: frame loops, fla, fused softmax, growth
  profile kernels      compare fla's kernels with the torch ops on this GPU: forward and gradients
  report               leaderboard, model card and figures from the records in results/
  figures [NAME…]      draw figures again, for a page or a paper's column (--venue); --list names them
  results merge DIR    copy the records of another results folder that are not there yet
  results verify       recompute every metric from the stored predictions, check every id
  results scrub        take names of hosts and users and paths out of the records; --check only looks
  mixers               list the registered token mixers
  corpora list         corpora this version reads, and where they come from
  corpora check NAME…  open every file: counts, folds, bad files, duplicates
  corpora prepare NAME…  read the audio and cache its features now
  corpora fetch NAME…  download open corpora from their official addresses into the data folder
  corpora make msp_podcast  write a synthetic MSP-Podcast in the delivered layout, of any size
  models make NAME --kind KIND  write a random encoder in the layout of a pretrained one
  models check NAME…   kind, width, layers, parameters and digest of pretrained encoders
  export CHECKPOINT…   write checkpoints as ONNX files: whole or streaming, float32, float16 or int8
  predict FILE…        emotions (and attributes) of recordings from a checkpoint or an exported file

presets:
  demo                 every mixer on a small synthetic MSP-Podcast; minutes on two cores, needs no data
  open                 every mixer from scratch on RAVDESS and EMO-DB; needs SER_DATA_ROOT
  sizes                every mixer at 50k, 500k and 5M parameters on RAVDESS; needs SER_DATA_ROOT
  recurrent            the LSTM baseline ResLSTM-SA on RAVDESS; needs SER_DATA_ROOT
  paper                the published protocol on MSP-Podcast: frozen encoders, one bare layer, six mixers
  controlled           MSP-Podcast, residual blocks of equal size, both directions, three seeds
  gpu                  no preset: all that is measured on a GPU, ten minutes at a time (--dry-run lists it)
  scheduling           five samplers (which utterances make a batch, which tasks come when) on RAVDESS

examples:
  serbench run demo
  SER_DATA_ROOT=/data serbench run open --tasks ravdess/luna --seeds 0 1 2
  serbench train --layout "mamba2*3 softmax" --task ravdess/luna --fold 0
  serbench run open --tasks ravdess-to-emodb/cross    train on one corpus, test on another
  serbench run open --layouts retnet --recipe.teacher TEACHER.pt…    learn from trained systems, one a fold
  serbench predict clip.wav

`serbench COMMAND --help` shows every setting with its default. Results go to results/ under the
working directory (--results), cached features to ~/.cache/serbench (--cache or SER_CACHE).
"""
UNREAD = 141  # how a shell names a process that wrote to nobody (128 + SIGPIPE)


class Terminated(KeyboardInterrupt):
    """The system asks us to end (SIGTERM): whatever minds a Ctrl-C minds this too."""


def main() -> None:
    """Entry point of the `serbench` script."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        try:
            code = run_command(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        code = UNREAD
    sys.exit(code)


def _unread() -> bool:
    """Whether whoever read standard output has gone, as in `serbench --help | head -1`."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Terminated


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    try:
        name, rest = arguments[0], arguments[1:]
        if name not in COMMANDS:
            raise SuiteError(f"no command {name!r}; there is {', '.join(COMMANDS)} (serbench --help)")
        return COMMANDS[name](rest)
    except SuiteError as error:
        print(f"serbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        ended = isinstance(stopped, Terminated)
        said = "asked to end" if ended else "interrupted"
        print(f"serbench: {said}; the same command continues where this one stopped", file=sys.stderr)
        return 128 + (signal.SIGTERM if ended else signal.SIGINT)


if __name__ == "__main__":
    main()
