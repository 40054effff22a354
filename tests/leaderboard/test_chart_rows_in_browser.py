"""In a browser: rows are Python's for whatever is selected, and the charts show them."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from leaderboard.board_columns import SCORE
from leaderboard.chart_rows import ALL, CHART_ROWS, ChartSelection
from leaderboard.charts.board_charts import CHART_TEXTS, specifications
from leaderboard.charts.vega_bundle import bundle
from leaderboard.page_data import page_data
from leaderboard.pages.templating import CHART_SCRIPTS, asset
from tests.leaderboard.random_boards import METHODS, TASKS, random_boards

pytestmark = pytest.mark.browser

SCRIPTS = ("numerics.js", "statistics.js", "aggregates.js", "pooled_scores.js", "chart_rows.js",
           "dom.js", "index_charts.js")  # fmt: skip
MIXED = ("test_accuracy", "test_r2", "test_rmse", "test_balanced_accuracy")
SOME = ["RigL", "SET", "Static random", "Resonance"]


@pytest.fixture(scope="module")
def page(chromium) -> Any:
    """Return a page with the scripts of the leaderboard, without Vega."""
    opened = chromium.new_page()
    for script in SCRIPTS[:5]:
        opened.add_script_tag(content=asset(script))
    return opened


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def differences(expected: list[dict], found: list[dict]) -> list[Any]:
    """Return pairs of rows that are not the same."""
    if len(expected) != len(found):
        return [(len(expected), len(found))]
    return [
        (one, other)
        for one, other in zip(expected, found, strict=True)
        if one.keys() != other.keys() or not all(same(one[n], other[n]) for n in one)
    ]


@pytest.mark.parametrize(
    ("board", "selection"),
    [
        ({}, ALL),
        ({}, ChartSelection(entries=[*SOME, "Dense"], sparsities=[0.9])),
        ({"missing": 0.1}, ALL),
        ({"missing": 0.1}, ChartSelection(sparsities=[0.8, 0.98])),
        ({"missing": 0.4, "seeds": 3}, ChartSelection(tasks=TASKS[1:4])),
        ({"seeds": 12, "tasks": TASKS[:2], "methods": METHODS[:6]}, ALL),
        ({"seeds": 1, "tasks": TASKS[:1]}, ALL),
        ({"methods": METHODS[1:5]}, ALL),
        ({"metrics": MIXED}, ALL),
        ({"metrics": MIXED, "missing": 0.1}, ChartSelection(entries=SOME, tasks=TASKS[1:4])),
        ({"metrics": MIXED[1:]}, ALL),
        ({}, ChartSelection(entries=["SET"])),
        ({"flops_budget": 0.3}, ALL),
        ({}, ChartSelection(entries=[], tasks=[], sparsities=[])),
    ],
)
def test_a_browser_computes_the_rows_that_python_computes(page, board, selection):
    boards = random_boards(len(repr(board)), **board)
    data = json.loads(json.dumps(page_data(boards)))
    call = "([d, s]) => Object.fromEntries(Object.entries(resonanceChartRows).map(([n, f]) => [n, f(d, s)]))"  # noqa: E501
    found = page.evaluate(call, [data, asdict(selection)])
    assert list(found) == list(CHART_ROWS)
    for name, figure in CHART_ROWS.items():
        assert differences(figure(boards, selection), found[name]) == [], name


def test_choosing_competitors_recomputes_everything_in_less_than_a_second(page):
    data = page_data(random_boards(1))
    everyone = [entry["label"] for entry in data["entries"]]
    compute = """([data, entries]) => {
      for (const figure of Object.values(resonanceChartRows)) {
        figure(data, {entries, tasks: null, sparsities: null});
      }
    }"""
    clock = page.context.new_cdp_session(page)
    clock.send("Performance.enable")

    def busy() -> float:
        """Return the seconds for which the page has computed, whatever else the machine does."""
        found = {m["name"]: m["value"] for m in clock.send("Performance.getMetrics")["metrics"]}
        return found["ThreadTime"]

    spent = []
    for entries in (None, everyone, everyone[1:]):
        before = busy()
        page.evaluate(compute, [data, entries])
        spent.append(busy() - before)
    assert 0 < min(spent) < 1


@pytest.fixture(scope="module")
def charts(chromium) -> Iterator[Any]:
    """Return a page on which charts of four tasks can be drawn, and what it complained about."""
    boards = random_boards(
        3, tasks=TASKS[:4], sparsities=(0.9, 0.98), metrics=(SCORE, SCORE, "test_r2", "test_rmse")
    )
    opened = chromium.new_page(viewport={"width": 1100, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.set_content("<!doctype html><html lang=en><title>charts</title><body><main></main>")
    opened.add_script_tag(content=bundle(), type="module")
    for script in (*CHART_SCRIPTS, *SCRIPTS):
        opened.add_script_tag(content=asset(script))
    opened.evaluate(
        "(data) => { window.data = data; }", {**page_data(boards), **specifications(boards)}
    )
    opened.wait_for_function("Boolean(window.vegaEmbed)")
    yield opened, boards, said
    opened.close()


DRAW = """async ([name, selection]) => {
  let place = document.getElementById(name);
  if (!place) {
    place = document.createElement("div");
    place.id = name;
    document.querySelector("main").append(place);
  }
  const view = await resonanceCharts.draw(place, name, data, selection);
  return view === null ? null : view.data("rows").length;
}"""


@pytest.mark.parametrize("name", list(CHART_ROWS))
def test_a_chart_draws_the_rows_and_says_in_words_what_it_shows(charts, name):
    page, boards, said = charts
    assert page.evaluate(DRAW, [name, asdict(ALL)]) == len(CHART_ROWS[name](boards, ALL))
    place = page.locator(f"#{name}")
    assert place.locator("h3").inner_text() == CHART_TEXTS[name].title
    assert place.locator("svg path, svg text").count() > 20
    words = place.get_by_role("img").get_attribute("aria-label")
    assert words.startswith(CHART_TEXTS[name].title)
    assert "undefined" not in words
    assert "NaN" not in words
    assert len(words) > len(CHART_TEXTS[name].title) + 30
    assert "NaN" not in place.locator("svg").inner_html()
    assert said == []


def test_a_chart_is_also_a_table(charts):
    page, boards, said = charts
    page.evaluate(DRAW, ["rating", asdict(ALL)])
    place = page.locator("#rating")
    toggle = place.get_by_role("button", name="as table")
    toggle.click()
    rows = CHART_ROWS["rating"](boards, ALL)
    assert toggle.get_attribute("aria-pressed") == "true"
    assert not place.locator(".picture").is_visible()
    assert place.locator("th[scope=col]").all_inner_texts() == list(rows[0])
    assert place.locator("tbody tr").count() == len(rows)
    assert place.locator("tbody td").first.inner_text() == rows[0]["entry"]
    toggle.click()
    assert place.locator(".picture").is_visible()
    assert not place.locator("table").is_visible()
    assert said == []


def test_another_selection_is_drawn_in_the_place_of_the_first(charts):
    page, boards, said = charts
    page.evaluate(DRAW, ["accuracy", asdict(ALL)])
    some = ChartSelection(entries=SOME, tasks=[TASKS[0]])
    drawn = page.evaluate(DRAW, ["accuracy", asdict(some)])
    assert drawn == len(CHART_ROWS["accuracy"](boards, some))
    text = page.locator("#accuracy svg").text_content()
    assert "GraNet" not in text
    assert "Static random" in text
    assert page.locator("#accuracy svg").count() == 1
    assert said == []


def test_the_latest_selection_stays_whatever_is_drawn_first(charts):
    page, _, said = charts
    latest = """async ([first, last]) => {
      const place = document.createElement("div");
      document.querySelector("main").append(place);
      await Promise.all([first, last].map((s) => resonanceCharts.draw(place, "iqm", data, s)));
      return place.textContent;
    }"""
    text = page.evaluate(latest, [asdict(ALL), asdict(ChartSelection(entries=SOME))])
    assert "GraNet" not in text
    assert "RigL" in text
    assert said == []


def test_a_chart_without_rows_says_what_it_needs(charts):
    page, _, said = charts
    assert page.evaluate(DRAW, ["ranks", asdict(ChartSelection(entries=["SET"]))]) is None
    place = page.locator("#ranks")
    assert "needs two competitors" in place.inner_text()
    assert place.locator("svg").count() == 0
    assert not place.get_by_role("button").is_visible()
    assert page.evaluate(DRAW, ["ranks", asdict(ALL)]) > 0
    assert said == []


def test_competitors_that_a_chart_lacks_are_named(chromium, charts):
    page, _, said = charts
    boards = random_boards(5, tasks=TASKS[:2], methods=METHODS[:5])
    for board in boards[:1]:
        board.rows = [row for row in board.rows if row[0].method != "grasp"]
    lacking = {**page_data(boards), **specifications(boards)}
    page.evaluate("(d) => { window.kept = data; window.data = d; }", lacking)
    page.evaluate(DRAW, ["iqm", asdict(ALL)])
    assert "Without GraSP" in page.locator("#iqm .left-out").inner_text()
    page.evaluate("() => { window.data = kept; }")
    page.evaluate(DRAW, ["iqm", asdict(ALL)])
    assert not page.locator("#iqm .left-out").is_visible()
    assert said == []


def test_charts_follow_the_theme_and_fit_a_narrow_page(charts):
    page, _, said = charts
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    page.evaluate("document.querySelector('main').replaceChildren()")
    page.evaluate(DRAW, ["cost", asdict(ALL)])
    colours = page.locator("#cost svg text").evaluate_all(
        "(all) => [...new Set(all.map((one) => one.getAttribute('fill')))]"
    )
    assert "#1c1c1c" not in colours
    assert "#e8e8e8" in colours
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 900})
    assert said == []


def test_axe_finds_no_serious_fault_in_charts_and_tables(charts):
    from axe_playwright_python.sync_playwright import Axe

    page, _, _ = charts
    for name in ("rating", "win_rate"):
        page.evaluate(DRAW, [name, asdict(ALL)])
    page.locator("#rating").get_by_role("button", name="as table").click()
    rules = {"rules": {rule: {"enabled": False} for rule in ("page-has-heading-one", "region")}}
    violations = Axe().run(page, options=rules).response["violations"]
    bad = [v["id"] for v in violations if v["impact"] in ("serious", "critical")]
    page.locator("#rating").get_by_role("button", name="as table").click()
    assert bad == []
