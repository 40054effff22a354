"""The table of all cells of the main page, in a real browser: order, filters, download, address."""

import pytest

from leaderboard.boards import Board, build_boards
from leaderboard.statistics.intervals import mean_interval
from tests.leaderboard.browsing import ROWS, address, column, download, push, texts
from tests.leaderboard.sample_boards import TASKS, planted

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    return build_boards(planted())[0]


def test_intervals_are_those_of_python(visit, boards):
    page = visit("planted", "sparsity=all&columns=test_accuracy&sort=-test_accuracy")
    rows = download(page)
    (entry, cells) = next(row for row in boards[0].rows if row[0].method == "granet")
    interval = mean_interval(cells[1].scores)
    (found,) = [row for row in rows if row[:3] == [entry.label, TASKS[0], "0.9"]]
    assert [float(x) for x in found[4:7]] == pytest.approx(
        [interval.mean, interval.low, interval.high], rel=1e-12
    )


def test_every_heading_sorts_and_cells_without_a_value_come_last(visit):
    page = visit("planted", "sparsity=all")
    heading = page.locator("#cells button.sort", has_text="test accuracy")
    push(heading)
    scores = [text.split(" ")[0] for text in column(page, 5)]
    assert scores[-1] == "–"
    assert scores[:-1] == sorted(scores[:-1], key=float, reverse=True)
    assert heading.locator("xpath=..").get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.activeElement.dataset.sort") == "test_accuracy"
    push(heading)
    again = [text.split(" ")[0] for text in column(page, 5)]
    assert again[-1] == "–"
    assert again[:-1] == sorted(scores[:-1], key=float)
    push(heading)
    assert address(page) == "sparsity=all"
    push(page.locator('#cells button.sort[data-sort="method"]'))
    methods = column(page, 1)
    assert methods == sorted(methods, key=lambda text: text.split(maxsplit=1)[-1].lower())
    assert page.locator("#cells thead button.sort").count() == 8


VIEWS = {
    "search=RIGL&sparsity=all": 6,
    "search=set+0.9&sparsity=all": 0,
    "search=fashion+static&sparsity=all": 3,
    "family=sparse+to+sparse&sparsity=0.9": 8,
    "claims=1&sparsity=all": 35,
    "settings=tuned&sparsity=all": 0,
    "budget=as+declared&sparsity=all": 37,
}
"""Filters in the address, and how many rows they leave."""


def test_filters_leave_the_rows_they_name(visit, pages):
    """The page is opened with the first and follows its address to the others."""
    page = visit("planted", next(iter(VIEWS)))
    for view, rows in VIEWS.items():
        page.goto(f"{pages['planted'].as_uri()}#{view}")
        said = "37 rows" if rows == 37 else f"{rows} of 37 rows"
        page.wait_for_function(
            "(said) => document.getElementById('count').innerText === said", arg=said
        )
        assert page.locator(ROWS).count() == rows, view
        assert page.locator("#nothing").is_visible() == (rows == 0), view
        assert len(download(page)) == rows + 1, view


def test_a_row_opens_to_its_runs(visit):
    page = visit("planted", "search=rigl&task=digits/mlp&sparsity=0.9")
    button = page.locator("#cells button.open")
    assert button.get_attribute("aria-label") == "Runs of RigL on digits/mlp at 0.9"
    push(button)
    assert button.get_attribute("aria-expanded") == "true"
    assert texts(page, "#cells .runs tbody th") == ["0", "1", "2", "3", "4"]
    assert texts(page, "#cells .runs tbody td:nth-child(2)")[0] == "92.70"
    keys = texts(page, "#cells .runs tbody a")
    links = page.locator("#cells .runs tbody a").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('href'))"
    )
    assert links == [f"trials/{key}.html" for key in keys]
    push(button)
    assert page.locator("#cells .runs").count() == 0


def test_what_is_shown_downloads_as_csv(visit):
    page = visit("planted", "sparsity=all")
    push(page.locator("summary:has-text('Columns')"))
    page.locator("#columns label", has_text="inference FLOPs").locator("input").uncheck()
    page.locator("#columns label", has_text="NLL").locator("input").check()
    page.fill("#search", "granet")
    push(page.locator('#cells button.sort[data-sort="sparsity"]'))
    head, *rows = download(page)
    assert head[:10] == ["method", "task", "sparsity", "seeds", "test_accuracy",
                         "test_accuracy_low", "test_accuracy_high", "test_accuracy_n",
                         "test_accuracy_rank_best", "test_accuracy_rank_worst"]  # fmt: skip
    assert "test_nll" in head
    assert "inference_flops" not in head
    assert [row[2] for row in rows] == column(page, 3)
    assert [f"{100 * float(row[4]):.2f}" for row in rows] == [
        text.split(" ")[0] for text in column(page, 5)
    ]
    assert {row[0] for row in rows} == {"GraNet"}


def test_the_view_is_in_the_address_and_comes_back_from_it(visit):
    page = visit()
    page.select_option("#metric", "training_flops")
    page.fill("#search", "a")
    page.check("#claims")
    page.select_option("#family", "sparse to sparse")
    page.locator("#sparsities label", has_text="90 %").click()
    push(page.locator('#cells button.sort[data-sort="seconds_per_step"]'))
    shown, view = column(page, 1), address(page)
    again = visit("planted", view)
    assert column(again, 1) == shown != []
    assert again.input_value("#metric") == "training_flops"
    assert again.input_value("#search") == "a"
    assert address(again) == view
    push(page.locator("[data-reset]").last)
    assert address(page) == ""
    assert page.inner_text("#count") == "13 of 37 rows"
    assert page.locator("#sparsities input:checked").get_attribute("value") == "0.98"


def test_a_link_within_the_page_leaves_the_view_in_the_address(visit):
    page = visit("planted", "search=rigl")
    page.click("header a[href='#meaning']")
    assert address(page) == "search=rigl"
    assert page.evaluate("document.activeElement.id") == "meaning"


def test_a_link_to_what_is_folded_up_opens_it(visit):
    page = visit()
    page.locator("a[href='#coverage']").press("Enter")
    assert page.locator("details:has(#coverage)").get_attribute("open") == ""
    assert page.evaluate("document.activeElement.id") == "coverage"
    assert page.get_by_text("mean rank (expected), 5 seeds").is_visible()


def test_an_address_that_names_what_is_not_there_is_ignored(visit):
    page = visit("planted", "metric=x&task=y&sort=-z&columns=q,test_nll&sparsity=2&entry=%00&=&&a")
    assert page.inner_text("#count") == "13 of 37 rows"
    assert page.locator("#cells thead th").count() == 5
