"""Charts of a tuning: colours that are seen on light and dark pages, points that are whole."""

import pytest
from coloraide import Color

from leaderboard.charts import tuning_charts
from leaderboard.charts.theme import FAMILIES
from suite.experiments import registry
from tests.tuning.sample import tuning

RANGES = {"LOW_TO_HIGH": tuning_charts.LOW_TO_HIGH, "EARLY_TO_LATE": tuning_charts.EARLY_TO_LATE}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("background", ["#ffffff", "#14161a"])
def test_every_colour_between_the_ends_stands_out_on_both_backgrounds(name, background):
    steps = Color.steps(RANGES[name], steps=20, space="srgb")
    assert all(colour.contrast(Color(background)) >= 3 for colour in steps)


def test_methods_have_different_colours_and_the_first_of_a_family_has_that_of_the_family():
    colours = tuning_charts.method_colours(["rigl", "set", "resonance", "unheard_of"])
    assert len(set(colours)) == 4
    assert colours[0] == FAMILIES["sparse to sparse"][0]
    assert colours[2] == FAMILIES["resonance"][0]
    every = [method.name for method in registry.methods()]
    assert len(tuning_charts.method_colours(every)) == len(every)


def test_methods_are_named_by_their_titles():
    layers = tuning_charts.tuning_charts(tuning())["budget"].to_dict()["layer"]
    assert layers[0]["encoding"]["color"]["scale"]["domain"] == ["RigL"]


def test_no_point_lies_on_the_edge_of_its_plot():
    charts = tuning_charts.tuning_charts(tuning())
    points = charts["rigl-history"].to_dict()["layer"][1]["encoding"]
    assert points["x"]["scale"]["padding"] == points["y"]["scale"]["padding"] > 0
    for panel in charts["rigl-slice"].to_dict()["concat"]:
        assert panel["encoding"]["y"]["scale"]["padding"] > 0
