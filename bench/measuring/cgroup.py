"""The control groups that this process is in: where a container's bounds stand, on Linux.

    files("memory", "memory.max")       # of this group and of those around it
    memory_limit_bytes()                # the tightest of them; None where there is none

Both versions of the interface (cgroups(7)). A group is bound by every group around it, so all of
them are read; in a container the outermost that can be seen is the container's own.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")


def files(controller: str, name: str, root: Path = ROOT) -> tuple[Path, ...]:
    """The files called `name` of this process's groups under `controller`, innermost first."""
    found = []
    for base, path in _memberships(controller, root):
        inner = base / path.lstrip("/")
        folders = (inner, *inner.parents)
        found += [folder / name for folder in folders[: len(inner.relative_to(base).parts) + 1]]
    return tuple(dict.fromkeys(file for file in found if file.is_file()))


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The tightest bound on this process's memory that a group sets; None where none does.

    Version 1 writes a bound beyond all memory for none; take the smaller of this and the machine's memory.
    """
    several = files("memory", "memory.max", root) + files("memory", "memory.limit_in_bytes", root)
    limits = [int(text) for file in several if (text := read(file).strip()).isdigit()]
    return min(limits, default=None)


def throttled(stats: tuple[Path, ...]) -> int:
    """How often groups have run out of their share of the processors: `nr_throttled` of these `cpu.stat`."""
    lines = [line.split() for file in stats for line in read(file).splitlines()]
    return sum(int(line[1]) for line in lines if line[:1] == ["nr_throttled"])


def read(file: Path) -> str:
    """A small file of the system; "" where it is missing or may not be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _memberships(controller: str, root: Path) -> list[tuple[Path, str]]:
    """Where the hierarchies that hold this controller are mounted, and this process's path in each."""
    mounts = root / "sys" / "fs" / "cgroup"
    found = []
    for line in read(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [(mounts, path), (mounts / "unified", path)]
        elif controller in controllers.split(","):
            found += [(mounts / controllers, path), (mounts / controller, path)]
    return found
