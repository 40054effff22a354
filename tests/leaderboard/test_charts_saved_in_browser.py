"""Charts of the main page as files and on paper, in a real browser without a network."""

import re
import zlib
from typing import Any

import pytest

from leaderboard.charts.board import ABOUT
from tests.leaderboard.browsing import drawn, saved

SAVED = {
    "svg": (b"<svg", b"</svg>"),
    "png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    "pdf": (b"%PDF-1.", b"%%EOF\n"),
}
"""How files begin and end."""


@pytest.mark.parametrize("kind", list(SAVED))
def test_every_chart_can_be_saved(visit, kind):
    page = visit(color_scheme="dark")
    for name in ABOUT:
        figure = drawn(page, name)
        button = figure.get_by_role("button", name=f"{kind.upper()}: save the chart")
        assert button.get_attribute("aria-label").endswith(ABOUT[name].title)
        file, content = saved(page, figure, kind)
        assert file == f"{name}.{kind}"
        assert len(content) > 1000
        begin, end = SAVED[kind]
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
    texts_of_pdf = re.findall(rb"\((.*?)\) Tj", saved(page, figure, "pdf")[1])
    assert {b"Rating", b"RigL", b"SET", b"SNIP"} <= set(texts_of_pdf)
    assert b"GraNet" not in texts_of_pdf
    png = saved(page, figure, "png")[1]
    width = re.search(r'<svg[^>]* width="(\d+)"', picture)
    assert width is not None
    assert int.from_bytes(png[16:20], "big") == 2 * int(width[1])


def test_a_pdf_is_whole_and_holds_letters_that_its_font_lacks(visit):
    page = visit("hostile")
    _, content = saved(page, drawn(page, "accuracy"), "pdf")
    start = int(re.search(rb"startxref\n(\d+)", content)[1])
    assert content[start : start + 4] == b"xref"
    places = re.findall(rb"(\d{10}) 00000 n ", content[start:])
    assert len(places) > 4
    for number, place in enumerate(places, start=1):
        assert content[int(place) :].startswith(b"%d 0 obj\n" % number)
    made = page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          const view = {toCanvas: async (scale, {externalContext: page} = {}) => {
            page?.fillText("ν κόσμος", 10, 20);
            page?.fillText("(a\\\\b) – 5 ≤", 10, 40);
            page?.fillText("(a\\\\b) −5 × …", 10, 60);
            return canvas;
          }};
          return [...await resonancePdf.of(view, "ν")];
        }"""
    )
    text = bytes(made)
    assert text.count(b"/ImageMask true") == text.count(b" Do\n") == 2
    assert b"(\\(a\\\\b\\) \x965 \xd7 \x85) Tj" in text
    assert b"/Title <feff03bd>" in text


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
    assert "#e8e8e8" not in colours(page, "#charts")
    for picture in page.locator("#charts .picture:visible").all():
        assert picture.evaluate("(one) => getComputedStyle(one).overflowX") == "visible"
    beyond = "Math.max(...[...document.querySelectorAll('svg, table')].map((one) => one.getBoundingClientRect().right))"  # noqa: E501
    assert page.evaluate(beyond) <= 718
    assert page.locator("[data-save]:visible, .controls:visible").count() == 0
    assert page.locator("#summary_table .mark:visible, #cells th button:visible").count() > 8
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
    for name in ABOUT:
        assert page.locator(f"[data-drawn={name}]").count() == 1
