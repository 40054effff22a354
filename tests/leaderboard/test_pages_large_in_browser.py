"""Two thousand rows of the main page in a real browser (how fast: suite/bench/page.py)."""

import pytest

from leaderboard.pages.index_page import index_page
from suite.bench.page import TIMES, large_boards
from tests.leaderboard.browsing import write_page

pytestmark = pytest.mark.browser

ROWS = "#cells > tbody > tr:not(.runs)"


def test_two_thousand_rows_are_sorted_filtered_and_shown(chromium, tmp_path):
    path = write_page(tmp_path / "large.html", index_page(large_boards(), []))
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{path.as_uri()}#sparsity=all")
    assert page.inner_text("#count") == "2000 rows"
    page.wait_for_selector("#cells[data-prepared]")
    times = page.evaluate(TIMES)
    assert len(times) > 1
    assert all(milliseconds > 0 for milliseconds in times.values())
    assert page.locator(ROWS).count() == 50
    assert page.inner_text("#more") == "Show 1950 more rows"
    page.locator("#more").press("Enter")
    assert page.locator(ROWS).count() == 2000
    page.close()
