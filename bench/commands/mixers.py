"""`serbench mixers`: the registered token mixers, with their size and cost."""

from __future__ import annotations

from bench.commands import Command


def _mixers(arguments: list[str]) -> int:
    from bench.console import show
    from bench.flags import MixersFlags, parse
    from bench.listing import mixers_table

    flags = parse(MixersFlags, "serbench mixers", arguments)
    show(mixers_table(flags.d_model, flags.num_heads))
    return 0


COMMANDS: dict[str, Command] = {"mixers": _mixers}
