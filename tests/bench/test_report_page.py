"""The page holds what the tables hold, in one file that nothing breaks out of and that asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import itertools
import json
import re
from pathlib import Path

import numpy as np
import page_fixtures
import pytest
import report_fixtures as fixtures
from sklearn.metrics import confusion_matrix
from test_report_labels import BLINDNESS, XYZ, lab

from bench.evidence.reported import read
from bench.evidence.store import Store
from bench.report import page, style
from bench.report.page import palette
from bench.report.page.bundle import as_json, joined
from bench.report.tables import accuracy_table, profile_table

COMMITTED = Path(__file__).parents[2] / "results"


class Elements(html.parser.HTMLParser):
    """Every element's name and attributes, and the text of scripts and styles, as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._inside = tag in ("script", "style")
        self.raw += [""] * self._inside

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.raw[-1] += data

    def named(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    page_fixtures.write_everything(store)
    return store


@pytest.fixture(scope="module")
def accuracy(store):
    return accuracy_table(store)


@pytest.fixture(scope="module")
def profiles(store):
    return profile_table(store)


@pytest.fixture(scope="module")
def text(store, accuracy, profiles) -> str:
    return page.html(store.runs(), accuracy, profiles, read(store.root / "reported.csv"))


@pytest.fixture(scope="module")
def elements(text) -> Elements:
    return Elements(text)


def data_of(elements: Elements) -> dict:
    """What the data element holds: style, data and script stand in this order."""
    return json.loads(elements.raw[1])


@pytest.fixture(scope="module")
def data(elements):
    return data_of(elements)


def test_no_label_breaks_out_of_its_place(elements, data):
    assert [attributes.get("type") for attributes in elements.named("script")] == [
        "application/json",
        "module",
    ]
    assert not elements.named("b")
    names = {system["name"] for comparison in data["comparisons"] for system in comparison["systems"]}
    assert page_fixtures.HOSTILE in names


@pytest.mark.parametrize(
    "piece", ["</script>", "<!--", "&amp;", "\u2028", "\u202e", '"\\', "{{script}}", "\0"]
)
def test_data_come_back_as_they_were_and_hold_no_markup(piece):
    written = as_json({piece: [piece]})
    assert json.loads(written) == {piece: [piece]}
    assert written.isascii()
    assert not set(written) & set("<>&")


def test_numbers_that_json_lacks_are_refused_rather_than_written():
    with pytest.raises(ValueError, match="JSON"):
        as_json({"score": float("nan")})


def test_the_same_records_give_the_same_bytes(store, text):
    again = Store(store.root)
    assert (
        page.html(
            again.runs(), accuracy_table(again), profile_table(again), read(again.root / "reported.csv")
        )
        == text
    )


def test_nothing_is_asked_of_a_network(text, elements):
    places = [
        value
        for _, attributes in elements.found
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert {place.split(":")[0] for place in places} == {
        "#leaderboard",
        "data",
        "leaderboard.md",
        "leaderboard.csv",
    }
    assert set(re.findall(r"https?://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket", text)


def test_the_content_security_policy_allows_this_style_and_this_script_and_no_request(elements):
    (policy,) = [meta["content"] for meta in elements.named("meta") if "http-equiv" in meta]
    css, _, script = elements.raw
    for name, content in (("style", css), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


def test_every_score_and_interval_is_that_of_the_table(accuracy, data):
    shown = {
        (comparison["id"], system["layout"], system["direction"]): system
        for comparison in data["comparisons"]
        for system in comparison["systems"]
    }
    assert len(shown) == len(accuracy)
    for _, row in accuracy.iterrows():
        system = shown[row["comparison"], row["layout"], row["direction"]]
        names = [*system["scores"], *(["delta"] if system["delta"] else [])]
        found = system["scores"] | {"delta": system["delta"]}
        for name in names:
            ends = [row[name], row[f"{name}_low"], row[f"{name}_high"]]
            assert found[name] == ends
        absent = {name for name in ("uar", "macro_f1", "wa", "ccc", "delta") if np.isnan(row[name])}
        assert absent.isdisjoint(names)
        recalls = [row[f"recall_{emotion}"] for emotion in row["emotions"]]
        assert [each[0] for each in system["recall"]] == recalls
        assert (system["place"] is not None) == row["comparable"]


def test_every_cost_is_that_of_the_table(profiles, data):
    shown = {
        (curve["machine"], curve["target"], curve["layout"], curve["direction"], point["seconds"]): point
        for curve in data["curves"]
        for point in curve["points"]
    }
    assert len(shown) == len(profiles)
    for _, row in profiles.iterrows():
        point = shown[row["hardware"], row["target"], row["layout"], row["direction"], row["seconds"]]
        assert point.get("ms", np.nan) == pytest.approx(row["median_ms"], rel=0, abs=0, nan_ok=True)
        assert point.get("bytes", np.nan) == pytest.approx(row["peak_bytes"], nan_ok=True)
        assert point.get("status", "ok") == row["status"]


def test_confusions_are_those_of_the_predictions(store, data):
    """Beside scikit-learn, for every run and split."""
    compared = 0
    for runs in data["runs"]["of"].values():
        for run in runs:
            for split, counts in run["confusion"].items():
                table = store.predictions(run["id"])
                table = table[table["split"] == split]
                emotions = [name.removeprefix("logit_") for name in table if name.startswith("logit_")]
                logits = table[[f"logit_{emotion}" for emotion in emotions]].to_numpy()
                guessed = np.array(emotions)[logits.argmax(axis=1)]
                expected = confusion_matrix(table["label"], guessed, labels=emotions)
                assert counts == expected.ravel().tolist()
                compared += 1
    assert compared > 50


def test_the_predictions_of_a_run_are_read_once(store, monkeypatch):
    """Also of runs that are not scored, such as those of a seed that lacks a fold."""
    asked = []
    reading = Store.prediction_columns
    monkeypatch.setattr(
        Store, "prediction_columns", lambda store, name: asked.append(name) or reading(store, name)
    )
    again = Store(store.root)
    page.html(again.runs(), accuracy_table(again), profile_table(again))
    assert sorted(asked) == sorted(run.id for run in store.runs() if run.status == "ok")


def test_every_run_has_its_curve_machine_and_settings(store, data):
    shown = {run["id"]: (base, run) for base, runs in data["runs"]["of"].items() for run in runs}
    records = store.runs()
    assert set(shown) == {record.id for record in records}
    for record in records:
        base, run = shown[record.id]
        losses = [epoch.train_loss for epoch in record.curve]
        assert run["curve"]["loss"] == pytest.approx(losses, rel=1e-3)
        assert data["runs"]["machines"][run["machine"]]["device"] == record.environment.device
        recipe = data["runs"]["settings"][base]["recipe"]
        assert recipe == record.config.recipe.model_dump(mode="json")


def test_real_corpora_come_first_and_dev_after_the_tests_beside_it(data):
    synthetic = [comparison["synthetic"] for comparison in data["comparisons"]]
    assert synthetic == sorted(synthetic)
    assert synthetic[-1]
    splits = [
        comparison["split"] for comparison in data["comparisons"] if comparison["title"] == "MSP-Podcast"
    ]
    assert [split for split in splits if split != "test3"] == ["test1", "test2", "dev"]


def test_columns_that_the_tables_gain_are_shown_where_they_stand(store, accuracy, profiles, data):
    richer = accuracy.assign(p_adjusted=0.031, rank_group=1.0, rank_low=1, rank_high=3)
    other = profiles.assign(engine="onnx", work="forward")
    found = data_of(Elements(page.html(store.runs(), richer, other)))
    system = found["comparisons"][0]["systems"][0]
    assert (system["p"], system["group"], system["rankLow"], system["rankHigh"]) == (0.031, 1, 1, 3)
    assert all(curve["machine"].endswith(", onnx") for curve in found["curves"])


def test_published_numbers_stand_apart_from_the_systems(data):
    assert [row["system"] for row in data["published"]] == ["ResLSTM-SA", "Softmax", "FoX"]
    named = [system["name"] for comparison in data["comparisons"] for system in comparison["systems"]]
    assert "ResLSTM-SA" not in named


def test_profiles_alone_make_a_page_of_costs(tmp_path):
    store = Store(tmp_path)
    fixtures.write_profiles(store, ["softmax", "retnet"])
    found = data_of(Elements(page.html(store.runs(), accuracy_table(store), profile_table(store))))
    assert found["comparisons"] == []
    assert {curve["layout"] for curve in found["curves"]} == {"softmax", "retnet", "softmax_unfused"}
    assert "Softmax" in found["costs"][0]["ms"]


def test_the_committed_page_is_that_of_the_committed_records_and_small():
    store = Store(COMMITTED)
    reported = read(store.root / "reported.csv")
    fresh = page.html(store.runs(), accuracy_table(store), profile_table(store), reported)
    assert (COMMITTED / "index.html").read_text(encoding="utf-8") == fresh, "run `serbench report` and commit"
    assert len(fresh.encode()) < 1_000_000


def test_a_module_keeps_its_names_to_itself_and_hands_out_what_it_exports():
    script = joined(
        {"one": "const a = 1;\nexport const b = a;\n", "two": 'import { b } from "./one.js";\nconst a = b;\n'}
    )
    assert "const { b } = module_one;\nconst a = b;" in script
    assert "const a = 1;\nconst b = a;\nreturn { b };" in script
    assert not re.search(r"^(import|export)\b", script, flags=re.MULTILINE)


# Colours


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1: the Y of CIE XYZ, from linear sRGB."""
    encoded = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return float(XYZ[1] @ linear)


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def variables(css: str) -> dict[str, tuple[str, str]]:
    """The pair of colours, light and dark, of every variable."""
    found = re.findall(r"(--[\w-]+):light-dark\((#\w+),(#\w+)\);", css)
    return {name: (light, dark) for name, light, dark in found}


def test_the_charts_stand_on_the_colours_that_contrasts_are_computed_with(elements):
    light, dark = re.search(r"--panel: light-dark\((#\w+), (#\w+)\)", elements.raw[0]).groups()
    assert (light, dark) == (palette.WHITE, palette.BLACK)


def test_lines_and_text_of_every_mixer_and_hybrid_stand_out_in_both_themes():
    looks = [*style.MIXERS.values(), *style.EXTENSION]
    hybrids = [
        style.system_look(pair, "causal", style.MIXERS) for pair in itertools.permutations(style.MIXERS, 2)
    ]
    colours = variables(palette.css(looks + hybrids))
    for name, pair in colours.items():
        least = 4.5 if name.endswith("-text") else 3.0 if name.endswith("-line") else 0
        if name.startswith("--look") and least:
            for colour, background in zip(pair, ("#ffffff", "#16191d"), strict=True):
                assert contrast(colour, background) >= least - 0.01


def test_text_in_heat_maps_is_readable_in_both_themes():
    colours = variables(palette.css([]))
    steps = [name for name in colours if re.fullmatch(r"--heat-\d+", name)]
    assert len(steps) == palette.HEAT_STEPS + 1
    for name in steps:
        for shade, ink in zip(colours[name], colours[f"{name}-text"], strict=True):
            assert contrast(shade, ink) >= 4.5 - 0.01


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(palette.DARK, 2)))
def test_known_mixers_stay_apart_on_black_under_colour_blindness(one, other):
    for vision in (None, *BLINDNESS):
        assert np.linalg.norm(lab(palette.DARK[one], vision) - lab(palette.DARK[other], vision)) >= 12
