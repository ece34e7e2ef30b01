"""The page in a headless Chromium: sorting, filtering, hovering, the keyboard, themes, phones, accessibility.

Skipped where there is no Chromium or no Playwright.
"""

from __future__ import annotations

import http.server
import shutil
import threading
from pathlib import Path

import page_fixtures
import pytest

from bench.evidence.reported import read
from bench.evidence.store import Store
from bench.report import page as report_page
from bench.report import units
from bench.report.page.bundle import joined
from bench.report.sections import encoder_cost
from bench.report.tables import accuracy_table, profile_table

api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser tests")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: no browser tests"
)

FLAGS = [
    f"--{flag}"
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
]
CPU = "AMD EPYC 7R13, 1 thread"
SCRIPTS = Path(report_page.__file__).parent / "static" / "js"


def chromium(playwright) -> str:
    """Where Chromium is; the tests are skipped where it is not."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
    if not Path(found).exists():
        pytest.skip("Chromium is not installed: no browser tests")
    return found


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(playwright), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The accuracy and profile tables of the invented results, and the page made of them."""
    store = Store(tmp_path_factory.mktemp("results"))
    page_fixtures.write_everything(store)
    accuracy, profiles = accuracy_table(store), profile_table(store)
    file = store.root / "index.html"
    file.write_text(
        report_page.html(store.runs(), accuracy, profiles, read(store.root / "reported.csv")),
        encoding="utf-8",
    )
    return accuracy, profiles, file


@pytest.fixture(scope="module")
def ravdess(tables):
    accuracy = tables[0]
    return accuracy[accuracy["corpus"] == "ravdess"]


class Watched:
    """A page and what it must not do: complain, or ask for anything but itself."""

    def __init__(self, context, file: Path) -> None:
        self.page = context.new_page()
        self.file = file
        self.wrong: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss())
        )
        self.page.on("request", self._request)

    def _request(self, request) -> None:
        if not request.url.startswith((self.file.as_uri(), "data:")):
            self.wrong.append(f"request: {request.url}")

    def open(self, place: str = "") -> api.Page:
        """The page at a place of its own, drawn."""
        self.page.goto(f"{self.file.as_uri()}{place}")
        self.page.wait_for_selector("#leaderboard tbody tr")
        return self.page


@pytest.fixture
def opened(browser, tables):
    """Opens the page, as in `opened("#/…", color_scheme="dark")`, and at the end checks what it did."""
    contexts, pages = [], []

    def open(place: str = "", **settings) -> api.Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings}))
        pages.append(Watched(contexts[-1], tables[2]))
        return pages[-1].open(place)

    yield open
    for context in contexts:
        context.close()
    assert [wrong for watched in pages for wrong in watched.wrong] == []


def place_of(rows) -> str:
    return f"#/{rows['comparison'].iloc[0]}"


def column(page, head: str) -> list[str]:
    """The texts of one column of the leaderboard, top to bottom."""
    heads = [text.strip() for text in page.locator("#leaderboard thead .words").all_inner_texts()]
    place = heads.index(head.replace(" %", "\u00a0%")) + 1
    return page.locator(f"#leaderboard tbody tr > :nth-child({place})").all_inner_texts()


def head(page, name: str):
    return page.locator("#leaderboard thead button").filter(has_text=name.replace(" %", "\u00a0%"))


def written(row, name: str, value) -> str:
    """As the Markdown leaderboard writes it."""
    low, high = value(row[f"{name}_low"]), value(row[f"{name}_high"])
    return f"{value(row[name])} [{low}, {high}]"


def labels(page) -> list[str]:
    """What marks of the first chart say to a screen reader."""
    return [mark.get_attribute("aria-label") for mark in page.locator("#pareto .target").all()]


# What it shows


def test_the_leaderboard_holds_the_numbers_of_the_table_in_its_order(opened, ravdess):
    page = opened(place_of(ravdess))
    ranked = ravdess[ravdess["comparable"]]
    assert column(page, "UAR %") == [written(row, "uar", units.percent) for _, row in ravdess.iterrows()]
    assert column(page, "Macro-F1 %") == [units.percent(value) for value in ravdess["macro_f1"]]
    assert column(page, "#") == [str(n + 1) for n in range(len(ranked))] + [""] * (len(ravdess) - len(ranked))
    expected = [
        "–" if row.isna()["delta"] else written(row, "delta", units.points) for _, row in ravdess.iterrows()
    ]
    assert column(page, "Δ to softmax") == expected


def test_costs_are_those_of_the_machine_and_length_chosen(opened, tables, ravdess):
    page = opened(place_of(ravdess))

    def expected(machine: str, seconds: float) -> list[str]:
        costs = [encoder_cost(row, machine, seconds, tables[1]) for _, row in ravdess.iterrows()]
        return ["–" if cost is None else units.milliseconds(cost["median_ms"]) for cost in costs]

    assert column(page, "Latency at 10 s") == expected(CPU, 10.0)
    page.locator("#leaderboard").get_by_label("Speech").select_option("1 min")
    assert column(page, "Latency at 1 min") == expected(CPU, 60.0)
    page.locator("#pareto").get_by_label("Machine").select_option(page_fixtures.GPU.device)
    assert column(page, "Latency at 1 min") == expected(page_fixtures.GPU.device, 60.0)


def test_attributes_alone_are_led_by_ccc(opened, tables):
    rows = tables[0][tables[0]["split"] == "test3"]
    page = opened(place_of(rows))
    assert column(page, "CCC") == [written(row, "ccc", units.concordance) for _, row in rows.iterrows()]
    assert page.locator("#recall").count() == 0


def test_synthetic_corpora_are_listed_apart_and_labelled_where_they_are_shown(opened, tables):
    rows = tables[0][tables[0]["synthetic"]]
    page = opened(place_of(rows))
    real, synthetic = page.locator("#comparisons ul").all()
    assert "Synthetic speech" not in real.inner_text()
    assert "Synthetic speech" in synthetic.inner_text()
    assert "Smoke test: a synthetic corpus, not a result" in page.locator(".badge").inner_text()
    assert page.locator(".badge").is_visible()


def test_a_label_full_of_markup_is_shown_as_text_and_runs_nothing(opened, ravdess):
    page = opened(place_of(ravdess))
    shown = " ".join(page_fixtures.HOSTILE.split())
    texts = [" ".join(text.split()) for text in page.locator("#leaderboard tbody bdi").all_text_contents()]
    assert shown in texts
    assert page.locator("main b").count() == 0


def test_numbers_are_written_as_python_writes_them(opened):
    """Ties too: Python rounds 56.25 to 56.2, a browser's toFixed to 56.3."""
    fractions = [0.5625, 0.4375, 0.6, 0.12345, -0.0345, -0.0001, 0.0, 0.00049999, 1.0, 0.15, 0.285]
    costs = [0.25, 0.999, 1.0, 18.31, 99.6, 999.7, 1530.0, 12.5e3, 0.045, 2.5, 0.5, 125.0]
    sizes = [512.0, 999_999.0, 1e6, 12.35e9, 1_500.0, 2.5e12]
    lengths = [0.5, 1.0, 10.0, 60.0, 90.0, 400.0, 600.0, 3600.0]
    cases = {
        **{name: fractions for name in ("percent", "points", "concordance", "signed")},
        "milliseconds": costs,
        "memory": sizes,
        "seconds": lengths,
    }
    module = joined({"units": (SCRIPTS / "units.js").read_text(encoding="utf-8")})
    calls = (
        f"({{ cases }}) => {{ {module} return Object.fromEntries("
        "Object.entries(cases).map(([name, values]) => [name, values.map(module_units[name])])); }"
    )
    found = opened().evaluate(calls, {"cases": cases})
    assert found == {
        name: [getattr(units, name)(value) for value in values] for name, values in cases.items()
    }


# Sorting and filtering


def test_a_head_sorts_by_its_column_and_again_the_other_way(opened, ravdess):
    page = opened(place_of(ravdess))
    ranked = ravdess[ravdess["comparable"]].sort_values("wa", ascending=False, kind="stable")
    unplaced = len(ravdess) - len(ranked)
    expected = [units.percent(value) for value in ranked["wa"]]
    page.get_by_role("button", name="All columns").click()
    head(page, "WA %").click()
    assert column(page, "WA %")[:-unplaced] == expected
    assert page.locator("#leaderboard [aria-sort]").get_attribute("aria-sort") == "descending"
    head(page, "WA %").click()
    assert column(page, "WA %")[:-unplaced] == expected[::-1]
    assert page.locator("#leaderboard [aria-sort]").get_attribute("aria-sort") == "ascending"


def test_systems_without_a_place_stay_last_and_values_that_are_missing_after_the_others(opened, ravdess):
    page = opened(place_of(ravdess))
    for _ in range(2):
        head(page, "Latency").click()
        places, costs = column(page, "#"), column(page, "Latency at 10 s")
        assert places == sorted(places, key=lambda text: text == "")
        ranked = [cost for place, cost in zip(places, costs, strict=True) if place]
        assert "–" in ranked
        assert ranked == sorted(ranked, key=lambda text: text == "–")


def test_the_filter_keeps_the_systems_that_hold_every_word_and_says_how_many(opened, ravdess):
    page = opened(place_of(ravdess))
    page.get_by_label("Filter").fill("softmax mamba")
    names = ["Mamba-2 ×3 + Softmax", "Mamba-2 ×3 + Softmax, causal"]
    assert sorted(column(page, "System")) == names
    assert page.locator("#leaderboard [role=status]").inner_text() == f"2 of {len(ravdess)} systems"
    page.locator("#leaderboard").get_by_label("Direction").select_option("causal")
    assert column(page, "Direction") == ["causal"]
    page.get_by_label("Filter").fill("")
    assert set(column(page, "Direction")) == {"causal"}


# What fits


IN_VIEW = """(() => {
    const edge = document.querySelector("#leaderboard .scroller").getBoundingClientRect().right;
    return [...document.querySelectorAll("#leaderboard thead th")]
        .filter((head) => head.checkVisibility() && head.getBoundingClientRect().right <= edge)
        .map((head) => head.querySelector(".words").textContent);
})()"""


def shown(page) -> list[str]:
    """The heads of the leaderboard that can be seen without scrolling sideways."""
    return page.evaluate(IN_VIEW)


DECIDING = ["p", "Group", "Rank", "Latency at 10 s", "Memory at 10 s"]


def test_what_decides_between_systems_is_in_view_on_a_laptop_and_the_rest_on_request(opened, tables, ravdess):
    page = opened(place_of(ravdess))
    assert shown(page) == ["#", "System", "UAR\u00a0%", "Δ to softmax", *DECIDING]
    button = page.get_by_role("button", name="All columns")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    for name in ("Direction", "Macro-F1 %", "WA %", "Parameters", "Folds × seeds"):
        assert head(page, name).is_visible()
    button.click()
    assert not head(page, "WA %").is_visible()
    rows = tables[0][tables[0]["split"] == "test1"]  # with attributes beside the emotions
    assert shown(opened(place_of(rows)))[-5:] == DECIDING


def test_an_order_by_a_column_ends_when_that_is_folded_away(opened, ravdess):
    page = opened(place_of(ravdess))
    best_first = column(page, "#")
    button = page.get_by_role("button", name="All columns")
    button.click()
    head(page, "WA %").click()
    head(page, "WA %").click()
    assert column(page, "#") != best_first
    button.click()
    assert column(page, "#") == best_first


def test_a_phone_shows_the_best_score_beside_the_name(opened, ravdess):
    assert "UAR\u00a0%" in shown(opened(place_of(ravdess), viewport={"width": 390, "height": 844}))


# Charts


def test_a_point_explains_itself_when_it_is_hovered_and_when_it_is_focused(opened, ravdess):
    page = opened(place_of(ravdess))
    tooltip = page.locator("#tooltip")
    row = ravdess.set_index(["layout", "direction"]).loc["softmax", "bidirectional"]
    point = page.locator('#pareto .target[data-system="softmax, bidirectional"]')
    point.locator(".marker").hover()
    api.expect(tooltip).to_be_visible()
    assert f"UAR {written(row, 'uar', units.percent).replace(' [', ' % [')}" in tooltip.inner_text()
    page.mouse.move(2, 2)
    api.expect(tooltip).to_be_hidden()
    page.evaluate("scrollTo(0, 0)")
    point.focus()  # which scrolls to it
    api.expect(tooltip).to_contain_text("Softmax")
    place, box = point.locator(".marker").bounding_box(), tooltip.bounding_box()
    assert abs(box["y"] + box["height"] - place["y"]) < 40
    page.keyboard.press("Escape")
    api.expect(tooltip).to_be_hidden()


def test_a_chart_is_one_tab_stop_and_arrows_walk_its_marks(opened, ravdess):
    page = opened(place_of(ravdess))
    assert page.locator('#pareto .target[tabindex="0"]').count() == 1
    page.locator('#pareto .target[tabindex="0"]').focus()
    seen = []
    for _ in range(page.locator("#pareto .target").count()):
        seen.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        page.keyboard.press("ArrowRight")
    assert sorted(seen) == sorted(labels(page))
    assert page.locator('#pareto .target[tabindex="0"]').count() == 1


def test_points_on_the_front_are_beaten_by_no_other(opened, tables, ravdess):
    page = opened(place_of(ravdess))
    ranked = ravdess[ravdess["comparable"]]
    points = []
    for _, row in ranked.iterrows():
        cost = encoder_cost(row, CPU, 10.0, tables[1])
        if cost is not None:
            points.append((row["name"], cost["median_ms"], row["uar"]))
    front = {
        name
        for name, ms, uar in points
        if not any(a <= ms and b >= uar and (a < ms or b > uar) for _, a, b in points)
    }
    said = {text.split(". ")[0] for text in labels(page) if text.endswith("On the Pareto front")}
    assert said == front
    assert 0 < len(front) < len(points)


def test_a_curve_that_ran_out_of_memory_is_marked_where_it_ended(opened, ravdess):
    page = opened(place_of(ravdess))
    stop = page.locator("#lengths .target:has(.stop)").first
    assert stop.get_attribute("aria-label") == "Softmax. out of memory at 10 min of speech. needed 51 GB"
    page.get_by_label("Measured").select_option("one mixer layer")
    names = [mark.get_attribute("aria-label") for mark in page.locator("#lengths .target:has(.stop)").all()]
    assert any(name.startswith("Softmax (unfused). out of memory") for name in names)


def test_every_chart_has_its_numbers_as_a_table(opened, tables, ravdess):
    page = opened(place_of(ravdess))
    table = page.locator("#lengths figure").first.locator("details")
    table.locator("summary").click()
    cells = (
        table.locator("tbody tr")
        .filter(has_text="Softmax")
        .filter(has_not_text="causal")
        .filter(has_not_text="+")
    )
    row = ravdess.set_index(["layout", "direction"], drop=False).loc["softmax", "bidirectional"]
    cost = encoder_cost(row, CPU, 10.0, tables[1])
    assert units.milliseconds(cost["median_ms"]) in cells.inner_text()
    assert "out of memory" in cells.inner_text()


# The drill-down


def test_a_name_opens_its_runs_with_the_keyboard_and_escape_leads_back(opened, ravdess):
    page = opened(place_of(ravdess))
    link = page.locator("#leaderboard tbody a").first
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    assert dialog.get_by_role("heading", level=2).inner_text() == ravdess["name"].iloc[0]
    dialog.get_by_role("link", name="Fold 1, seed 0").click()
    assert "Fold 1, seed 0: done" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.textContent") == link.inner_text()


def test_a_run_shows_curve_confusion_recall_environment_and_settings(opened, tables, ravdess):
    page = opened(place_of(ravdess))
    page.locator("#leaderboard tbody a").first.click()
    dialog = page.locator("dialog[open]")
    rows = dialog.locator(".confusion tbody tr").all()
    counts = [[int(cell) for cell in row.locator("td").all_inner_texts()] for row in rows]
    support = ravdess["support"].iloc[0]  # a seed's
    assert [sum(row) for row in counts] == [2 * count for count in support.values()]
    dialog.get_by_role("link", name="Fold 0, seed 1").click()
    for name in ("Learning curve", "Confusion", "Recall by emotion", "Environment", "Settings"):
        assert dialog.get_by_role("heading", name=name).is_visible()
    assert dialog.locator("figure svg .target").count() == 12 + 11  # one epoch has no score
    dialog.locator("details summary").filter(has_text="setting").click()
    assert "recipe.peak_lr" in dialog.inner_text()
    assert "AMD EPYC 7R13" in dialog.inner_text()


def test_an_address_leads_to_a_run_and_failed_runs_say_why(opened, ravdess):
    page = opened(f"{place_of(ravdess)}/retnet%2C%20causal")
    dialog = page.locator("dialog[open]")
    assert "incomplete: fold 0 of 2" in dialog.inner_text()
    failed = dialog.locator(".runs tbody tr").filter(has_text="out of memory")
    assert failed.count() == 2
    failed.first.get_by_role("link").click()
    assert "CUDA out of memory: needed <9> GB" in dialog.locator("p").nth(1).inner_text()
    again = opened(f"#{page.url.split('#')[1]}")
    assert "Fold 1, seed 0: out of memory" in again.locator("dialog[open]").inner_text()


# Themes, paper, phones


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_the_theme_follows_the_system_until_the_button_says_otherwise_and_is_remembered(opened):
    page = opened()
    button = page.get_by_role("button", name="Dark theme")
    light = background(page)
    assert button.get_attribute("aria-pressed") == "false"
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert dark != light
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert background(page) == light
    page.reload()
    assert background(page) == light
    button.click()
    assert background(page) == dark


def test_paper_is_light_and_holds_no_controls(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(20, 22, 26)"
    assert not page.locator(".controls").first.is_visible()
    assert page.locator("#leaderboard table").is_visible()


def test_a_phone_shows_everything_without_scrolling_sideways(opened, ravdess):
    page = opened(place_of(ravdess), viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    widths = "[...document.querySelectorAll('svg')].map((svg) => svg.getBoundingClientRect().width)"
    assert 250 < max(page.evaluate(widths)) < 340
    page.locator("#leaderboard tbody a").first.click()
    assert page.locator("dialog[open]").bounding_box()["width"] == 360
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 360


# The keyboard, assistive technology, the network


def test_the_tab_key_reaches_everything_that_does_something_and_shows_where_it_is(opened, ravdess):
    page = opened(place_of(ravdess))
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, select, input, summary, [tabindex=\"0\"]')]"
        ".filter((node) => node.checkVisibility() && !node.closest('noscript')).length"
    )
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        look = (
            "(() => { const node = document.activeElement, style = getComputedStyle(node);"
            " const mark = node.querySelector?.('.reach');"
            " return [node.tagName, style.outlineStyle, mark && getComputedStyle(mark).strokeWidth]; })()"
        )
        reached.append(page.evaluate(look))
    assert not [seen for seen in reached if seen[0] == "BODY"]
    for _, outline, ring in reached:
        assert outline != "none" or ring == "2px"


def test_tables_have_captions_and_their_heads_say_what_they_head(opened, ravdess):
    page = opened(place_of(ravdess))
    page.locator("#leaderboard tbody a").first.click()
    page.locator("dialog a").filter(has_text="Fold 0, seed 0").click()
    assert (
        page.evaluate(
            "[...document.querySelectorAll('table')].filter((table) => !table.caption?.textContent).length"
        )
        == 0
    )
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("table").count() > 6


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("inside", ["page", "system", "run"])
def test_axe_finds_nothing_to_object_to(opened, tables, ravdess, theme, inside):
    place = place_of(ravdess)
    page = opened(place if inside == "page" else f"{place}/kda%2C%20causal", color_scheme=theme)
    if inside == "run":
        page.locator("dialog a").filter(has_text="Fold 0, seed 0").click()
    for summary in page.locator("main summary, dialog summary").all():
        if summary.is_visible() and inside == "page":
            summary.click()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_page_cannot_reach_a_network_even_if_it_would(browser, tables):
    asked = []

    class Listening(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    server = http.server.HTTPServer(("127.0.0.1", 0), Listening)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    page = Watched(context, tables[2]).open()
    there = f"http://127.0.0.1:{server.server_port}"
    fetched = page.evaluate(f"fetch('{there}/a').then(() => 'reached', () => 'refused')")
    page.evaluate(
        "new Promise((done) => { const image = new Image();"
        f" image.onerror = image.onload = done; image.src = '{there}/b'; }})"
    )
    context.close()
    server.shutdown()
    assert fetched == "refused"
    assert asked == []
