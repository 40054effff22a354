"""Charts in pages: as wide as the page, whole, and without a word of complaint from Vega."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from leaderboard.ablation_effects import design_effects
from leaderboard.board_groups import board_groups
from leaderboard.boards import build_boards
from leaderboard.bundles.bundle_file import SHIPPED, ablation_trials, each_once, read_bundles
from leaderboard.chart_rows import CHART_ROWS
from leaderboard.pages.ablation_page import ablation_page
from leaderboard.pages.index_page import index_page
from tests.leaderboard.browsing import drawn
from tests.leaderboard.svg_texts import overlaps, texts

pytestmark = pytest.mark.browser

WIDE, PHONE = 1400, 390
SCROLLED = {WIDE: set(), PHONE: {"win_rate", "ranks"}}
"""Charts that are wider than a narrow page, and scrolled in their own box."""


@pytest.fixture(scope="module")
def site(tmp_path_factory, planted_site) -> Path:
    """Return a site whose main page and ablation are of the shipped records."""
    folder = tmp_path_factory.mktemp("charts") / "site"
    shutil.copytree(planted_site, folder)
    every, _ = read_bundles(SHIPPED)
    apart = ablation_trials(every)
    records = [r for one in each_once(every) for r in one.records if r.key not in apart]
    boards, excluded = build_boards(records)
    groups = board_groups(boards)
    page = index_page(groups[0].boards, excluded, groups=groups)
    (folder / "index.html").write_text(page, encoding="utf-8")
    (sent,) = (one for one in every if one.ablation is not None)
    by_key = {record.key: record for record in sent.records}
    assert design_effects(sent.ablation, by_key.get)
    (folder / "ablations").mkdir(exist_ok=True)
    page = ablation_page(sent.ablation, by_key.get, sent.sender)
    (folder / "ablations" / "one.html").write_text(page, encoding="utf-8")
    return folder


def opened(chromium: Any, address: Path, width: int, said: list[str]) -> Any:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address.as_uri())
    return page


BEYOND = """(svg) => {
  const {left, right, top, bottom} = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return text.textContent && getComputedStyle(text).opacity !== "0" && box.width && (
      box.left < left - 1 || box.right > right + 1 || box.top < top - 2 || box.bottom > bottom + 2);
  }).map((text) => text.textContent);
}"""
"""Find the texts that the edge of a picture cuts off."""
WRITTEN = "(svg) => new XMLSerializer().serializeToString(svg)"


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_charts_of_the_shipped_boards_are_whole_and_as_wide_as_the_page(chromium, site, width):
    said: list[str] = []
    page = opened(chromium, site / "index.html", width, said)
    for name in (one for one in CHART_ROWS if one != "score"):
        figure = drawn(page, name)
        page.wait_for_function(
            "(name) => document.querySelector(`[data-drawn=${name}] svg`)", arg=name
        )
        svg = figure.locator("svg").first
        assert svg.evaluate(BEYOND) == [], name
        shown, room = (
            svg.evaluate("(one) => one.getBoundingClientRect().width"),
            figure.evaluate("(one) => one.clientWidth"),
        )
        if name not in SCROLLED[width]:
            assert shown <= room + 6, (name, shown, room)
        if name != "win_rate":
            assert shown >= 0.93 * room, (name, shown, room)
        labels = [text for text in texts(svg.evaluate(WRITTEN)) if text.size == 11]
        assert overlaps(labels) == [], name
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    page.close()


@pytest.mark.parametrize("kind", ["tasks/*", "methods/rigl-*", "ablations/*"])
def test_charts_of_other_pages_say_nothing_either(chromium, site, kind):
    said: list[str] = []
    address = sorted(site.glob(f"{kind}.html"))[0]
    page = opened(chromium, address, PHONE, said)
    page.locator("[data-drawn]").first.wait_for()
    page.wait_for_function(
        "document.querySelectorAll('[data-drawn]').length"
        " === document.querySelectorAll('.drawing').length"
    )
    for svg in page.locator(".drawing svg").all():
        assert svg.evaluate(BEYOND) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert said == []
    page.close()
