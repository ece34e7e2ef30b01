"""`serbench results merge`, `verify` and `scrub`: what is done to a folder of records."""

from __future__ import annotations

from bench.commands import Command
from bench.errors import SuiteError


def _results(arguments: list[str]) -> int:
    verbs: dict[str, Command] = {
        "merge": _results_merge,
        "verify": _results_verify,
        "scrub": _results_scrub,
    }
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench results merge DIR | verify | scrub")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _results_merge(arguments: list[str]) -> int:
    from bench.errors import UnusableFiles
    from bench.evidence.merging import merge
    from bench.evidence.store import Store
    from bench.flags import MergeFlags, parse

    flags = parse(MergeFlags, "serbench results merge", arguments)
    merged = merge(Store(flags.source), Store(flags.results))
    print(f"{flags.results}: {merged.copied} records copied, {merged.same} there already")
    if merged.conflicts:
        what = f"results merge: {len(merged.conflicts)} files differ from those in {flags.results}"
        raise UnusableFiles(what, merged.conflicts, "None of these was copied; keep one of each by hand.")
    return 0


def _results_verify(arguments: list[str]) -> int:
    from bench.errors import UnusableFiles
    from bench.evidence.store import KINDS, Store
    from bench.evidence.verification import faults
    from bench.flags import VerifyFlags, parse

    store = Store(parse(VerifyFlags, "serbench results verify", arguments).results)
    count, found = sum(len(store.paths(kind)) for kind in KINDS), faults(store)
    if found:
        what = f"results verify: {len(found)} faults in {store.root}"
        raise UnusableFiles(what, found, "Restore these files, or delete the records to redo them.")
    if not count:
        raise SuiteError(f"{store.root}: no records to verify; name a results folder with --results")
    print(f"{store.root}: {count} records hold: ids, metrics and predictions agree")
    return 0


def _results_scrub(arguments: list[str]) -> int:
    from bench.errors import Problem, UnusableFiles
    from bench.evidence.scrubbing import scrub
    from bench.evidence.store import Store
    from bench.flags import ScrubFlags, parse

    flags = parse(ScrubFlags, "serbench results scrub", arguments)
    scrubbed = scrub(Store(flags.results), write=not flags.check)
    left = [Problem(path, "names a machine or a path") for path in scrubbed.changed if flags.check]
    if left or scrubbed.faults:
        what = f"results scrub: {len(left) + len(scrubbed.faults)} files of {flags.results} are not private"
        mend = "Scrub them; a path that is part of an id goes only with its record: train under another name."
        raise UnusableFiles(what, [*left, *scrubbed.faults], mend)
    done = "files written anew" if scrubbed.changed else "files name no machine and no path outside a corpus"
    print(f"{flags.results}: {len(scrubbed.changed) or 'all'} {done}")
    return 0


COMMANDS: dict[str, Command] = {"results": _results}
