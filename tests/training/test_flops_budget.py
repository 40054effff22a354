"""How many steps a budget pays for, against trying every number of steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.sparsity.cost_bounds import FlopsBounds
from suite.training.flops_budget import (
    expected,
    first_possible,
    measured_share,
    nearest_steps,
)


@given(
    rates=st.lists(st.integers(1, 50), min_size=60, max_size=60),
    budget=st.integers(1, 2000),
    guess=st.integers(1, 80),
    fewest=st.integers(1, 30),
)
def test_the_nearest_steps_are_those_of_trying_all(rates, budget, guess, fewest):
    costs = [None, *(sum(rates[:steps]) for steps in range(1, 61))]

    def cost(steps):
        return None if steps < fewest else costs[steps]

    found = nearest_steps(cost, budget, guess, least=1, most=60)
    assert found >= fewest
    off = [abs(costs[steps] - budget) for steps in range(fewest, 61)]
    assert abs(costs[found] - budget) == min(off)


def test_costs_that_rounding_makes_uneven_are_met_as_nearly_as_their_neighbours_allow():
    def cost(steps):
        return 10 * steps + 7 * (steps % 3)

    for budget in range(100, 400):
        found = nearest_steps(cost, budget, 5, least=1, most=100)
        assert abs(cost(found) - budget) <= min(abs(cost(found + d) - budget) for d in (-1, 0, 1))


def test_few_costs_are_computed_of_a_long_training():
    asked = []

    def cost(steps):
        asked.append(steps)
        return 3.0 * steps + (steps // 100)

    assert nearest_steps(cost, 3e5 + 999, 50_000, least=1, most=10**9) == pytest.approx(
        10**5, abs=2
    )
    assert len(asked) < 30


@pytest.mark.parametrize(("budget", "steps"), [(0.1, 1), (1e9, 40)])
def test_what_no_number_of_steps_costs_gives_the_fewest_or_the_most(budget, steps):
    assert nearest_steps(float, budget, 5, least=1, most=40) == steps


def test_of_too_few_steps_alone_the_most_are_returned():
    assert nearest_steps(lambda steps: None, 5.0, 3, least=1, most=40) == 40


@given(st.integers(1, 200), st.integers(0, 100))
def test_the_first_possible_number_is_found_where_all_after_it_are(first, steps):
    found = first_possible(steps, 150, lambda number: number >= first)
    wanted = max(steps, first)
    assert found == (wanted if wanted <= 150 else None)


@given(st.sets(st.integers(0, 60)), st.integers(0, 60))
def test_what_is_found_is_possible_and_the_one_before_is_not(possible, steps):
    found = first_possible(steps, 60, possible.__contains__)
    if found is not None:
        assert found in possible
        assert found >= steps
        assert found == steps or found - 1 not in possible


def test_a_cost_is_expected_where_the_last_one_was_between_its_bounds():
    assert expected(FlopsBounds(2.0, 6.0), 0.25) == 3.0
    assert measured_share(3.0, FlopsBounds(2.0, 6.0), 0.5) == 0.25
    assert measured_share(1.0, FlopsBounds(2.0, 6.0), 0.5) == 0.0
    assert measured_share(8.0, FlopsBounds(2.0, 6.0), 0.5) == 1.5
    assert measured_share(3.0, FlopsBounds(3.0, 3.0), 0.5) == 0.5
