"""What `serbench` can be told to do: a file for each group of commands, which `bench.cli` puts together.

    runs.COMMANDS["run"](["demo", "--seeds", "0"])       # 0, or another exit code

A command imports what it needs when it runs, so that `serbench --help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable

Command = Callable[[list[str]], int]  # from the arguments after its name to an exit code
