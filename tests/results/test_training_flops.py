"""The parts of training FLOPs, from records that say them and older ones that do not."""

import pytest

from suite.results.training_flops import parts_of, parts_problem

PARTS = {"training": 1000.0, "scoring": 30.0, "method": 200.0}


def test_the_rest_are_steps():
    found = parts_of(PARTS)
    assert found == (770.0, 30.0, 200.0)
    assert found.total == 1000.0
    words = "1000 = 770 for steps + 30 for scoring + 200 for the method's own arithmetic"
    assert found.words == words
    assert parts_of(PARTS | {"scoring": 0.0, "method": 0.0}).words == "1000"


@pytest.mark.parametrize("left_out", ["scoring", "method", "training"])
def test_a_record_that_does_not_say_them_has_none(left_out):
    older = {name: value for name, value in PARTS.items() if name != left_out}
    assert parts_of(older) is None
    assert parts_problem(older) == ""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({"method": 970.0}, ""),
        ({"method": 971.0}, "of 1000 training FLOPs, scoring 30 and method 971 are too many"),
        ({"training": 0.0, "method": 0.0}, "of 0 training FLOPs, scoring 30 and method 0"),
    ],
)
def test_parts_beyond_the_whole_are_named(changed, says):
    assert parts_problem(PARTS | changed).startswith(says)
    assert bool(parts_problem(PARTS | changed)) == bool(says)
