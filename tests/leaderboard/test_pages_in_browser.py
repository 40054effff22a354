"""The main page in a real browser, opened from disk without a network."""

import io
import itertools
import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from leaderboard.board_claims import board_claims
from leaderboard.boards import Board, build_boards
from leaderboard.charts.board_charts import CHART_TEXTS
from leaderboard.overview import overview
from leaderboard.overview_text import overview_table
from leaderboard.pages.index_page import index_page
from leaderboard.score_text import shown_metric
from leaderboard.site.build import build
from leaderboard.terms import EQUAL_STEPS
from suite.core.errors import TrialFailed
from suite.results.record import failed
from suite.results.store import Store
from suite.results.stored_curves import schema
from tests.leaderboard.browsing import (
    DESK,
    PHONE,
    ROWS,
    address,
    column,
    download,
    drawn,
    push,
    texts,
    write_page,
)
from tests.leaderboard.random_boards import random_boards
from tests.leaderboard.sample_boards import SCRIPT, TASKS, planted
from tests.leaderboard.test_overview import board
from tests.support.sample_records import done, make_trial

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    return build_boards(planted())[0]


# ---------------------------------------------------------------- the overview


def overview_of(page: Any) -> list[list[str]]:
    """Return the finding, the note, and the texts of heads and rows, with what plots say."""
    parts = [
        "#finding dt, #finding dd", "#overview-note", "#overview thead th", "#overview tbody th",
        "#overview tbody td",
    ]  # fmt: skip
    plots = page.locator("#overview svg.forest").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('aria-label') + "
        "one.innerHTML.replace(/<title>.*<.title>/, ''))"
    )
    return [*(texts(page, part) for part in parts), plots]


def written_by_python(boards: Any, *given: Any, **options: Any) -> dict[str, list[str]]:
    """Return the finding by heading, and the rows by label: rank, difference, cost, share, counts.

    Of tasks: the differences, and what the plots say."""
    found_by = overview(boards, *given, **options)
    table = overview_table(found_by, EQUAL_STEPS)
    found = {part.heading: [part.text] for part in table.finding}
    shown = table.columns
    for line in table.lines:
        if line.row.cost is not None:
            gaps = [f"{one.number} {one.ends}".strip() if one else ""
                    for one in (line.over_tasks, *line.cells)]  # fmt: skip
            if line.row.entry.label == found_by.reference:
                gaps[not shown.over_tasks] = "reference"
            half = f" ± {line.score_half}" if line.score_half else ""
            columns = [
                (shown.score, f"{line.score}{half}"),
                (shown.ranks, f"{line.rank} {line.rank_ends}".strip()
                 or ("not ranked" if line.reason else "")),
                (shown.over_tasks, gaps[0]),
                (shown.costs, line.cost),
                (shown.shares, f"{line.share} {line.share_ends}".strip()),
                (shown.counts, line.counts),
            ]  # fmt: skip
            found[line.row.entry.label] = [text for kept, text in columns if kept] + gaps[1:]
            found[f"plots of {line.row.entry.label}"] = [one.words for one in line.cells if one]
    return found


def shown_in_browser(page: Any) -> dict[str, list[str]]:
    heads, said = texts(page, "#finding dt"), texts(page, "#finding dd")
    found = {head: [text] for head, text in zip(heads, said, strict=True)}
    for row in page.locator("#overview tbody > tr").all():
        label, cells = row.locator("th .name").inner_text(), texts(row, "td")
        if len(cells) > 1:
            found[label] = [re.sub("[◂▸ ]+$", "", text).strip() for text in cells]
            found[f"plots of {label}"] = row.locator("td.task svg").evaluate_all(
                "(all) => all.map((one) => one.getAttribute('aria-label'))"
            )
    return found


def test_the_overview_is_the_same_with_and_without_a_script(visit):
    plain, scripted = visit(java_script_enabled=False), visit("planted", "sort=method")
    assert overview_of(plain) == [
        [text.removeprefix("▸ ") for text in part] for part in overview_of(scripted)
    ]
    assert all(overview_of(plain))
    assert plain.locator("#cells").is_hidden()


VIEWS_OF_OVERVIEW = {
    "sparsity=all": ([0.8, 0.9, 0.98], "rigl"),
    "sparsity=0.9&reference=SET": ([0.9], "set"),
    "sparsity=0.8&sparsity=0.9&reference=GraNet": ([0.8, 0.9], "granet"),
    "sort=method": (None, "rigl"),  # the default view, drawn by the script
}
"""Views in the address, with the sparsities and the reference that they stand for."""


def test_every_view_says_what_python_says(visit, pages, boards):
    page = visit()
    for view, (sparsities, reference) in VIEWS_OF_OVERVIEW.items():
        page.goto(f"{pages['planted'].as_uri()}#{view}")
        expected = written_by_python(boards, sparsities, reference)
        page.wait_for_function(
            "(said) => document.querySelector('#finding dd').innerText === said",
            arg=next(iter(expected.values()))[0],
        )
        assert shown_in_browser(page) == expected, view


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_boards_are_shown_as_python_shows_them(chromium, tmp_path, seed):
    boards = random_boards(seed)
    page = chromium.new_page()
    address = write_page(tmp_path / "page.html", index_page(boards, [])).as_uri()
    page.goto(f"{address}#sort=method")  # so that the script draws it
    page.wait_for_function("document.getElementById('count').textContent !== ''")
    assert shown_in_browser(page) == written_by_python(boards)
    page.close()


SMALL_BOARDS = {
    "two methods on a task": [board("a/b_c", {"set": 0.9, "rigl": 0.8})],
    "one method": [board("t", {"rigl": 0.9})],
    "one seed": [board("t", {"rigl": 0.9, "set": 0.8}, seeds=1)],
    "no dense run": [board("t", {"rigl": 0.9, "set": 0.8}, dense=False)],
    "no dense run on a task": [
        board("t", {"rigl": 0.9, "set": 0.8, "snip": 0.7}),
        board("u", {"rigl": 0.8, "set": 0.9, "snip": 0.7}, dense=False),
        board("v", {"snip": 0.7}),
    ],
    "two metrics": random_boards(4, tasks=TASKS, metrics=["test_r2", "test_rmse"]),
}


@pytest.mark.parametrize("kind", SMALL_BOARDS)
def test_few_tasks_methods_and_seeds_are_described_as_python_describes_them(
    chromium, tmp_path, kind
):
    path = write_page(tmp_path / "page.html", index_page(SMALL_BOARDS[kind], []))
    page, plain = chromium.new_page(), chromium.new_context(java_script_enabled=False).new_page()
    page.goto(f"{path.as_uri()}#sort=method")  # so that the script draws it
    page.wait_for_function("document.getElementById('count').textContent !== ''")
    plain.goto(path.as_uri())
    found = [[text.removeprefix("▸ ") for text in part] for part in overview_of(page)]
    assert found == overview_of(plain)
    assert len(page.locator("#overview thead th").all()) == len(
        page.locator("#overview tbody tr:last-child").locator("th, td").all()
    )
    page.close()


def test_a_row_of_the_overview_opens_to_its_cells_with_what_went_wrong(visit):
    page = visit("planted", "sparsity=all")
    for label in ("SET", "SNIP", "GraNet", "Resonance", "Static random"):
        push(page.get_by_role("button", name=f"Cells of {label}", exact=True))
    reasons = page.locator("#overview .mark").evaluate_all(
        "(all) => all.map((one) => [one.firstChild.data, one.dataset.reason])"
    )
    assert ["✕5", "5 failed: loss is not finite"] in reasons
    assert ["n=3", "n = 3: fewer than 5 seeds support no claim"] in reasons
    assert ["–", "not run: there is no trial"] in reasons
    assert ["s=50.0 %", "50.0 % of the weights are zero, not the nominal 98 %"] in reasons
    (old,) = [reason for sign, reason in reasons if sign == "↺1"]
    assert old.startswith("1 out of date: method resonance is at revision")
    page.locator("#overview .mark.failed").hover()
    assert page.locator(".reason").inner_text() == "5 failed: loss is not finite"
    page.keyboard.press("Escape")
    assert page.locator(".reason").is_hidden()
    links = page.locator("#overview .runs a").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('href'))"
    )
    assert "compare.html#a=SET&b=RigL&terms=equal-steps" in links
    assert sum(link.startswith("trials/") for link in links) > 100
    push(page.get_by_role("button", name="Cells of SET", exact=True))
    assert page.locator("#overview .runs").count() == 4


def test_signs_take_one_stop_of_the_tab_key_and_arrow_keys_go_on_from_there(visit):
    page = visit()
    assert page.locator('#cells .mark[tabindex="0"]').count() == 1
    page.focus('#cells .mark[tabindex="0"]')
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.dataset.reason")
    assert page.locator(".reason").inner_text() == focused != ""


@pytest.mark.parametrize("metrics", [["test_accuracy"], ["test_rmse"], ["test_r2", "test_rmse"]])
def test_a_page_says_what_it_shows_in_the_words_of_python(chromium, tmp_path, metrics):
    boards = random_boards(1, tasks=TASKS[: len(metrics)], metrics=metrics)
    page = chromium.new_page()
    page.goto(write_page(tmp_path / "page.html", index_page(boards, [])).as_uri())
    page.wait_for_function("document.getElementById('count').textContent !== ''")
    assert page.inner_text("#metric-shown") == shown_metric([board.metric for board in boards])


def test_a_page_of_failed_trials_alone_shows_them(chromium, tmp_path):
    """None of their columns is in the data of the page."""
    boards, _ = build_boards([failed(make_trial("rigl"), TrialFailed("loss is not finite"))])
    page, wrong = chromium.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(write_page(tmp_path / "page.html", index_page(boards, [])).as_uri())
    page.wait_for_function("document.getElementById('count').textContent !== ''")
    assert page.inner_text("#count").startswith("1 row")
    assert "failed" in page.inner_text("#overview")
    assert wrong == []


def test_another_column_is_compared_in_its_own_direction(visit, boards):
    page = visit("planted", "sparsity=0.8")
    page.select_option("#metric", "seconds_per_step")
    assert "lower is better" in page.inner_text("#metric-shown")
    # The time of a step grows with the length of the method's name.
    assert texts(page, "#overview tbody th .name")[1:5] == ["SET", "RigL", "SNIP", "GraNet"]
    assert "+ being better" in page.inner_text("#finding")
    assert address(page) == "metric=seconds_per_step&sparsity=0.8"


def test_choosing_competitors_ranks_them_anew_as_python_does(visit, boards):
    page = visit("planted", "sparsity=0.8&columns=test_accuracy")
    push(page.locator("summary:has(#competitors)"))
    for label in ("RigL", "GraNet"):
        page.locator("#entries label", has_text=label).locator("input").uncheck()
    assert page.inner_text("#competitors") == "5 of 7"
    left = [
        replace(board, rows=[row for row in board.rows if row[0].label not in ("RigL", "GraNet")])
        for board in boards
    ]
    expected = written_by_python(left, [0.8])
    assert shown_in_browser(page) == expected
    assert "Against RigL" not in expected
    assert "entry=SET" in address(page)
    assert page.inner_text("#count") == "10 of 37 rows"
    found = {row[0].removeprefix("▸ "): row[4] for row in rows_of_cells(page) if row[1] == TASKS[0]}
    narrow = [
        replace(one, sparsities=[0.8], rows=[(e, cells[:1]) for e, cells in one.rows])
        for one in left
    ]
    ranks = board_claims(narrow).ranks[TASKS[0], 0.8]
    for entry, (low, high) in ranks.items():
        assert f"rank {low}" + (f"–{high}" if high > low else "") in found[entry.label]


def rows_of_cells(page: Any) -> list[list[str]]:
    return [texts(row, "th, td") for row in page.locator(ROWS).all()]


def test_no_reference_means_no_comparison(visit):
    page = visit()
    page.select_option("#reference", "")
    assert page.inner_text("#overview-note") == ""
    assert page.locator("#overview svg").count() == 0
    assert "Against" not in page.inner_text("#finding")
    assert address(page) == "reference=-"


def test_comparisons_are_corrected_over_what_is_shown(visit, boards):
    page = visit()
    push(page.locator("summary:has(#tasks-chosen)"))
    page.locator("#tasks label", has_text=TASKS[0]).locator("input").uncheck()
    assert page.inner_text("#tasks-chosen") == "1 of 2"
    narrow = overview_table(overview(boards[1:], [0.98]), EQUAL_STEPS)
    assert page.inner_text("#overview-note") == narrow.note
    assert narrow.note != overview_table(overview(boards), EQUAL_STEPS).note
    assert shown_in_browser(page) == written_by_python(boards[1:], [0.98])


def test_tasks_and_sparsities_can_be_chosen(visit):
    page = visit()
    push(page.locator("summary:has(#tasks-chosen)"))
    page.locator("#tasks label", has_text=TASKS[0]).locator("input").uncheck()
    page.keyboard.press("Escape")
    page.locator("#sparsities label", has_text="90 %").click()
    assert set(column(page, 2)) == {TASKS[1]}
    assert set(column(page, 3)) == {"dense", "0.9"}
    assert address(page) == "task=fashion_mnist%2Flenet_300_100&sparsity=0.9"


# ---------------------------------------------------------------- charts


def test_charts_are_drawn_when_they_are_seen_and_follow_what_is_chosen(visit):
    page = visit()
    names = page.locator("#charts figure").evaluate_all("(all) => all.map((x) => x.dataset.chart)")
    assert names == [name for name in CHART_TEXTS if name != "score"]
    assert page.locator("#charts [data-drawn=calibration]").count() == 0
    for name in names:
        if name != "controls":  # no method of this board has its control on it
            drawn(page, name)
    page.locator("[data-chart=controls]").wait_for(state="hidden")
    page.locator("[data-chart=rating]").scroll_into_view_if_needed()
    assert "SNIP" in page.locator("[data-chart=rating] svg").inner_html()
    page.evaluate(
        "[...document.querySelectorAll('#entries label')]"
        ".find((one) => one.title === 'SNIP').querySelector('input').click()"
    )
    page.wait_for_function(
        "!document.querySelector('[data-chart=rating] svg').innerHTML.includes('SNIP')"
    )
    assert "RigL" in page.locator("[data-chart=rating] svg").inner_html()


# ---------------------------------------------------------------- everybody


@pytest.mark.parametrize("name", ["planted", "hostile"])
def test_a_phone_shows_it_without_scrolling_sideways(visit, name):
    page = visit(name, viewport=PHONE, has_touch=True, is_mobile=True)
    push(page.locator("#cells button.open").first)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= PHONE["width"]
    for panel in page.locator("details.panel > summary").all():
        push(panel)
        assert page.evaluate(wide) <= PHONE["width"]
        page.keyboard.press("Escape")
    name_and_score = page.locator("#overview tbody tr:first-child").locator("th, td >> nth=0")
    boxes = [one.bounding_box() for one in name_and_score.all()]
    assert all(box["x"] + box["width"] <= PHONE["width"] for box in boxes)


SEVEN_TASKS = [f"fashion_mnist_{number}/lenet_300_100" for number in range(7)]


@pytest.mark.parametrize(
    ("wide", "high", "needed"), [(1400, 900, "#overview tbody td.plot"), (390, 844, ".all-tasks")]
)
def test_differences_are_read_as_numbers_on_a_desk_and_on_a_phone(
    chromium, tmp_path, wide, high, needed
):
    boards = random_boards(0, tasks=SEVEN_TASKS, sparsities=(0.98,), seeds=8)
    path = write_page(tmp_path / "page.html", index_page(boards, []))
    page = chromium.new_page(viewport={"width": wide, "height": high})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    for row in page.locator("#overview tbody tr:not(.reference, .chosen)").all():
        for cell in row.locator(needed.split(" ")[-1]).all():
            assert re.match(r"[+−]?\d+\.\d+ \[−?\d+\.\d+, −?\d+\.\d+\]", texts_of(cell))
            box = cell.locator("small").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= wide
    if wide > high:  # the answers are on the first screen
        found = page.locator("#finding").bounding_box()
        assert found["y"] + found["height"] < high
    page.close()


def texts_of(cell: Any) -> str:
    return " ".join(cell.inner_text().split())


OVERFLOWING = """() => [...document.querySelectorAll(".drawing")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.id)"""
LABELS = """() => [...document.querySelectorAll(".role-row-header .role-title-text text")]
  .map((one) => one.getBoundingClientRect()).map((box) => [box.top, box.bottom])"""


def test_a_phone_shows_the_curves_of_a_trial_with_their_legends(chromium, tmp_path):
    record = done(make_trial("rigl"))
    rows = [(0, severity, f"corruption_{kind}", "", 0, 1.0 - 0.1 * severity)
            for kind in ("brightness", "translation") for severity in (1, 2, 3)]  # fmt: skip
    written = io.BytesIO()
    pl.DataFrame(rows, schema=schema(), orient="row").write_parquet(written)
    store = Store(tmp_path / "results")
    files = {"record.json": record.to_json(), "curves.parquet": written.getvalue()}
    store.write(record.key, files)
    build(store, tmp_path / "site")
    page = chromium.new_page(viewport=PHONE)
    page.goto((tmp_path / "site" / "trials" / f"{record.key}.html").as_uri())
    page.locator("#chart-robustness").scroll_into_view_if_needed()
    page.locator("#chart-robustness[data-drawn=true]").wait_for()
    assert "translation" in page.locator("#chart-robustness svg").inner_html()
    assert page.evaluate(OVERFLOWING) == []
    page.close()


def test_titles_of_boards_do_not_overlap_in_a_chart(chromium, tmp_path):
    recipe = {"epochs": 5, "validation": 0.0, "learning_rate": 0.05}
    records = [
        done(make_trial("rigl", task=task, sparsity=sparsity, recipe=recipe))
        for task in TASKS
        for sparsity in (0.8, 0.9)
    ]
    path = write_page(tmp_path / "index.html", index_page(build_boards(records)[0], []))
    page = chromium.new_page(viewport=DESK)
    page.goto(path.as_uri())
    drawn(page, "accuracy")
    places = sorted(page.evaluate(LABELS))
    assert len(places) == 2
    assert all(above[1] <= below[0] for above, below in itertools.pairwise(places))
    page.close()


@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESK), ("dark", PHONE)])
def test_there_is_no_serious_fault_of_accessibility(visit, scheme, viewport):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(color_scheme=scheme, viewport=viewport)
    drawn(page, "rating")
    push(page.locator("#cells button.open").nth(1))
    push(page.locator("summary:has(#competitors)"))
    found = [
        (fault["id"], fault["impact"], [node["html"][:200] for node in fault["nodes"]][:3])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical") or fault["id"] == "landmark-unique"
    ]
    assert found == []


# ---------------------------------------------------------------- who wants to do harm


def test_hostile_texts_are_shown_and_not_run(visit):
    page = visit("hostile")
    push(page.locator("#cells button.open").first)
    page.mouse.move(200, 600)
    assert page.evaluate("window.harmed") is None
    assert any(SCRIPT in label for label in texts(page, "#overview tbody th"))
    assert page.locator("main img, main script, [onmouseover]").count() == 0
    places = page.locator("main a[href]").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('href'))"
    )
    folders = ("tasks/", "methods/", "trials/", "#", "leaderboard.", "trials.csv", "paper.html")
    assert [place for place in places if not place.startswith(folders) or ".." in place] == []


def test_a_script_that_is_not_ours_may_not_run(chromium, pages, tmp_path):
    """The last line: were markup ever let through, the policy of the page stops what it says."""
    markup = (
        "<script>window.harmed = 1</script><script src='data:,window.harmed=2'></script>"
        '<img src=x onerror="window.harmed = 3"><a href="javascript:window.harmed = 4">x</a>'
    )
    text = pages["planted"].read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(text.replace("</main>", f"{markup}</main>", 1))
    page = chromium.new_page()
    page.add_init_script(
        "window.refused = []; document.addEventListener('securitypolicyviolation', (one) => "
        "one.violatedDirective.startsWith('script-src') && refused.push(one))"
    )
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("main > script").count() == 2  # it is markup
    page.locator("main > a[href^=javascript]").press("Enter")
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.harmed=5\">')"
    )
    page.wait_for_function("refused.length >= 5 || window.harmed")  # of the five scripts above
    assert page.evaluate("window.harmed") is None
    page.close()


def test_a_downloaded_text_is_no_formula(visit):
    rows = download(visit("hostile"))
    begun = [field for row in rows for field in row if field.startswith(("=", "+", "@"))]
    assert begun == []
    assert any(field.startswith("'=cmd|") for row in rows for field in row)
    assert any(re.search(r"a,b\W+c\"d", field) for row in rows for field in row)
    assert {len(row) for row in rows} == {len(rows[0])}
