import json
import re

import pytest

from leaderboard.board_columns import SCORE
from leaderboard.boards import Entry
from leaderboard.chart_rows import ALL, CHART_ROWS
from leaderboard.charts.board_charts import CHART_TEXTS, board_charts, specifications
from leaderboard.charts.board_specifications import CHART_BUILDERS
from leaderboard.charts.panels import ROWS
from leaderboard.charts.pictures import pictures
from leaderboard.charts.theme import styles, theme
from suite.experiments import registry
from tests.leaderboard.pdfs import assert_pdf
from tests.leaderboard.random_boards import TASKS, random_boards

BY_ACCURACY = [name for name in CHART_ROWS if name != "score"]
"""The charts of boards that all rank by accuracy."""
BOARDS = random_boards(1, tasks=TASKS[:2], sparsities=(0.9, 0.98))


@pytest.fixture(scope="module")
def charts():
    return board_charts(BOARDS)


def test_there_is_a_chart_of_every_figure_with_its_rows(charts):
    assert list(CHART_ROWS) == list(CHART_TEXTS)
    assert list(charts) == BY_ACCURACY
    for name, chart in charts.items():
        assert chart["datasets"] == {"rows": CHART_ROWS[name](BOARDS, ALL)}


def test_what_the_page_draws_from_holds_no_rows_and_is_small():
    found = specifications(BOARDS)
    assert list(found["charts"]) == list(CHART_ROWS)
    assert all(c["specification"]["datasets"] == {"rows": []} for c in found["charts"].values())
    assert len(json.dumps(found)) < 150_000
    assert found["themes"]["dark"]["text"] != theme()["text"]


def test_pictures_are_the_same_each_time(charts):
    found = pictures(charts["rating"])
    assert found["svg"].startswith(b"<svg")
    assert found["png"].startswith(b"\x89PNG")
    assert_pdf(found["pdf"])
    again = pictures(board_charts(BOARDS)["rating"])
    assert (again["svg"], again["png"]) == (found["svg"], found["png"])
    assert len(again["pdf"]) == len(found["pdf"])


@pytest.mark.parametrize("name", BY_ACCURACY)
def test_a_picture_shows_every_competitor(charts, name):
    import vl_convert

    svg = vl_convert.vegalite_to_svg(charts[name])
    assert "NaN" not in svg
    labels = {row.get("entry") or row.get("row") for row in CHART_ROWS[name](BOARDS, ALL)}
    shown = labels - {None, "Dense"}
    assert len(shown) >= (16 if name != "controls" else 0)
    assert {label for label in shown if label not in svg} == set()


@pytest.mark.parametrize(("name", "metric"), [("accuracy", SCORE), ("score", "test_rmse")])
@pytest.mark.parametrize(
    ("sparsities", "labels"),
    [
        ((0.9,), {"90%"}),
        ((0.85,), {"80%", "90%"}),
        ((0.999,), {"99.9%"}),
        ((0.8, 0.98), {"80%", "90%", "95%", "98%"}),
    ],
)
def test_labels_of_sparsities_are_apart(name, metric, sparsities, labels):
    import vl_convert

    boards = random_boards(1, tasks=TASKS[:2], sparsities=sparsities, metrics=[metric])
    found = x_axes(vl_convert.vegalite_to_svg(board_charts(boards)[name]))
    assert found
    for axis in found:
        assert set(axis) == labels
        assert len({round(place) for place in axis.values()}) == len(labels)


def x_axes(svg: str) -> list[dict[str, float]]:
    """Return the places of the labels of each horizontal axis of a picture."""
    axes = re.findall(r'<g class="mark-text role-axis-label"[^>]*>(.*?)</g>', svg)
    label = r'<text text-anchor="middle" transform="translate\(([^,]+),[^>]*>([^<]+)</text>'
    found = [{text: float(place) for place, text in re.findall(label, axis)} for axis in axes]
    return [axis for axis in found if axis]


def test_boards_without_what_a_chart_needs_have_fewer_charts():
    alone = random_boards(1, methods=("set",), tasks=TASKS[:1])
    assert list(board_charts(alone)) == ["accuracy", "robustness", "calibration"]


@pytest.mark.parametrize("name", CHART_BUILDERS)
def test_every_form_keeps_to_the_schema_of_vega_lite(name):
    looks = styles([Entry(method.name, "") for method in registry.methods()])
    made = CHART_BUILDERS[name](looks).properties(datasets={ROWS: []})
    assert made.to_dict(validate=True)["$schema"].startswith("https://vega.github.io/schema/")
