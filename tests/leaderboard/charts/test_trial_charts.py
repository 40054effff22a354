"""Charts of a trial: layers in colours that are seen on light and dark pages."""

import re

import polars as pl
import pytest
import vl_convert
from coloraide import Color

from leaderboard.charts.trial_charts import KINDS, filled_charts, trial_charts

BACKGROUNDS = [Color("#ffffff"), Color("#14161a")]


def test_kinds_of_corruption_stand_out_on_both_backgrounds():
    assert all(Color(kind).contrast(one) >= 3 for kind in KINDS for one in BACKGROUNDS)


@pytest.mark.parametrize("number", [2, 7, 20])
def test_every_layer_has_a_colour_of_its_own_that_stands_out_on_both_backgrounds(number):
    rows = [
        {"round": 0, "series": "density", "layer": f"{n}", "step": step, "index": 0, "value": 0.1}
        for n in range(number)
        for step in (0, 5)
    ]
    drawn = vl_convert.vegalite_to_svg(filled_charts(pl.DataFrame(rows))["density"])
    lines = re.findall(r'aria-roledescription="line mark"[^>]*stroke="([^"]+)"', drawn)
    assert len(lines) == len(set(lines)) == number
    for colour in map(Color, lines):
        assert all(colour.contrast(one) >= 3 for one in BACKGROUNDS), colour


def test_lines_have_no_colours_that_fade_into_a_page():
    named = {chart.name for chart in trial_charts() if "viridis" in str(chart.specification)}
    drawn_as_areas = {c.name for c in trial_charts() if "'type': 'rect'" in str(c.specification)}
    assert named <= drawn_as_areas
