"""Charts follow the width of the window, on the main page and on the pages below it."""

import pytest

from tests.leaderboard.browsing import DESK, PHONE, drawn

pytestmark = pytest.mark.browser

FITS = """([chart, before]) => {
  document.querySelector(chart).scrollIntoView({ block: "center" });
  const svg = document.querySelector(`${chart} svg`), { clientWidth } = svg.closest("figure");
  const { width } = svg.getBoundingClientRect();
  return width !== before && width <= clientWidth && width;
}"""
"""Whether a chart has another width than before, and room in its figure; its width.

It is scrolled into view: above it the page grows when it becomes narrow, and charts that are out of
view are drawn again when they come into view.
"""


def widths(page, chart: str, before: float) -> list[float]:
    """Make the window as narrow as a phone and wide again; return the chart's widths."""
    found = []
    for viewport in (PHONE, DESK):
        page.set_viewport_size(viewport)
        before = page.wait_for_function(FITS, arg=[chart, before]).json_value()
        found.append(before)
    return found


def test_a_chart_of_the_main_page_is_drawn_again_for_another_width(visit):
    page = visit()
    before = drawn(page, "rating").locator("svg").bounding_box()["width"]
    narrow, wide = widths(page, "[data-chart=rating]", before)
    assert narrow <= PHONE["width"] < wide
    assert abs(wide - before) < 3


def test_a_chart_of_a_task_is_drawn_again_for_another_width(chromium, planted_site):
    page = chromium.new_page(viewport=DESK)
    page.goto(next((planted_site / "tasks").glob("*.html")).as_uri())
    chart = "[data-drawn=true]"
    before = page.locator(f"{chart} svg").first.bounding_box()["width"]
    narrow, wide = widths(page, chart, before)
    assert narrow <= PHONE["width"] < wide
    page.close()
