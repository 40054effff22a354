"""How many steps a budget of FLOPs pays for: pure decisions, from what trainings cost."""

from collections.abc import Callable

from suite.sparsity.cost_bounds import FlopsBounds

FIRST_SHARE = 0.5
"""Where between the bounds a cost is expected before any of it has been charged."""
NEGLIGIBLE = 1e-6
"""Bounds that are relatively closer than this say nothing about where a cost lies between them."""

AROUND = 2
"""As many neighbours on each side are looked at too: what schedules round costs a step or two."""

Cost = Callable[[int], float | None]
"""Returns what a training of so many steps costs; None if they are too few for its method."""


def expected(bounds: FlopsBounds, share: float) -> float:
    """Return the cost at a `share` of the way from the least to the most."""
    return bounds.least + share * (bounds.most - bounds.least)


def measured_share(charged: float, bounds: FlopsBounds, before: float) -> float:
    """Return where between its bounds a cost was; `before` where they (nearly) coincide.

    Above 1 if it was more than the bounds say, as of a method that declares none; at least 0.
    """
    width = bounds.most - bounds.least
    if width <= NEGLIGIBLE * bounds.most:
        return before
    return max(0.0, (charged - bounds.least) / width)


def nearest_steps(cost: Cost, budget: float, guess: int, *, least: int, most: int) -> int:
    """Return the number of steps from `least` to `most` whose cost is nearest to a budget.

    The cost rises with the steps, but for the rounding of schedules. Numbers of steps that are too
    few for the method are not returned, unless even `most` are; `most` where the budget pays for
    more.

    Args:
        cost: of a number of steps.
        budget: in the same unit.
        guess: where to begin; nothing else depends on it.
        least: the fewest steps.
        most: the most steps.
    """
    low, low_cost = least, cost(least)
    if low_cost is not None and low_cost >= budget:
        return low
    high = min(most, max(guess, least + 1))
    high_cost = cost(high)
    while (high_cost is None or high_cost < budget) and high < most:
        low, low_cost = high, high_cost
        high = min(most, 2 * high)
        high_cost = cost(high)
    if high_cost is None or high_cost < budget:
        return most
    halve = False
    while high - low > 1:
        middle = (low + high) // 2
        if not halve and low_cost is not None:
            share = (budget - low_cost) / (high_cost - low_cost)
            middle = min(high - 1, max(low + 1, low + round(share * (high - low))))
        halve = not halve
        between = cost(middle)
        if between is None or between < budget:
            low, low_cost = middle, between
        else:
            high, high_cost = middle, between
    near = {low: low_cost, high: high_cost}
    for steps in range(max(least, low - AROUND), min(most, high + AROUND) + 1):
        if steps not in near:
            near[steps] = cost(steps)
    off = {steps: abs(paid - budget) for steps, paid in sorted(near.items()) if paid is not None}
    return min(off, key=lambda steps: off[steps])


def first_possible(steps: int, most: int, is_possible: Callable[[int], bool]) -> int | None:
    """Return a number of steps from `steps` on that is possible, the next one if it is simple.

    If what is possible begins at one number and goes on, it is that number; else one that is
    possible while the one before is not. None if none is found up to `most`.
    """
    low, high, reach = steps - 1, steps, 1
    while not is_possible(high):
        if high >= most:
            return None
        low, reach = high, 2 * reach
        high = min(most, steps + reach - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if is_possible(middle):
            high = middle
        else:
            low = middle
    return high
