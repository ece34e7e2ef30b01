"""Model cards: what the best checkpoint of each real comparison is, does and must not be used for.

    markdown(accuracy, groups, runs) -> str        # results/MODEL_CARD.md; "" where no real corpus was scored

Best is chosen on development speakers: the system with the highest mean development score, and of its cells
the one with the highest. Test scores have no say in it; those shown are pooled over all cells of that system.
After Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pandas as pd

from bench import corpora
from bench.config import AnyFeatures, Cepstra, Features, content_id
from bench.errors import SuiteError
from bench.evidence.comparison import comparison
from bench.evidence.records import RunRecord
from bench.report import headline, sections, units
from bench.report.comparisons import Key

_INTRODUCTION = """\
# Model cards

Written by `serbench report` from the records in this folder: one card for the best checkpoint of every
comparison on a real corpus. Brackets are 95 % intervals over speakers; a group of few speakers has a wide
one, and none says what happens in another room, language or culture.
"""
_USE = """\
## Use, misuse and limits, of all of these

**Intended use.** Research on speech emotion recognition: comparing token mixers, repeating these results,
studying errors. On recordings like those of the corpus, by people who hear the recordings too.

**Not for.** Any decision about a person: hiring, schooling, credit, policing, border control, insurance,
health, or surveillance of any kind. Inferring emotions at work and in education is forbidden in the European
Union except for medical or safety reasons (Regulation (EU) 2024/1689, article 5); it is as unreliable
elsewhere. Not for recordings whose speakers have not agreed.

**Limits.** A label says how raters heard an utterance or what an actor was asked to show, not what a person
felt. Emotions are more than a few words, and are shown differently by culture, language, age and health.
Scores differ between groups as the tables show, and groups that the corpus does not name (age, accent,
disability) could not be tested. The corpus's licence binds whoever uses a checkpoint trained on it.
"""


def markdown(accuracy: pd.DataFrame, groups: pd.DataFrame, runs: Sequence[RunRecord]) -> str:
    """The cards of all real comparisons as one Markdown document."""
    by_comparison: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.status == "ok" and not run.synthetic:
            by_comparison[content_id(comparison(run))].append(run)
    rows = accuracy[~accuracy["synthetic"] & accuracy["comparable"]]
    rows = rows.assign(shared=[name.partition("-")[0] for name in rows["comparison"]])
    cards = []
    for name, some in rows.groupby("shared", sort=False):
        tested = _tested(some)
        best = _best(by_comparison[str(name)], tested)
        if best is not None:
            cards.append(_card(best, by_comparison[str(name)], tested, groups))
    return "\n".join([_INTRODUCTION, *cards, _USE]) if cards else ""


def _tested(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of test splits; those of dev only where there is nothing else."""
    tests = rows[rows["split"] != "dev"]
    return tests if len(tests) else rows


def _best(runs: Sequence[RunRecord], rows: pd.DataFrame) -> RunRecord | None:
    """The checkpoint of the best system that is comparable on every split, both by development score."""
    splits = rows["split"].nunique()
    seen = rows.groupby(["layout", "direction"])["split"].nunique()
    systems: dict[Key, list[RunRecord]] = {key: [] for key in seen.index[seen == splits]}
    for run in runs:
        key = (run.config.system.layout, run.config.system.direction)
        if key in systems:
            systems[key].append(run)
    if not systems:
        return None
    best = max(systems.values(), key=lambda some: sum(map(_dev, some)) / len(some))
    return max(best, key=lambda run: (_dev(run), run.id))


def _dev(run: RunRecord) -> float:
    """The development score: UAR, or CCC of attributes alone."""
    return run.metrics.get("dev", {}).get("uar" if run.emotions else "ccc", -math.inf)


def _card(best: RunRecord, runs: Sequence[RunRecord], rows: pd.DataFrame, groups: pd.DataFrame) -> str:
    system = (best.config.system.layout, best.config.system.direction)
    own = rows[(rows["layout"] == system[0]) & (rows["direction"] == system[1])]
    cells = [run for run in runs if (run.config.system.layout, run.config.system.direction) == system]
    blocks = [
        f"## {own['name'].iloc[0]}: {sections.title(own.iloc[:1])}",
        _chosen(best, len(rows.drop_duplicates(["layout", "direction"])), own),
        _facts(best),
    ]
    for _, row in own.iterrows():
        blocks += _scores(row, groups, len(cells))
    return "\n\n".join(blocks) + "\n"


def _chosen(best: RunRecord, systems: int, own: pd.DataFrame) -> str:
    fold, seed = best.config.task.fold, best.config.seed
    which = f"Its checkpoint of fold {fold}, seed {seed} (`checkpoints/{best.id}.pt`)"
    if not math.isfinite(_dev(best)):
        return f"{which}; no development score was recorded to choose by."
    score = headline.of(own).said(_dev(best))
    return (
        f"The best of {units.counted(systems, 'system')} on development speakers. {which} is the best of its "
        f"own there: {score}, epoch {best.best_epoch}."
    )


def _facts(run: RunRecord) -> str:
    cell = run.config
    facts = {
        "Task": _task(run),
        "Input": _input(cell.features),
        "Model": f"{cell.encoder.summary}; {_parameters(run)}",
        "Data": _data(run),
        "Licence of the data": "; ".join(_licence(name) for name in corpora.parts(cell.task.corpus)),
        "Trained on": f"{run.environment.device}, {cell.recipe.summary}",
    }
    return "\n".join(["| | |", "| :-- | :-- |", *(f"| {name} | {text} |" for name, text in facts.items())])


def _task(run: RunRecord) -> str:
    emotions = f"which of {units.listing(run.emotions)} an utterance sounds like" if run.emotions else ""
    attributes = f"its {units.listing(run.attributes)}" if run.attributes else ""
    return " and ".join(part for part in (emotions, attributes) if part)


def _input(features: AnyFeatures) -> str:
    rate = f"speech at {features.sample_rate_hz / 1000:g} kHz"
    if isinstance(features, Features):
        return f"{rate}, log-mel of {features.num_mels} bands every {features.hop_ms:g} ms"
    if isinstance(features, Cepstra):
        kinds = f"{features.num_mfcc} MFCCs and {features.num_chroma} chroma"
        return f"{rate}, {kinds} every {features.hop_ms:.0f} ms"
    text = f" and {features.text.name} on the transcript" if features.text else ""
    how = "frozen" if features.tuned == "nothing" else "trained"
    return f"{rate}, hidden states of {features.speech.name}{text}, {how}"


def _parameters(run: RunRecord) -> str:
    return f"{run.parameters.total:,} parameters" if run.parameters else "parameters not recorded"


def _data(run: RunRecord) -> str:
    parts = [f"{count:,} {split}" for split, count in run.utterances.items()]
    sizes = f" ({', '.join(parts)} utterances in this fold)" if parts else ""
    return f"{run.corpus_title}, protocol {run.config.task.protocol}{sizes}"


def _licence(name: str) -> str:
    try:
        corpus = corpora.find(name)
    except SuiteError:
        return f"{name}: not known to this version"
    return f"{corpus.TITLE}: {corpus.LICENCE}"


def _scores(row: pd.Series, groups: pd.DataFrame, cells: int) -> Iterator[str]:
    """The scores on one split: overall and by group, then by emotion or attribute."""
    split = "" if row["split"] == "test" else f" on {row['split'].capitalize()}"
    pooled = f"all {cells} checkpoints of the system" if cells > 1 else "this checkpoint"
    scope = f"{units.counted(row['utterances'], 'utterance')}, {units.counted(row['speakers'], 'speaker')}"
    yield f"Scores{split} of {pooled}, on speakers that they did not hear in training: {scope}."
    if row["emotions"]:
        yield "\n".join(_group_lines(row, groups))
        yield "\n".join(_emotion_lines(row))
    if row["attributes"]:
        lines = [f"| {name} | {_interval(row, f'ccc_{name}', percent=False)} |" for name in row["attributes"]]
        yield "\n".join(["| Attribute | CCC |", "| :-- | --: |", *lines])


def _group_lines(row: pd.Series, groups: pd.DataFrame) -> Iterator[str]:
    yield "| Group | Utterances | Speakers | Emotions | UAR % | WA % |"
    yield "| :-- | --: | --: | --: | --: | --: |"
    present = len(sections.tested_emotions(pd.DataFrame([row])))
    yield _group_line("All", row, present)
    same = ["comparison", "layout", "direction"]
    own = groups[(groups[same] == row[same].to_numpy()).all(axis=1)]
    if (own["kind"] == "corpus").sum() < 2:
        own = own[own["kind"] != "corpus"]
    for _, group in own.iterrows():
        yield _group_line(f"{group['kind'].capitalize()}: {group['group']}", group, group["classes"])


def _group_line(name: str, row: pd.Series, emotions: int) -> str:
    sizes = f"{row['utterances']:,} | {row['speakers']:,} | {emotions}"
    return f"| {name} | {sizes} | {_interval(row, 'uar')} | {_interval(row, 'wa')} |"


def _emotion_lines(row: pd.Series) -> Iterator[str]:
    yield "| Emotion | Utterances | Recall % |"
    yield "| :-- | --: | --: |"
    for emotion in row["emotions"]:
        count = row["support"].get(emotion, 0)
        yield f"| {emotion} | {count:,} | {_interval(row, f'recall_{emotion}')} |"


def _interval(row: pd.Series, name: str, percent: bool = True) -> str:
    written = units.percent if percent else units.concordance
    value, low, high = (written(float(row[f"{name}{end}"])) for end in ("", "_low", "_high"))
    return value if low == units.MISSING else f"{value} [{low}, {high}]"
