"""Counted predictions: what is possible, and the metrics that follow."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suite.results.counts import (
    MAX_COUNT,
    ClassTotals,
    Counts,
    accuracy,
    balanced_accuracy,
    check_counts,
    confusion_problem,
    macro_f1,
)

SMALL = Counts(correct=5, total=8, confusion=("0:3 1:1", "1:2", "0:2", ""))
"""Four of class 0, two of class 1, two of class 2, none of class 3."""

matrices = st.integers(1, 6).flatmap(
    lambda classes: st.lists(
        st.lists(st.integers(0, 20), min_size=classes, max_size=classes),
        min_size=classes,
        max_size=classes,
    ).filter(lambda rows: sum(map(sum, rows)) > 0)
)


def counted(matrix: list[list[int]]) -> Counts:
    cells = [(i, j, n) for i, row in enumerate(matrix) for j, n in enumerate(row) if n]
    return Counts.of_cells(cells, len(matrix))


def test_a_small_matrix_worked_by_hand():
    assert SMALL.problem == ""
    assert SMALL.matrix() == [[3, 1, 0, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert ClassTotals.of(SMALL) == ([4, 2, 2, 0], [5, 3, 0, 0], [3, 2, 0, 0])
    assert accuracy(SMALL) == 5 / 8
    assert balanced_accuracy(SMALL) == pytest.approx((3 / 4 + 1 + 0) / 3, abs=1e-15)
    assert macro_f1(SMALL) == pytest.approx((6 / 9 + 4 / 5 + 0) / 3, abs=1e-15)


@given(matrices)
def test_counts_hold_a_matrix_and_their_metrics_are_those_of_scikit_learn(matrix):
    from sklearn.metrics import balanced_accuracy_score, f1_score

    counts = counted(matrix)
    assert counts.problem == ""
    assert counts.matrix() == matrix
    assert Counts.model_validate_json(counts.model_dump_json()) == counts
    true = [i for i, row in enumerate(matrix) for n in row for _ in range(n)]
    guess = [j for row in matrix for j, n in enumerate(row) for _ in range(n)]
    assert accuracy(counts) == sum(a == b for a, b in zip(true, guess, strict=True)) / len(true)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about predicted classes that are none
        balanced = balanced_accuracy_score(true, guess)
    assert balanced_accuracy(counts) == pytest.approx(balanced, abs=1e-12)
    macro = f1_score(true, guess, average="macro", zero_division=0)
    assert macro_f1(counts) == pytest.approx(macro, abs=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"correct": -1}, {"correct": True}, {"correct": 5.0}, {"correct": "5"}, {"total": 0},
        {"total": MAX_COUNT + 1}, {"confusion": ["0:1"] * 1001}, {"confusion": [["0:1"]]},
        {"confusion": [1]}, {"confusion": "0:1"}, {"confusion": ["0:1 " * 10_000]}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_other_types_and_sizes_are_refused(changes):
    with pytest.raises(ValidationError):
        Counts.model_validate({"correct": 5, "total": 8} | changes)


@pytest.mark.parametrize(
    ("confusion", "problem"),
    [
        (["0:3 1:1", "1:2", "2:2", ""], "7 right predictions, not 5"),
        (["0:3 1:1", "1:2", "0:1", ""], "7 predictions, not 8"),
        (["1:1 0:3", "1:2", "0:2", ""], "row 0 of the confusion matrix does not name its classes"),
        (["0:2 0:1 1:1", "1:2", "0:2", ""], "does not name its classes in order"),
        (["0:3 1:1", "1:2", "0:2 3:0", ""], "has a count of 0"),
        (["0:3 4:1", "1:2", "0:2", ""], "has class 4 of 4"),
        (["0:3 1:1", "1:2", "0:2 ", ""], "give CLASS:COUNT"),
        (["0:3  1:1", "1:2", "0:2", ""], "give CLASS:COUNT"),
        (["0:+3 1:1", "1:2", "0:2", ""], "give CLASS:COUNT"),
        (["0:03 1:1", "1:2", "0:2", ""], "give CLASS:COUNT"),
        (["0:3 1:1", "1:2", "0:2", " "], "give CLASS:COUNT"),
        (["0:3 1:1", "1:2\n", "0:2", ""], "give CLASS:COUNT"),
        (["0:٣ 1:1", "1:2", "0:2", ""], "give CLASS:COUNT"),
        (["0:3 1:1", "1:99999999999999999999", "0:2", ""], "give CLASS:COUNT"),
        (["", "", "", ""], "0 predictions, not 8"),
    ],
)  # fmt: skip
def test_a_matrix_that_is_not_possible_is_named(confusion, problem):
    counts = Counts(correct=5, total=8, confusion=confusion)
    assert problem in counts.problem
    assert "\n" not in counts.problem
    assert confusion_problem({"test": counts}, {}).startswith("counts.test: ")


def test_more_right_than_there_are_is_refused():
    counts = Counts(correct=9, total=8)
    assert counts.problem == "9 of 8 predictions cannot be right"
    with pytest.raises(ValueError, match="9 of 8"):
        check_counts({"test": counts}, {}, {})


@pytest.mark.parametrize(
    ("metrics", "data", "problem"),
    [
        ({"test_accuracy": 0.625}, {"test": 8, "validation": 3}, ""),
        ({}, {}, ""),
        ({"test_accuracy": 0.6250000001}, {"test": 8}, "5 of 8 predictions are right: 0.625"),
        ({"test_accuracy": 0.625}, {"test": 4}, "8 predictions, and data.test 4 examples"),
        ({"test_accuracy": 0.625}, {"test": True}, "data.test True"),
        ({"test_accuracy": 0.625}, {"test": "8"}, "data.test '8'"),
        ({"test_bits_per_character": 2.0}, {"test": 4}, ""),  # windows of two characters
        ({"test_bits_per_character": 2.0}, {"test": 3}, "data.test 3 windows of text"),
        ({"test_bits_per_character": 2.0}, {"test": 0}, "data.test 0 windows of text"),
    ],
)  # fmt: skip
def test_counts_must_be_those_of_the_record(metrics, data, problem):
    if not problem:
        return check_counts({"test": SMALL}, metrics, data)
    with pytest.raises(ValueError, match=problem):
        check_counts({"test": SMALL}, metrics, data)


def test_metrics_of_classes_must_follow_from_the_matrix():
    right = {
        "validation_balanced_accuracy": balanced_accuracy(SMALL),
        "validation_macro_f1": macro_f1(SMALL),
    }
    assert confusion_problem({"validation": SMALL}, right) == ""
    assert confusion_problem({"test": SMALL}, right) == ""  # of another split
    for name in right:
        problem = confusion_problem({"validation": SMALL}, right | {name: 0.5})
        assert problem.startswith(f"{name} is 0.5, and 0.")


@pytest.mark.parametrize(
    ("confusion", "one"),
    [
        (("0:3", "0:1", ""), True),
        (("2:3", "2:1", ""), True),  # one that does not occur
        (("0:3 1:1", "0:2"), False),
        (("0:4", ""), False),  # nothing else was to be predicted
        ((), False),
    ],
)
def test_whether_a_network_predicts_one_class_whatever_it_sees(confusion, one):
    assert Counts(correct=0, total=4, confusion=confusion).one_class_predicted is one
