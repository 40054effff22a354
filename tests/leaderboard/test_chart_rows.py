import math
import statistics

import pytest

from leaderboard.boards import build_boards
from leaderboard.chart_rows import (
    ALL,
    CHART_ROWS,
    ChartSelection,
    accuracy,
    calibration,
    controls,
    cost,
    iqm,
    profile,
    ranks,
    rating,
    robustness,
    win_rate,
)
from tests.leaderboard.random_boards import random_boards
from tests.support.sample_records import done, make_trial

OTHER = "mnist/lenet_300_100"


def seeds(method, accuracies, training=100.0, **given):
    return [
        done(make_trial(method, seed=seed, **given), accuracy, training)
        for seed, accuracy in enumerate(accuracies)
    ]


def boards(*groups):
    return build_boards([record for group in groups for record in group])[0]


def test_accuracy_is_a_mean_with_its_interval_and_dense_stands_beside_every_sparsity():
    rows = accuracy(boards(seeds("dense", [0.96]), seeds("set", [0.9, 0.8])))
    assert [(row["entry"], row["sparsity"]) for row in rows] == [("Dense", None), ("SET", 0.9)]
    assert rows[1]["accuracy"] == pytest.approx(0.85)
    assert rows[1]["accuracy"] - rows[1]["low"] == pytest.approx(12.706 * 0.05, rel=1e-4)
    assert rows[1]["high"] == 1, "an interval ends at what is possible"
    assert (rows[0]["n"], rows[0]["low"]) == (1, None)


def test_dense_networks_alone_have_no_chart_against_sparsity():
    assert accuracy(boards(seeds("dense", [0.96, 0.97]))) == []


def test_the_front_is_what_nothing_cheaper_matches():
    made = boards(
        seeds("dense", [0.96], 100.0), seeds("set", [0.9], 20.0), seeds("static", [0.8], 20.0),
        seeds("rigl", [0.95], 30.0), seeds("snip", [0.94], 40.0),
    )  # fmt: skip
    rows = {row["entry"]: row for row in cost(made)}
    assert {name for name, row in rows.items() if row["front"]} == {"Dense", "SET", "RigL"}
    assert rows["RigL"]["cost"] == pytest.approx(0.3)
    assert rows["Dense"]["cost"] == 1


def test_costs_are_shares_of_a_dense_network_on_the_same_task():
    assert cost(boards(seeds("set", [0.9]))) == []


def test_a_task_on_which_only_dense_has_run_has_no_rows():
    made = boards(seeds("dense", [0.96]), seeds("set", [0.9]), seeds("dense", [0.9], task=OTHER))
    assert {row["task"] for row in accuracy(made)} == {"digits/mlp"}


def test_a_method_is_compared_with_its_control_on_common_seeds():
    made = boards(
        seeds("resonance", [0.90, 0.91, 0.92, 0.93, 0.94]),
        seeds("resonance_shuffled", [0.80, 0.82, 0.81, 0.84, 0.83]),
        seeds("set", [0.5] * 5),
    )
    (row,) = controls(made)
    assert (row["method"], row["control"]) == ("Resonance", "Resonance, shuffled")
    assert row["difference"] == pytest.approx(10)
    assert (row["n"], row["verdict"]) == (5, "better")
    few = boards(seeds("resonance", [0.9, 0.8]), seeds("resonance_shuffled", [0.2, 0.9]))
    (row,) = controls(few)
    assert (row["low"], row["high"], row["verdict"]) == (-100, 100, "cannot decide")


def test_comparisons_with_controls_are_one_family():
    """Each alone would be shown; among ninety with nothing in them it is not."""
    near = [0.900, 0.901, 0.9, 0.902, 0.9]
    alone = boards(
        seeds("resonance", [0.91, 0.913, 0.912, 0.91, 0.92]), seeds("resonance_shuffled", near)
    )
    assert [row["verdict"] for row in controls(alone)] == ["better"]
    many = [s / 1000 for s in range(810, 900)]
    nothing = [
        seeds(method, values, sparsity=sparsity)
        for sparsity in many
        for method, values in (("resonance", near), ("resonance_shuffled", near[::-1]))
    ]
    among = boards(
        seeds("resonance", [0.91, 0.913, 0.912, 0.91, 0.92]), seeds("resonance_shuffled", near),
        *nothing,
    )  # fmt: skip
    (row,) = (row for row in controls(among) if row["sparsity"] == 0.9)
    assert row["verdict"] == "no difference shown"


def test_a_shuffled_setting_makes_a_control_of_the_same_method():
    shuffled = {"hyperparameters": {"shuffle": "fixed"}}
    made = boards(
        seeds("resonance_weighted", [0.9] * 2), seeds("resonance_weighted", [0.8] * 2, **shuffled)
    )
    (row,) = controls(made)
    assert row["control"] == "Resonance, weighted (shuffle=fixed)"
    assert controls(made, ChartSelection(entries=["Resonance, weighted"])) == []


def test_dense_competes_only_where_it_is_named():
    made = boards(seeds("dense", [0.96]), seeds("set", [0.9]), seeds("static", [0.8]))
    assert [row["entry"] for row in rating(made)] == ["SET", "Static random"]
    named = ChartSelection(entries=["Dense", "SET"])
    assert [row["entry"] for row in rating(made, named)] == ["Dense", "SET"]
    assert {row["entry"] for row in accuracy(made, ChartSelection(entries=["SET"]))} == {
        "Dense",
        "SET",
    }


def test_ratings_and_win_rates_put_the_better_first():
    made = boards(
        *(seeds("set", [0.9, 0.91], task=task) for task in ("digits/mlp", OTHER)),
        *(seeds("static", [0.8, 0.81], task=task) for task in ("digits/mlp", OTHER)),
    )
    first, last = rating(made)
    assert (first["entry"], first["tasks"]) == ("SET", 2)
    assert first["rating"] == pytest.approx(-last["rating"])
    # Two tasks won by one side and half a match for either: odds of five to one.
    assert first["rating"] - last["rating"] == pytest.approx(400 * math.log10((2 + 0.25) / 0.25))
    tiles = {(row["row"], row["column"]): row["probability"] for row in win_rate(made)}
    assert tiles == {
        ("SET", "SET"): None,
        ("SET", "Static random"): 1,
        ("Static random", "SET"): 0,
        ("Static random", "Static random"): None,
    }


def test_one_task_gives_a_rating_no_interval():
    made = boards(seeds("set", [0.9]), seeds("static", [0.8]))
    assert [(row["low"], row["high"], row["tasks"]) for row in rating(made)] == [
        (None, None, 1)
    ] * 2


def test_the_critical_difference_diagram_names_every_method_once_without_collision():
    rows = ranks(random_boards(3))
    methods = [row for row in rows if row["kind"] == "method"]
    assert len({row["entry"] for row in methods}) == len(methods) == 16
    assert len({(row["side"], row["level"]) for row in methods}) == 16
    assert statistics.fmean(row["rank"] for row in methods) == pytest.approx(8.5)
    groups = [row for row in rows if row["kind"] == "group"]
    assert {row["level"] for row in groups}.isdisjoint(row["level"] for row in methods)
    (test,) = (row for row in rows if row["kind"] == "test")
    assert all(row["to"] - row["from"] <= test["critical_difference"] for row in groups)
    assert test["p"] < 0.05


def test_who_lacks_a_task_that_most_have_is_not_ranked_and_a_task_few_have_does_not_count():
    both = [seeds(m, [0.9], task=t) for m in ("set", "rigl", "snip") for t in ("digits/mlp", OTHER)]
    made = boards(
        *both, seeds("static", [0.8]), seeds("set", [0.9], task="fashion_mnist/lenet_300_100")
    )
    rows = ranks(made)
    assert {row["entry"] for row in rows if "entry" in row} == {"SET", "RigL", "SNIP"}
    assert rows[0]["tasks"] == 2
    assert "Static random" in {row["entry"] for row in rating(made)}


def test_pooled_scores_are_shares_of_the_dense_network():
    made = boards(
        seeds("dense", [0.8]), seeds("set", [0.4] * 4), seeds("static", [0.2] * 4),
        seeds("dense", [0.5], task=OTHER), seeds("set", [0.25] * 4, task=OTHER),
        seeds("static", [0.125] * 4, task=OTHER),
    )  # fmt: skip
    assert [(row["entry"], row["mean"], row["n"]) for row in iqm(made)] == [
        ("SET", 0.5, 8), ("Static random", 0.25, 8),
    ]  # fmt: skip
    shares = [row for row in profile(made) if row["entry"] == "SET"]
    assert all(row["share"] == (row["threshold"] < 0.5) for row in shares)
    assert iqm(boards(seeds("set", [0.9]))) == []


def test_a_profile_falls_from_everything_to_nothing():
    rows = [row for row in profile(random_boards(2)) if row["entry"] == "SET"]
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert all(row["low"] <= row["share"] <= row["high"] for row in rows)
    assert shares[-1] == 0


def test_robustness_and_calibration_leave_out_what_was_not_measured():
    made = boards(seeds("set", [0.9, 0.8]))
    assert robustness(made) == []
    (row,) = calibration(made)
    assert (row["measure"], row["value"], row["n"]) == ("NLL (nats)", 0.3, 2)


@pytest.mark.parametrize("name", list(CHART_ROWS))
def test_figures_depend_on_the_selection_alone_and_not_on_the_order_of_rows(name):
    made = random_boards(4, missing=0.1)
    before = CHART_ROWS[name](made, ALL)
    for board in made:
        board.rows.reverse()
    assert CHART_ROWS[name](made, ALL) == before
    assert CHART_ROWS[name](made, ChartSelection(entries=[], tasks=[])) == []


@pytest.mark.parametrize("name", ["accuracy", "cost", "robustness", "calibration"])
def test_only_selected_tasks_sparsities_and_entries_are_shown(name):
    chosen = ChartSelection(entries=["SET"], tasks=["digits/mlp"], sparsities=[0.9])
    rows = CHART_ROWS[name](random_boards(5), chosen)
    assert {row["task"] for row in rows} == {"digits/mlp"}
    assert {(r["entry"], r["sparsity"]) for r in rows} == {("Dense", None), ("SET", 0.9)}
