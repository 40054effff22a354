import json

import pytest

from leaderboard.boards import build_boards
from leaderboard.page_data import page_data, page_name
from leaderboard.pooled_scores import MissingScore, pooled_scores
from suite.core.errors import TrialFailed
from suite.results.record import failed
from tests.support.sample_records import done, make_trial

OTHER = "mnist/lenet_300_100"


def seeds(method, accuracies, **given):
    return [
        done(make_trial(method, seed=seed, **given), accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]


def boards(*groups):
    return build_boards([record for group in groups for record in group])[0]


def test_a_score_is_the_mean_over_sparsities_of_one_seed():
    found = pooled_scores(boards(seeds("set", [0.9, 0.8], sparsity=0.8), seeds("set", [0.7, 0.6])))
    assert found.scores == {"SET": {"digits/mlp": pytest.approx({0: 0.8, 1: 0.7})}}
    assert found.means() == {"SET": {"digits/mlp": pytest.approx(0.75)}}


def test_only_seeds_that_stand_at_every_sparsity_count():
    found = pooled_scores(boards(seeds("set", [0.9, 0.8], sparsity=0.8), seeds("set", [0.7])))
    assert list(found.scores["SET"]["digits/mlp"]) == [0]


def test_who_lacks_a_sparsity_does_not_take_part_and_is_listed():
    made = boards(
        seeds("set", [0.9], sparsity=0.8), seeds("set", [0.9]), seeds("static", [0.9]),
        seeds("static", [0.9], task=OTHER),
    )  # fmt: skip
    found = pooled_scores(made)
    assert "digits/mlp" not in found.scores["Static random"]
    assert found.missing == [
        MissingScore("Static random", "digits/mlp", "no finished trial at sparsity 0.8"),
    ]
    assert "digits/mlp" in pooled_scores(made, sparsities=[0.9]).scores["Static random"]


def test_competitors_are_chosen_by_label():
    made = boards(seeds("set", [0.9]), seeds("static", [0.8]))
    assert set(pooled_scores(made, ["SET"]).scores) == {"SET"}


def test_the_page_holds_every_trial_once_and_says_what_does_not_count():
    bad = failed(make_trial("static", seed=7), TrialFailed("loss is nan"))
    made, _ = build_boards(
        [
            *seeds("dense", [0.95]),
            *seeds("set", [0.9, 0.8]),
            *seeds("set", [0.9], sparsity=0.8),
            bad,
        ]
    )
    data = page_data(made)
    json.dumps(data, allow_nan=False)
    trials = data["trials"]
    assert sorted(trials["values"]["test_accuracy"]) == [0.8, 0.9, 0.9, 0.95]
    assert sorted(trials["sparsity"], key=str) == [0.8, 0.9, 0.9, None]
    assert {len(column) for column in trials["values"].values()} == {4}
    (mark,) = data["marks"]
    assert data["entries"][mark["entry"]]["method"] == "static"
    assert mark["failed"] == ["loss is nan"]


@pytest.mark.parametrize("label", ["../../etc/passwd", "a/b", "<script>", "", "é" * 500, "\ud800"])
def test_the_address_of_a_page_is_safe_whatever_its_label(label):
    kind, name = page_name("methods", label).split("/")
    assert kind == "methods"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert len(name) < 80


def test_pages_of_labels_that_look_alike_are_two_pages():
    assert page_name("tasks", "a b") != page_name("tasks", "a-b")


def test_an_entry_that_never_updated_is_in_no_aggregate_and_says_why():
    idle = [
        record.model_copy(update={"no_update": "no update falls into these 40 steps"})
        for record in seeds("set", [0.9, 0.8], sparsity=0.8)
    ]
    boards, _ = build_boards([*idle, *seeds("set", [0.9, 0.8]), *seeds("static", [0.7, 0.6])])
    pooled = pooled_scores(boards)
    assert "SET" not in pooled.scores
    assert [one.reason for one in pooled.missing if one.entry == "SET"] == [
        "no update of connectivity at sparsity 0.8"
    ]
    alone = pooled_scores(boards, sparsities=[0.9])
    assert alone.means()["SET"] == {"digits/mlp": pytest.approx(0.85)}
