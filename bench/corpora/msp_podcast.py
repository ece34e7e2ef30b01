"""MSP-Podcast: 400 hours of podcasts, each turn rated by five or more (Busso et al. 2025, arXiv 2509.09791).

    manifest = corpora.load("msp_podcast", data_root)
    manifest.protocol("official")            # "official-2.0": the release is part of the name
    manifest.notes, manifest.warnings        # what was left out; where the copy departs from its release

Releases 1.11, 1.12 (the Interspeech 2025 challenge) and 2.0 from the folder as delivered: `Audios`,
`Labels`, `Transcripts`, `Partitions.txt`, `Speaker_ids.txt`, nested twice or not. Eight emotions; turns
labelled O (other) or X (no agreement) are left out and counted, as is Test3, whose labels are not given
out. Option `classes`: 9 makes O a ninth class, 10 makes X a tenth. The attributes stay in their 1 to 7.

Protocols, on the splits of the release (train on Train, choose on Development, score on Test1 and Test2):

- `official`: as published.
- `disjoint`: without the training turns of speakers who are also in a held-out split.

Each name ends in the release (`official-2.0`), or, where the counts fit none, in a hash of the label file
(`official-3fa1b2c4`): results of two releases are never compared, and a cell of one is never taken for done
because the other's is.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from bench.corpora import msp_labels, msp_release
from bench.corpora.manifest import COLUMNS, Manifest, OwnSplits, fingerprint
from bench.corpora.msp_files import with_recordings, with_transcripts
from bench.corpora.msp_labels import CORPUS, Labels
from bench.corpora.msp_release import Identity
from bench.errors import SuiteError

__all__ = ["EMOTIONS", "LICENCE", "NAME", "PROTOCOLS", "TITLE", "load"]

NAME = CORPUS
TITLE = "MSP-Podcast"
LICENCE = "academic or commercial licence, https://www.lab-msp.com/MSP/MSP-Podcast.html"
EMOTIONS = tuple(msp_release.EMOTIONS.values())
ROLES = {"Train": "train", "Development": "dev", "Test1": "test1", "Test2": "test2", "Test3": "test3"}
SYNTHETIC = "SYNTHETIC.json"  # stands in a copy that was made by `bench.corpora.msp_made`


def _protocols(roles: dict[str, str], ending: str = "") -> dict[str, tuple[OwnSplits, ...]]:
    kinds = {"official": False, "disjoint": True}
    return {name + ending: (OwnSplits(roles, disjoint),) for name, disjoint in kinds.items()}


PROTOCOLS = _protocols(ROLES)


def load(root: Path, classes: int = len(EMOTIONS), cache: Path | None = None) -> Manifest:
    """Manifest of the MSP-Podcast copy under `root`; its transcripts are kept in `cache` where that is given.

    Listed as problems: turns whose labels, partition, recording or transcript cannot be used, which are
    left out, and recordings without labels. SuiteError where `root` is no such copy, a table is broken, or
    `classes` is none of 8, 9 and 10.
    """
    emotions = _emotions(classes)
    labels = msp_labels.read(root)
    identity = msp_release.identify(labels.turns, len(labels.unlabelled))
    scored = labels.sound[labels.sound["emotion"].isin(emotions)]
    found, hidden, problems = with_recordings(root, scored, labels)
    found, text_problems = with_transcripts(root, found, cache)
    table = _table(found, emotions)
    splits = table["split"].unique()
    present = {split: role for split, role in ROLES.items() if split in splits}
    made = _made(root)
    own = made or not identity.release
    return Manifest(
        NAME,
        _title(identity, made),
        root,
        tuple(emotions.values()),
        table,
        _protocols(present, f"-{fingerprint(labels.path) if own else identity.release}"),
        synthetic=bool(made),
        problems=(*labels.problems, *problems, *text_problems),
        notes=_notes(labels, emotions, identity, made, table, hidden),
        warnings=(*_departures(identity, made), *labels.warnings, *_shared_speakers(table)),
    )


def _emotions(classes: int) -> dict[str, str]:
    """The classes by their code: the eight emotions and, where asked for, O and X."""
    if not len(EMOTIONS) <= classes <= len(EMOTIONS) + len(msp_release.LEFT_OUT):
        raise SuiteError(f"{NAME}: classes={classes} should be 8, 9 (other too) or 10 (no agreement too)")
    more = {code: name.replace(" ", "_") for code, name in msp_release.LEFT_OUT.items()}
    return dict(list((msp_release.EMOTIONS | more).items())[:classes])


def _made(root: Path) -> str:
    """The release that a synthetic copy is built like; "" for a real one."""
    marker = root / SYNTHETIC
    if not marker.is_file():
        return ""
    try:
        return str(json.loads(marker.read_bytes())["release"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SuiteError(f"{NAME}: {marker} names no release; make the synthetic corpus again") from error


def _table(found: pd.DataFrame, emotions: dict[str, str]) -> pd.DataFrame:
    emotion = found["emotion"].map(emotions)
    table = found.assign(emotion=emotion, duration_s=float("nan"))
    return table[list(COLUMNS)].astype(COLUMNS).sort_values("utterance", ignore_index=True)


def _title(identity: Identity, made: str) -> str:
    if made:
        return f"{TITLE} {made}, synthetic"
    return f"{TITLE} {identity.release}" if identity.release else f"{TITLE} (no known release)"


def _notes(
    labels: Labels, emotions: dict[str, str], identity: Identity, made: str, table: pd.DataFrame, hidden: int
) -> tuple[tuple[str, str], ...]:
    codes = labels.turns["emotion"].value_counts()
    dropped = {code: name for code, name in msp_release.LEFT_OUT.items() if code not in emotions}
    left_out = [f"{code} ({name}) {codes.get(code, 0):,}" for code, name in dropped.items()]
    left_out.append(f"Test3 without labels {max(hidden, len(labels.unlabelled)):,}")
    unknown = table["speaker"][_nameless(table["speaker"])]
    strangers = f"{unknown.nunique():,} podcasts, each counted as one speaker"
    texts = int((table["transcript"] != "").sum())
    each = labels.ratings / max(len(labels.turns), 1)
    return (
        ("release", _likeness(identity, made)),
        ("left out", ", ".join(left_out)),
        ("unknown", f"speaker of {len(unknown):,} turns, in {strangers}"),
        ("texts", f"{texts:,} of {len(table):,} turns have a transcript"),
        ("ratings", f"{labels.ratings:,} in labels_detailed, {each:.1f} a turn"),
    )


def _likeness(identity: Identity, made: str) -> str:
    if made:
        return f"synthetic, built like {made}"
    return identity.release or f"none: the counts are nearest to {identity.nearest}"


def _departures(identity: Identity, made: str) -> list[str]:
    if identity.release or made:
        return []
    return [f"counts differ from release {identity.nearest}: {'; '.join(identity.differences)}"]


def _nameless(speakers: pd.Series[str]) -> pd.Series[bool]:
    return speakers.str.startswith("unknown-")


def _shared_speakers(table: pd.DataFrame) -> list[str]:
    """What training shares with other splits: speakers with their turns, podcasts of strangers counted."""
    turns = pd.crosstab(table["speaker"], table["split"])
    chosen = turns.reindex(columns=["Train", "Development"], fill_value=0).gt(0).any(axis=1)
    shared = turns[chosen & turns.gt(0).sum(axis=1).gt(1)]
    nameless = _nameless(shared.index.to_series())
    named = [
        f"{speaker} ({', '.join(f'{split} {count:,}' for split, count in row.items() if count)})"
        for speaker, row in shared[~nameless].iterrows()
    ]
    said = "of Train or Development in another split too; protocol disjoint does not train on them"
    found = [f"{len(named):,} speakers {said}: {', '.join(named)}"] if named else []
    strangers = int(nameless.sum())
    return [*found, *([f"{strangers:,} podcasts with unknown speakers {said}"] if strangers else [])]
