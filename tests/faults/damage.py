"""Bytes that are not what was written: in the cache, in a training checkpoint; and recordings that vanish."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ledger import Ledger, Row
from stage import Places, Stage


def flip(path: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """The second half is gone."""
    os.truncate(path, path.stat().st_size // 2)


def flipped_cache(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """One bit of the features, and of their index, before a run; the features are those of before."""
    row = Row("bit flipped in the cache of features", "makes them again")
    for name in ("frames.npy", "index.parquet"):
        (file,) = cache.glob(f"features/*/{name}")
        whole = file.read_bytes()
        flip(file)
        places = Places(folder / name / "results", cache)
        row.tried += 1
        row.expect(stage.finish(places).code == 0, f"{name}: the run fails")
        row.expect(file.read_bytes() == whole, f"{name} is not as it was")
        row.check(ledger, places.results, cache / "features")
    return row


def damaged_checkpoint(
    stage: Stage,
    folder: Path,
    cache: Path,
    ledger: Ledger,
    damages: tuple[Callable[[Path], None], ...] = (cut, flip),
) -> Row:
    """A run is killed after its second epoch, and its last checkpoint damaged; the one before is used."""
    row = Row(
        "training checkpoint cut short, or a bit of it flipped", "says so, and goes on from the one before"
    )
    for damage in damages:
        places = Places(folder / damage.__name__ / "results", cache)
        stage.finish(places, ("dies_writing", "*/checkpoints/*.pt", "before"))
        (last,) = places.results.glob("checkpoints/*/last.ckpt")
        damage(last)
        ended = stage.finish(places)
        row.tried += 1
        row.expect(ended.code == 0, f"{damage.__name__}: {ended.said[-500:]}")
        row.expect(f"{last} is damaged" in ended.said, f"{damage.__name__}: not told")
        row.check(ledger, places.results)
    return row


def vanished_recording(stage: Stage, folder: Path) -> Row:
    """A recording is gone after the first epoch of training on what an encoder hears, and comes back."""
    row = Row("recording gone amid an epoch", "ends with its name, exit code 2; goes on when it is back")
    models = str(folder / "models")
    folder.mkdir()
    made = Places(folder / "made", folder / "cache")
    stage.finish(
        made, words=["models", "make", "tiny", "--kind", "wavlm", "--width", "32", "--models", models]
    )
    preset = ("controlled", "--tasks", "msp_made/official", "--directions", "bidirectional")
    preset += ("--corpus-options", "turns", "100", "--features.speech.name", "tiny")
    more = ("--models", models, "--feature-plan", "fly")
    whole = Places(folder / "whole", folder / "cache", more, preset)
    row.expect((ended := stage.finish(whole)).code == 0, f"undisturbed: {ended.said[-500:]}")
    places = Places(folder / "results", folder / "cache", more, preset)
    recording = _trained(whole.cache)
    content, when = recording.read_bytes(), recording.stat()
    ended = stage.finish(places, ("vanishes", str(recording), "1"))
    row.tried += 1
    row.expect(ended.code == 2 and ended.clean, f"{ended.code}: {ended.said[-500:]}")
    row.expect(f"{recording.name}: missing" in ended.last, ended.last)
    recording.write_bytes(content)
    os.utime(recording, ns=(when.st_atime_ns, when.st_mtime_ns))
    row.expect((ended := stage.finish(places)).code == 0, f"it is back: {ended.said[-500:]}")
    row.check(Ledger.of(whole.results), places.results)
    return row


def _trained(cache: Path) -> Path:
    """A recording of the training split of the made corpus."""
    from bench import corpora

    manifest = corpora.load("msp_made", None, {"turns": 100}, cache)
    split = manifest.assign("official", 0)
    name = split[split == "train"].index[0]
    return Path(manifest.root / manifest.table.set_index("utterance").loc[name, "path"])
