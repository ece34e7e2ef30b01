"""`serbench models make` and `check`: pretrained encoders on this machine."""

from __future__ import annotations

from bench.commands import Command
from bench.errors import SuiteError


def _models(arguments: list[str]) -> int:
    verbs: dict[str, Command] = {"make": _models_make, "check": _models_check}
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench models make NAME --kind KIND | check NAME…")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _models_make(arguments: list[str]) -> int:
    from bench.features.made_models import make
    from bench.flags import ModelMakeFlags, parse

    flags = parse(ModelMakeFlags, "serbench models make", arguments)
    make(flags.folder(), flags.kind, flags.size, flags.width, flags.layers, flags.seed)
    print(f"{flags.name}: a {flags.kind} model with random weights in {flags.folder()}")
    return 0


def _models_check(arguments: list[str]) -> int:
    from bench.console import show
    from bench.flags import ModelCheckFlags, parse
    from bench.listing import models_table

    flags = parse(ModelCheckFlags, "serbench models check", arguments)
    if not flags.names:
        raise SuiteError("models check: name folders of the models folder, or models on the hub")
    show(models_table(flags.names, flags.models))
    return 0


COMMANDS: dict[str, Command] = {"models": _models}
