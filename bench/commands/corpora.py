"""`serbench corpora list`, `check`, `prepare`, `fetch` and `make`: recordings, before anything is trained."""

from __future__ import annotations

from bench.commands import Command
from bench.errors import SuiteError


def _corpora(arguments: list[str]) -> int:
    verbs: dict[str, Command] = {
        "list": _corpora_list,
        "check": _corpora_check,
        "prepare": _corpora_prepare,
        "fetch": _corpora_fetch,
        "make": _corpora_make,
    }
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench corpora list | check NAME… | prepare NAME… | fetch NAME… | make msp_podcast")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _corpora_list(arguments: list[str]) -> int:
    from bench.console import show
    from bench.listing import corpora_table

    show(corpora_table())
    return 0


def _corpora_check(arguments: list[str]) -> int:
    from bench import corpora
    from bench.features.inspection import inspect, report_lines
    from bench.flags import CorporaFlags, parse

    flags = parse(CorporaFlags, "serbench corpora check", arguments)
    folders, bad = flags.places.folders(), False
    for name in flags.names or corpora.installed(folders.data_root):
        manifest = corpora.load(name, folders.data_root, cache=folders.cache)
        inspection = inspect(manifest)
        print("\n".join(report_lines(manifest, inspection)))
        bad = bad or bool(inspection.problems or manifest.problems)
    return 2 if bad else 0


def _corpora_prepare(arguments: list[str]) -> int:
    from bench import corpora
    from bench.features import cache
    from bench.flags import CorporaFlags, parse

    flags = parse(CorporaFlags, "serbench corpora prepare", arguments)
    folders = flags.places.folders()
    for name in flags.names or corpora.installed(folders.data_root):
        manifest = corpora.load(name, folders.data_root, cache=folders.cache)
        store = cache.prepare(manifest, flags.features, folders.cache, skip_bad=folders.skip_bad)
        print(f"{name}: features of {len(store):,} utterances ready, {len(store.skipped)} files left out")
    return 0


def _corpora_fetch(arguments: list[str]) -> int:
    from bench import corpora
    from bench.corpora.fetch import fetch
    from bench.flags import FetchFlags, parse

    flags = parse(FetchFlags, "serbench corpora fetch", arguments)
    if not flags.names:
        raise SuiteError(f"corpora fetch: name what to download, of {', '.join(corpora.downloadable())}")
    sources = {name: corpora.source(name) for name in flags.names}
    for name, source in sources.items():
        receipt = fetch(name, source, flags.folder())
        print(f"{name}: {receipt.sentence}")
        manifest = corpora.load(name, flags.folder())
        print(
            f"{name}: {len(manifest):,} utterances in {manifest.root}; licence: {corpora.find(name).LICENCE}"
        )
    return 0


def _corpora_make(arguments: list[str]) -> int:
    from bench.corpora.msp_made import make
    from bench.flags import MakeFlags, parse

    flags = parse(MakeFlags, "serbench corpora make", arguments)
    make(flags.out, flags.release, flags.turns, flags.seed, flags.audio)
    print(f"{flags.name}: {flags.turns:,} synthetic turns like release {flags.release} in {flags.out}")
    return 0


COMMANDS: dict[str, Command] = {"corpora": _corpora}
