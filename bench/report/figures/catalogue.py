"""Every figure by name: what each kind shows, and which ones the records at hand allow.

    material = Material(accuracy, every_profile(store), store.ops(), details, reported)
    for entry in entries(material):                    # "latency", "pareto", "pareto-nvidia-h200", …
        entry.name, KINDS[entry.kind].shows, entry.subject
        save(entry.draw(SCREEN), folder / entry.name)

One latency and one memory figure a machine, and again of every other regime profiled there (training,
streams, …), one figure of each kind of accuracy a comparison, one figure an op benchmark. The machine with
most profiles and the comparison with most cells get the plain names, the others a suffix. Synthetic corpora
are drawn only where there is no real one, and say so.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.config import STREAMS
from bench.errors import SuiteError
from bench.evidence.records import OpRecord
from bench.evidence.reported import Reported
from bench.report import findings, sections, style
from bench.report.details import Details
from bench.report.figures.confusion import confusion, matrices
from bench.report.figures.curves import curves
from bench.report.figures.directions import directions, dumbbells
from bench.report.figures.figure2 import as_published, figure2
from bench.report.figures.forest import differing, forest
from bench.report.figures.lengths import binned, lengths
from bench.report.figures.lines import measured
from bench.report.figures.ops import ops
from bench.report.figures.pareto import pareto, pareto_points
from bench.report.figures.recall import recall
from bench.report.figures.sizes import sizes
from bench.report.op_readings import curve
from bench.report.sheets import SCREEN, Sheet, nearest
from bench.report.sizes import FILES, TRACK, machine_name
from bench.report.style import Look, Picture, Provenance
from bench.report.tables import BASELINE, plain


@dataclass(frozen=True)
class Kind:
    """One kind of figure: what it shows, and the records that it takes."""

    shows: str
    needs: str


_RUNS, _PROFILES = "runs that tell emotions apart", "profiles of one system at one length or more"
_BOTH = "runs, and profiles of their encoders at 10 s"
KINDS = {
    "latency": Kind("time against length: mixer layer, encoder, model", _PROFILES),
    "memory": Kind("peak memory against length, or the state that a stream keeps", _PROFILES),
    "forest": Kind("differences to the baseline with their intervals", "runs of the baseline and of another"),
    "pareto": Kind("accuracy against time, with the Pareto front", _BOTH),
    "pareto_memory": Kind("accuracy against memory, with the Pareto front", _BOTH),
    "sizes": Kind(
        "accuracy of exported files against size and time, from the smallest model to the largest",
        "files that `serbench export --check own` has checked on every fold",
    ),
    "recall": Kind("recall of every emotion by every system", _RUNS),
    "confusion": Kind("which emotion was taken for which, by the best system and the baseline", _RUNS),
    "lengths": Kind("accuracy against the length of the utterance", "runs on utterances of unequal lengths"),
    "directions": Kind("causal against bidirectional", "runs of one layout in both directions"),
    "figure2": Kind(
        "the published efficiency figure with fused softmax", "what `serbench profile paper` measures"
    ),
    "ops": Kind("time of the recurrences alone", "what `serbench profile ops` measures"),
}


@dataclass(frozen=True)
class Material:
    """All that figures are drawn from; every part may be empty.

    `costs`: `tables.every_profile`; `files`: `bench.report.sizes.size_table`.
    """

    accuracy: pd.DataFrame = field(default_factory=pd.DataFrame)
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    ops: Sequence[OpRecord] = ()
    details: Details = field(default_factory=Details)
    files: pd.DataFrame = field(default_factory=pd.DataFrame)
    reported: Sequence[Reported] = ()
    baseline: str = BASELINE


@dataclass(frozen=True)
class Entry:
    """One figure that the records allow: `data` is the SHA-256 of the table that it is drawn from."""

    name: str
    kind: str
    subject: str
    data: str
    baseline: str
    picture: Callable[[Sheet], Picture]

    def draw(self, sheet: Sheet = SCREEN) -> Picture:
        """The figure, with its provenance."""
        picture = self.picture(sheet)
        picture.provenance = Provenance(self.data, self._command(sheet))
        return picture

    def _command(self, sheet: Sheet) -> str:
        parts = ["serbench figures", self.name]
        parts += [f"--venue {sheet.venue}"] if sheet.venue else []
        parts += [f"--baseline {shlex.quote(self.baseline)}"] if self.baseline != BASELINE else []
        return " ".join(parts)


Draft = tuple[str, str, str, str, Callable[[Sheet], Picture]]  # name, kind, subject, data, how to draw it


def entries(material: Material) -> list[Entry]:
    """Every figure that the material allows, in the order of a report."""
    profiles = plain(material.costs)
    tables = (material.accuracy, material.costs, material.files)
    looks = style.assign(name for table in tables for names in table.get("mixers", ()) for name in names)
    drafts = [
        *_cost_drafts(profiles, looks),
        *_accuracy_drafts(material, profiles, looks),
        *_size_drafts(material.files, looks),
        *_regime_drafts(material.costs, looks),
        *_study_drafts(profiles, looks, material.reported),
        *_op_drafts(material.ops),
    ]
    return [
        Entry(name, kind, subject, data, material.baseline, picture)
        for name, kind, subject, data, picture in drafts
    ]


def chosen(found: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """The entries of these names, all where none is given; SuiteError for one that is none of them."""
    by_name = {entry.name: entry for entry in found}
    for name in names:
        if name in by_name:
            continue
        if name in KINDS:
            raise SuiteError(f"figures: these records allow no {name!r}, which needs {KINDS[name].needs}")
        raise SuiteError(
            f"figures: no figure {name!r}; {nearest(name, {**by_name, **KINDS})} (`serbench figures --list`)"
        )
    return [by_name[name] for name in dict.fromkeys(names)] if names else list(found)


def overview(found: Sequence[Entry]) -> str:
    """Every kind with what it shows; below it the figures that there are, or the records that it takes."""
    lines = []
    for kind, about in KINDS.items():
        lines.append(f"{kind:14}  {about.shows}")
        ours = [f"{entry.name}: {entry.subject}" for entry in found if entry.kind == kind]
        lines += [f"{'':14}    {text}" for text in ours or [f"none here; needs {about.needs}"]]
    return "\n".join(lines)


def digest(*tables: pd.DataFrame) -> str:
    """SHA-256 of the values of tables in ten decimals, columns and order included."""
    return _hash(
        "\n".join(table.to_json(orient="split", index=False, double_precision=10) for table in tables)
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _cost_drafts(profiles: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[Draft]:
    if profiles.empty:
        return
    machines = most_rows_first(profiles, ["hardware", "network"])
    for suffix, rows in zip(suffixes([rows["device"].iloc[0] for rows in machines]), machines, strict=True):
        yield from _curve_drafts(suffix, rows, looks)


def _regime_drafts(costs: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[Draft]:
    """What is not plain, named by regime. A regime measured at one length alone is no curve."""
    if costs.empty:
        return
    groups = most_rows_first(costs[costs["regime"] != ""], ["hardware", "network", "regime"])
    found = [rows for rows in groups if rows["seconds"].nunique() > 1]
    titles = ["", *(f"{rows['regime'].iloc[0]} {rows['device'].iloc[0]}" for rows in found)]
    for suffix, rows in zip(suffixes(titles)[1:], found, strict=True):
        yield from _curve_drafts(suffix, rows, looks)


def _curve_drafts(suffix: str, rows: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[Draft]:
    first = rows.iloc[0]
    memory = findings.STATE if first["work"] in STREAMS else findings.MEMORY
    for kind, quantity in {"latency": findings.LATENCY, "memory": memory}.items():
        if len(measured(rows, quantity)):
            subject = ", ".join(filter(None, [first["hardware"], first["setting"], first["regime"]]))
            yield kind + suffix, kind, subject, digest(rows), _on_sheet(curves, rows, quantity, looks)


def _accuracy_drafts(
    material: Material, profiles: pd.DataFrame, looks: Mapping[str, Look]
) -> Iterator[Draft]:
    compared = shown_comparisons(material.accuracy)
    for suffix, rows in zip(suffixes([_place(rows.iloc[0]) for rows in compared]), compared, strict=True):
        first = rows.iloc[0]
        subject = f"{first['corpus_title']}, {_place(first).partition(' ')[2]}; {first['setting']}"
        for kind, table, picture in _score_pictures(rows, material.details, looks):
            if len(table):
                yield kind + suffix, kind, subject, digest(table, rows), picture
        yield from _trade_drafts(suffix, subject, rows, profiles, looks)


def _score_pictures(
    rows: pd.DataFrame, details: Details, looks: Mapping[str, Look]
) -> Iterator[tuple[str, pd.DataFrame, Callable[[Sheet], Picture]]]:
    """Kind, table (maybe empty) and how to draw it, of one comparison."""
    differences = differing(rows)
    yield "forest", differences, _on_sheet(forest, differences, looks)
    systems = rows[rows["comparable"]]
    told = systems if len(systems) and sections.tested_emotions(systems) else systems.iloc[:0]
    yield "recall", told, _on_sheet(recall, told)
    cells = matrices(rows, details.confusions)
    yield "confusion", cells, _on_sheet(confusion, cells, rows)
    bins = binned(rows, details.lengths)
    yield "lengths", bins, _on_sheet(lengths, bins, rows, looks)
    pairs = dumbbells(rows, details.directions)
    yield "directions", pairs, _on_sheet(directions, pairs, rows, looks)


def _trade_drafts(
    suffix: str, subject: str, rows: pd.DataFrame, profiles: pd.DataFrame, looks: Mapping[str, Look]
) -> Iterator[Draft]:
    hardware = sections.hardware_of(rows, profiles)
    for device, machine in zip(suffixes(hardware), hardware, strict=True):
        for kind, quantity in {"pareto": findings.LATENCY, "pareto_memory": findings.MEMORY}.items():
            points = pareto_points(rows, profiles, machine, quantity)
            if len(points):
                picture = _on_sheet(pareto, points, machine, looks, quantity)
                yield kind + suffix + device, kind, f"{subject}; {machine}", digest(points), picture


def _size_drafts(files: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[Draft]:
    """A figure a corpus, machine and kind of file: what most systems have first, then the smaller files."""
    if files.empty:
        return
    drawn = files[files["comparable"] & ~files["synthetic"]]
    drawn = drawn if len(drawn) else files[files["comparable"]]
    places = {kind: place for place, kind in enumerate(reversed(FILES))}
    smallest_first = drawn.sort_values("weights", key=lambda kinds: kinds.map(places), kind="stable")
    tracks = most_rows_first(smallest_first, [*TRACK, "weights"])
    told = [column for column in (*TRACK, "weights") if drawn[column].nunique() > 1]
    titles = [" ".join(str(rows[column].iloc[0]) for column in told) for rows in tracks]
    for suffix, rows in zip(suffixes(titles), tracks, strict=True):
        first = rows.iloc[0]
        place = f"{first['corpus_title']}, {_place(first).partition(' ')[2]}"
        subject = f"{place}; {FILES[first['weights']]} files; {machine_name(first)}"
        yield "sizes" + suffix, "sizes", subject, digest(rows), _on_sheet(sizes, rows, looks)


def _study_drafts(
    profiles: pd.DataFrame, looks: Mapping[str, Look], reported: Sequence[Reported]
) -> Iterator[Draft]:
    if profiles.empty:
        return
    machines = [as_published(rows) for rows in most_rows_first(profiles, ["hardware"])]
    shown = [rows for rows in machines if len(rows)]
    for suffix, rows in zip(suffixes([rows["device"].iloc[0] for rows in shown]), shown, strict=True):
        picture = _on_sheet(figure2, rows, looks, reported)
        data = digest(rows, pd.DataFrame([number.model_dump() for number in reported]))
        yield "figure2" + suffix, "figure2", rows["hardware"].iloc[0], data, picture


def _op_drafts(records: Sequence[OpRecord]) -> Iterator[Draft]:
    """The benchmark with most comparisons has the plain name."""
    largest_first = sorted(records, key=lambda record: (-len(record.comparisons), record.id))
    devices = [record.setting.device for record in largest_first]
    for suffix, device, record in zip(suffixes(devices), devices, largest_first, strict=True):
        if any(curve(record, op, "op") for op in record.setting.ops):
            yield "ops" + suffix, "ops", device, _hash(record.model_dump_json()), _on_sheet(ops, record)


def _on_sheet(draw: Callable[..., Picture], *table: object) -> Callable[[Sheet], Picture]:
    """A figure's function with its tables given, the sheet still open."""
    return lambda sheet: draw(*table, sheet=sheet)


def shown_comparisons(accuracy: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each comparison to draw, most cells first: of real corpora and test splits, if any."""
    if accuracy.empty:
        return []
    real = accuracy[~accuracy["synthetic"]]
    real = real if len(real) else accuracy
    tested = real[real["split"] != "dev"]  # chosen on, so drawn only where there is nothing else
    return most_rows_first(tested if len(tested) else real, ["comparison"], weight="cells_ok")


def _place(row: pd.Series) -> str:
    """Corpus and protocol, and a split other than "test"."""
    return f"{row['corpus']} {row['protocol']}" + ("" if row["split"] == "test" else f" {row['split']}")


def most_rows_first(table: pd.DataFrame, by: Sequence[str], weight: str | None = None) -> list[pd.DataFrame]:
    """The groups of `table`, largest first (rows, or sum of `weight`); ties in the table's order."""
    groups = [rows for _, rows in table.groupby(list(by), sort=False)]
    return sorted(groups, key=lambda rows: -(len(rows) if weight is None else rows[weight].sum()))


def suffixes(names: Sequence[str]) -> list[str]:
    """File name endings: none for the first, "-slug" for the others, numbered where slugs repeat."""
    found = [""]
    for name in names[1:]:
        slug = "-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        repeats = sum(taken == slug or taken.startswith(f"{slug}-") for taken in found)
        found.append(slug if not repeats else f"{slug}-{repeats + 1}")
    return found[: len(names)]
