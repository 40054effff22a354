"""How many trials a budget pays for, where one that is pruned costs its share of the training."""

from collections.abc import Mapping

from suite.tuning.sampling import BATCH

TOLERANCE = 1e-9
"""Shares are fractions such as 1/3, whose sum need not be exact."""


def next_numbers(shares: Mapping[int, float], budget: int) -> list[int]:
    """Return the unfinished trials of the first unfinished batch that the budget has room for.

    `shares` are the costs of the finished trials, by number, in whole trials. A trial that has not
    finished counts as a whole one. So the trials that are run in the end do not depend on the order
    in which those of a batch finish.
    """
    first = 0
    while all(number in shares for number in range(first, first + BATCH)):
        first += BATCH
    spent = sum(shares[number] for number in range(first))
    numbers = []
    for number in range(first, first + BATCH):
        if number not in shares:
            if spent + 1 > budget + TOLERANCE:
                break
            numbers.append(number)
        spent += shares.get(number, 1.0)
    return numbers


def counted_numbers(shares: Mapping[int, float], budget: int) -> list[int]:
    """Return the finished trials that count under a budget; others are of a larger one."""
    counted, spent, number = [], 0.0, 0
    while spent + 1 <= budget + TOLERANCE and number in shares:
        counted.append(number)
        spent += shares[number]
        number += 1
    return counted
