"""Names beside lines and on fronts: all are there, and none covers another."""

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.boards import Board, build_boards
from leaderboard.bundles.bundle_file import SHIPPED, ablation_trials, each_once, read_bundles
from leaderboard.chart_rows import ALL, CHART_ROWS
from leaderboard.charts.board_charts import board_charts
from leaderboard.charts.end_labels import LINE, name_lines, panel_height
from leaderboard.charts.pictures import picture_specification
from suite.experiments import registry
from tests.leaderboard.random_boards import TASKS, random_boards
from tests.leaderboard.svg_texts import Text, overlaps, texts

NAMES = 10
"""Size of the font of names beside lines and on fronts; axes, titles and legends have another."""
LINE_CHARTS = ("accuracy", "profile")


def picture(boards: list[Board], name: str) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(picture_specification(board_charts(boards)[name]))


def names(svg: str) -> list[Text]:
    return [text for text in texts(svg) if text.size == NAMES]


@pytest.fixture(scope="module")
def shipped() -> list[Board]:
    """Return the shipped boards at equal steps."""
    every, _ = read_bundles(SHIPPED)
    apart = ablation_trials(every)
    records = [r for one in each_once(every) for r in one.records if r.key not in apart]
    return list(board_groups(build_boards(records)[0])[0].boards)


@pytest.mark.parametrize("name", [*LINE_CHARTS, "cost"])
def test_names_of_the_shipped_boards_do_not_cover_one_another(shipped, name):
    found = names(picture(shipped, name))
    assert len(found) > 8
    assert overlaps(found) == []


def test_every_line_of_the_shipped_boards_has_its_name(shipped):
    rows = [row for row in CHART_ROWS["accuracy"](shipped, ALL) if row["sparsity"] is not None]
    lines = {(row["task"], row["entry"]) for row in rows}
    shown = sorted(text.words for text in names(picture(shipped, "accuracy")))
    assert shown == sorted(" ".join(name_lines(entry)) for _, entry in lines)


def test_every_point_of_a_front_has_its_name(shipped):
    front = [row for row in CHART_ROWS["cost"](shipped, ALL) if row["front"]]
    assert len(names(picture(shipped, "cost"))) == len(front)


EVERYTHING = [method.name for method in registry.methods()]


@pytest.mark.parametrize(
    ("methods", "tasks"), [(EVERYTHING, TASKS[:2]), (["set", "static"], TASKS[:1])]
)
@pytest.mark.parametrize("name", ["accuracy", "cost", "score"])
def test_many_methods_and_few_have_room(methods, tasks, name):
    metrics = ["test_rmse"] if name == "score" else ["test_accuracy"]
    boards = random_boards(1, methods=["dense", *sorted({*methods} - {"dense"})], tasks=tasks,
                           sparsities=(0.9, 0.98), metrics=metrics)  # fmt: skip
    svg = picture(boards, name)
    found = names(svg)
    assert overlaps(found) == []
    assert found
    if name != "cost":
        assert len(found) == len(tasks) * (len({*methods} - {"dense"}))


def test_names_are_broken_at_spaces_only():
    assert name_lines("Gradual magnitude pruning") == ["Gradual magnitude", "pruning"]
    assert name_lines("RigL") == ["RigL"]
    assert name_lines("a" * 40) == ["a" * 40]
    assert panel_height({"one": ["RigL"] * 30, "two": ["SET"]}, 130) == 31 * LINE
    assert panel_height({}, 130) == 130
