"""Charts of the main page as files and on paper, in a real browser without a network."""

import re
import zlib
from typing import Any

import pytest

from leaderboard.charts.board_charts import CHART_TEXTS
from tests.leaderboard.browsing import drawn, saved

pytestmark = pytest.mark.browser

SAVED = {
    "svg": (b"<svg", b"</svg>"),
    "png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
}
"""How files begin and end."""


def test_every_chart_can_be_saved(visit):
    page = visit(color_scheme="dark")
    for name in (one for one in CHART_TEXTS if one not in ("score", "controls")):
        figure = drawn(page, name)
        for kind, (begin, end) in SAVED.items():
            button = figure.get_by_role("button", name=f"{kind.upper()}: save the chart")
            assert button.get_attribute("aria-label").endswith(CHART_TEXTS[name].title)
            file, content = saved(page, figure, kind)
            assert file == f"{name}.{kind}"
            assert len(content) > 1000
            assert content.startswith(begin)
            assert content.endswith(end)


def test_what_is_saved_is_what_is_chosen_in_light_colours_on_white(visit):
    page = visit("planted", "entry=RigL&entry=SET&entry=SNIP", color_scheme="dark")
    figure = drawn(page, "rating")
    assert "#e8e8e8" in figure.locator("svg").inner_html()
    picture = saved(page, figure, "svg")[1].decode()
    assert 'fill="white"' in picture
    assert "#1c1c1c" in picture
    assert "#e8e8e8" not in picture
    assert "Liberation Sans" in picture
    assert all(label in picture for label in ("Rating", "RigL", "SET", "SNIP"))
    assert "GraNet" not in picture
    png = saved(page, figure, "png")[1]
    width = re.search(r'<svg[^>]* width="(\d+)"', picture)
    assert width is not None
    assert int.from_bytes(png[16:20], "big") == 2 * int(width[1])


# ---------------------------------------------------------------- paper


def colours(page: Any, selector: str) -> set[str]:
    return set(page.locator(f"{selector} svg text").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('fill'))"))  # fmt: skip


def test_paper_shows_charts_in_dark_ink_within_the_page(visit):
    page = visit(color_scheme="dark", viewport={"width": 718, "height": 1000})
    drawn(page, "win_rate")
    assert "#e8e8e8" in colours(page, "[data-chart=win_rate]")
    page.emulate_media(media="print")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart=win_rate] svg text')]"
        ".some((one) => one.getAttribute('fill') === '#1c1c1c')"
    )
    page.wait_for_function(  # charts are drawn again one after the other
        "[...document.querySelectorAll('#charts svg text')]"
        ".every((one) => one.getAttribute('fill') !== '#e8e8e8')"
    )
    for picture in page.locator("#charts .picture:visible").all():
        assert picture.evaluate("(one) => getComputedStyle(one).overflowX") == "visible"
    beyond = "Math.max(...[...document.querySelectorAll('svg, table')].map((one) => one.getBoundingClientRect().right))"  # noqa: E501
    assert page.evaluate(beyond) <= 718
    assert page.locator("[data-save]:visible, .controls:visible").count() == 0
    assert page.locator("#cells .mark:visible, #cells th button:visible").count() > 8
    page.emulate_media(media="screen")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart=win_rate] svg text')]"
        ".some((one) => one.getAttribute('fill') === '#e8e8e8')"
    )


def test_what_is_printed_from_a_dark_page_has_every_chart_in_dark_ink(visit):
    page = visit(color_scheme="dark")
    drawn(page, "accuracy")
    content = page.pdf(format="A4", prefer_css_page_size=True)
    drawings = b"".join(
        zlib.decompressobj().decompress(part)
        for part in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
        if part.startswith(b"x")
    )
    pale, ink = (rb"(?:\.%b\d* ){3}rg" % grey for grey in (b"9098", b"1098"))
    assert re.search(pale, drawings) is None
    assert len(re.findall(ink, drawings)) > 50
    for name in (one for one in CHART_TEXTS if one not in ("score", "controls")):
        assert page.locator(f"[data-drawn={name}]").count() == 1
