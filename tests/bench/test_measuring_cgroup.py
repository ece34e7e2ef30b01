"""Control groups of both versions, in folders laid out as cgroups(7) says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measuring import cgroup

GB = 1 << 30


def lay_out(root: Path, memberships: str, files: dict[str, str]) -> Path:
    for path, text in {"proc/self/cgroup": memberships, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("memberships", "files", "limit"),
    [
        (
            "0::/a/b\n",
            {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": f"{4 * GB}\n"},
            4,
        ),
        (
            "0::/a/b\n",
            {"sys/fs/cgroup/a/b/memory.max": f"{2 * GB}\n", "sys/fs/cgroup/a/memory.max": f"{4 * GB}"},
            2,
        ),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, None),
        ("4:memory:/job\n0::/\n", {"sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{3 * GB}\n"}, 3),
        ("4:memory:/docker/abc\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{5 * GB}\n"}, 5),
        ("", {}, None),
    ],
    ids=["limit around it", "its own", "no limit", "version 1", "version 1 in a container", "no groups"],
)
def test_memory_limit_is_the_tightest_of_this_group_and_those_around_it(
    tmp_path: Path, memberships: str, files: dict[str, str], limit: int | None
) -> None:
    root = lay_out(tmp_path, memberships, files)
    assert cgroup.memory_limit_bytes(root) == (None if limit is None else limit * GB)


def test_controllers_mounted_together_are_found(tmp_path: Path) -> None:
    stat = "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat"
    root = lay_out(tmp_path, "3:cpu,cpuacct:/job\n", {stat: "nr_periods 10\nnr_throttled 2\n"})
    assert cgroup.files("cpu", "cpu.stat", root) == (root / stat,)
    assert cgroup.throttled((root / stat,)) == 2


def test_files_outside_the_hierarchy_are_never_read(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "0::/a\n", {"sys/fs/memory.max": "1\n", "sys/memory.max": "1\n"})
    assert cgroup.files("memory", "memory.max", root) == ()
