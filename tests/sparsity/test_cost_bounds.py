"""Bounds on FLOPs from bounds on zeros: exact, and never wrong."""

import itertools

import pytest

from suite.sparsity.candidates import Candidates
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup, Zeros, unchanging
from suite.sparsity.flops import ForwardFlops

SHAPES = {"conv": (2, 2), "linear": (3, 1)}
SIZES = {"conv": 4, "linear": 3}
FORWARD = ForwardFlops({"conv": 400.0, "linear": 6.0}, other=10.0)  # 100 and 2 per weight
FINAL = Zeros.exactly({"conv": 2, "linear": 1})
SETUP = TrainingSetup(SHAPES, FORWARD, 8, 100, 10, False, FINAL)


def ways(total: int | None, least: tuple[int, int], most: tuple[int, int]):
    """Yield the active weights of every way to place zeros within the bounds."""
    ranges = [range(low, high + 1) for low, high in zip(least, most, strict=True)]
    for conv, linear in itertools.product(*ranges):
        if total in (None, conv + linear):
            yield {"conv": 4 - conv, "linear": 3 - linear}


def zeros_of(total: int | None, least: tuple[int, int], most: tuple[int, int]) -> Zeros:
    low, high = (dict(zip(SHAPES, counts, strict=True)) for counts in (least, most))
    return Zeros(low, high) if total is None else Zeros.in_all(total, low, high)


@pytest.mark.parametrize("total", [None, *range(8)])
@pytest.mark.parametrize("most", [(4, 3), (2, 3), (4, 1)])
@pytest.mark.parametrize("least", [(0, 0), (1, 0), (1, 1)])
def test_the_bounds_are_those_of_all_ways_to_place_the_zeros(total, least, most):
    placed = list(ways(total, least, most))
    if not placed:
        return
    zeros = zeros_of(total, least, most)
    costs = [FORWARD.of_counts(active, SIZES) for active in placed]
    assert SETUP.forward(zeros) == pytest.approx((min(costs), max(costs)))
    steps = SETUP.step(zeros, dense_gradient=False)
    assert steps == pytest.approx((3 * min(costs), 3 * max(costs)))
    dense = SETUP.step(zeros, dense_gradient=True)
    assert dense == pytest.approx((2 * min(costs) + 416, 2 * max(costs) + 416))


@pytest.mark.parametrize("total", [None, 3, 4])
def test_a_step_that_looks_at_candidates_is_within_its_bounds(total):
    least, most, candidates = (1, 0), (3, 2), Candidates(0.6)
    bounds = SETUP.step(zeros_of(total, least, most), dense_gradient=True, candidates=candidates)
    costs = []
    for active in ways(total, least, most):
        read = {name: candidates.gradients(count, SIZES[name]) for name, count in active.items()}
        costs.append(FORWARD.step(active, read, SIZES))
    assert bounds.least <= min(costs) <= max(costs) <= bounds.most
    if total is None:
        assert bounds == pytest.approx((min(costs), max(costs)))


def test_weights_that_are_trained_without_being_used_are_bounded_too():
    untrained = Zeros({"conv": 0, "linear": 0}, {"conv": 1, "linear": 0})
    zeros = Zeros(FINAL.least, FINAL.most, untrained=untrained)
    used = FORWARD.of_counts({"conv": 2, "linear": 2}, SIZES)
    found = SETUP.step(zeros, dense_gradient=False)
    assert found == pytest.approx((2 * used + 316, 2 * used + 416))


def test_zeros_that_are_known_cost_exactly_what_they_cost():
    cost = SETUP.forward(FINAL)
    assert cost == FlopsBounds(*[FORWARD.at({"conv": 0.5, "linear": 2 / 3})] * 2)
    assert cost.is_exact
    assert not (cost + FlopsBounds(0, 1)).is_exact


def test_zeros_in_the_whole_network():
    assert FINAL.in_network == (3, 3)
    assert Zeros({"a": 1, "b": 0}, {"a": 2, "b": 5}).in_network == (1, 7)
    assert Zeros.in_all(4, {"a": 1, "b": 0}, {"a": 2, "b": 5}).in_network == (4, 4)
    assert Zeros({"a": 0}, {"a": 9}, (0, 0)).in_network == (0, 0)
    assert Zeros.none(SHAPES) == Zeros.exactly({"conv": 0, "linear": 0})


def test_steps_at_any_masks_cost_from_no_connection_to_all():
    assert SETUP.any_steps(5) == pytest.approx((3 * 10 * 5 * 8, 3 * 416 * 5 * 8))


def test_a_course_without_changes_has_the_final_zeros_from_its_beginning():
    assert list(unchanging(SETUP)) == [(0, FINAL)]
