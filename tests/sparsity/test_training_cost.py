"""Bounds on a training's FLOPs from bounds on its zeros: exact, and never wrong."""

import itertools

import pytest

from suite.sparsity.flops import ForwardFlops
from suite.sparsity.training_cost import Cost, Finished, Zeros

SHAPES = {"conv": (2, 2), "linear": (3, 1)}
FORWARD = ForwardFlops({"conv": 400.0, "linear": 6.0}, other=10.0)  # 100 and 2 per weight
FINISHED = Finished({"conv": 2, "linear": 1}, SHAPES, FORWARD, 8, 100, 10, False)


@pytest.mark.parametrize("total", range(8))
@pytest.mark.parametrize("most", [(4, 3), (2, 3), (4, 1)])
@pytest.mark.parametrize("least", [(0, 0), (1, 0), (1, 1)])
def test_within_a_total_the_bounds_are_those_of_all_ways_to_place_the_zeros(total, least, most):
    ranges = [range(low, high + 1) for low, high in zip(least, most, strict=True)]
    costs = [
        FORWARD.at({"conv": 1 - conv / 4, "linear": 1 - linear / 3})
        for conv, linear in itertools.product(*ranges)
        if conv + linear == total
    ]
    if not costs:
        return
    low, high = (dict(zip(SHAPES, counts, strict=True)) for counts in (least, most))
    assert FINISHED.forward(Zeros.in_all(total, low, high)) == pytest.approx(
        (min(costs), max(costs))
    )


def test_zeros_that_are_known_cost_exactly_what_they_cost():
    cost = FINISHED.forward(Zeros.exactly(FINISHED.zeros))
    assert cost == Cost(*[FORWARD.at({"conv": 0.5, "linear": 2 / 3})] * 2)
    assert cost.is_exact
    assert not (cost + Cost(0, 1)).is_exact
