"""PDFs of charts, made when a site is built: whole, with fonts and text, and linked."""

import json

import pytest

from leaderboard.charts.board_charts import CHART_TEXTS
from leaderboard.charts.pictures import pictures
from tests.leaderboard.browsing import drawn
from tests.leaderboard.pdfs import assert_pdf, pdf_text

TEXTS = ["ν κόσμος", "(a\\b) – 5 ≤", "(a\\b) −5 × …", "中文"]


BY_ACCURACY = [name for name in CHART_TEXTS if name not in ("score", "controls")]
"""The charts of a site whose tasks all rank by accuracy, and whose methods have no control."""


@pytest.mark.parametrize("name", BY_ACCURACY)
def test_every_chart_of_the_board_is_a_pdf_with_its_title(planted_site, name):
    content = (planted_site / "charts" / f"{name}.pdf").read_bytes()
    assert_pdf(content)
    assert len(content) > 1000
    assert CHART_TEXTS[name].title in pdf_text(content)


def test_a_pdf_holds_the_text_of_its_chart(planted_site):
    text = pdf_text((planted_site / "charts" / "rating.pdf").read_bytes())
    assert all(label in text for label in ("RigL", "SET", "SNIP", "GraNet"))


def test_a_pdf_is_whole_and_holds_letters_that_its_first_font_lacks():
    values = [{"name": text, "value": 1} for text in TEXTS]
    chart = {
        "data": {"values": values}, "mark": "bar", "title": "ν",
        "encoding": {"y": {"field": "name", "type": "nominal"},
                     "x": {"field": "value", "type": "quantitative"}},
    }  # fmt: skip
    content = pictures(chart)["pdf"]
    assert_pdf(content)
    text = pdf_text(content)
    assert [known for known in ("ν", *TEXTS[:3]) if known not in text] == []


def test_the_paper_view_links_every_pdf(planted_site):
    page = (planted_site / "paper.html").read_text(encoding="utf-8")
    for name in BY_ACCURACY:
        assert f'<a href="charts/{name}.pdf" download>PDF</a>' in page


def test_the_manifest_keeps_pdfs_that_are_current(planted_site):
    manifest = json.loads((planted_site / ".manifest.json").read_text())
    for name in BY_ACCURACY:
        assert len({manifest[f"charts/{name}.{kind}"] for kind in ("svg", "png", "pdf")}) == 1


@pytest.mark.browser
def test_the_main_page_links_the_pdf_of_every_chart(planted_site, chromium):
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    page.goto((planted_site / "index.html").as_uri())
    for name in BY_ACCURACY:
        link = drawn(page, name).locator("[data-save=pdf]")
        assert (
            link.get_attribute("aria-label") == f"PDF of all: the chart {CHART_TEXTS[name].title}"
        )
        assert link.evaluate("(one) => one.href") == (
            (planted_site / "charts" / f"{name}.pdf").as_uri()
        )
    page.close()
