"""What a budget pays for."""

import random

import pytest

from suite.tuning.budget import counted_numbers, next_numbers
from suite.tuning.sampling import BATCH


@pytest.mark.parametrize("budget", [1, 3, 4, 6, 9])
def test_without_pruned_trials_a_budget_is_a_number_of_trials(budget):
    shares: dict[int, float] = {}
    while numbers := next_numbers(shares, budget):
        assert {number // BATCH for number in numbers} == {len(shares) // BATCH}
        shares |= dict.fromkeys(numbers, 1.0)
    assert sorted(shares) == list(range(budget))
    assert counted_numbers(shares, budget) == list(range(budget))


def test_a_pruned_trial_leaves_room_for_others():
    shares = {0: 1.0, 1: 0.25, 2: 0.25, 3: 0.5}
    assert next_numbers(shares, 2) == []
    assert next_numbers(shares, 3) == [4]
    assert next_numbers(shares, 5) == [4, 5, 6]
    assert next_numbers({0: 1.0}, 2) == [1]
    assert next_numbers({0: 1.0, 1: 1 / 3}, 2) == []
    assert next_numbers({0: 1.0, 1: 0.1}, 3) == [2]


def test_fractions_that_do_not_add_up_exactly_leave_no_gap():
    shares = {0: 1.0, 1: 1 / 3, 2: 1 / 3, 3: 1 / 3}
    assert next_numbers(shares, 3) == [4]


def run(cost: list[float], budget: int, order: random.Random) -> dict[int, float]:
    """Run trials that several workers take and finish in some order."""
    shares: dict[int, float] = {}
    running: set[int] = set()
    while True:
        ready = [n for n in next_numbers(shares, budget) if n not in running]
        if ready and (not running or order.random() < 0.5):
            running.add(ready[0])
        elif running:
            number = order.choice(sorted(running))
            running.remove(number)
            shares[number] = cost[number]
        else:
            return shares


@pytest.mark.parametrize("seed", range(20))
def test_the_trials_that_are_run_do_not_depend_on_who_finishes_first(seed):
    drawn = random.Random(seed)
    cost = [1.0] + [drawn.choice([1.0, 0.5, 0.1, 1 / 3]) for _ in range(200)]
    found = [run(cost, 9, random.Random(order)) for order in range(5)]
    assert all(shares == found[0] for shares in found)
    spent = sum(found[0].values())
    assert 8 < spent <= 9 + 1e-9
    assert counted_numbers(found[0], 9) == sorted(found[0])
    more = run(cost, 12, random.Random(0))
    assert counted_numbers(more, 9) == sorted(found[0]), "a smaller budget counts its own trials"
