"""What a tuning's budget buys: the expected best validation score after so many trials."""

from dataclasses import dataclass

from leaderboard.statistics.expected_best import ExpectedBest, expected_best
from suite.tuning.schema import MAXIMISED, MethodResult

ADAPTIVE = frozenset({"tpe", "cmaes", "gp", "nsgaii"})
"""Samplers whose proposals depend on the trials before them."""


@dataclass(frozen=True)
class BudgetCurve:
    """The expected best of one method's search, after 1, 2, … trials in random order.

    Attributes:
        default: the value of the method's default, which every search tries first and which is not
            among the draws; None if it has none.
        points: of 1, 2, … draws, in the objective's unit; at most as many as there were proposals.
        unfinished: proposals that failed or were pruned. They are draws that are worth as much as
            the worst that finished.
        needed: the least number of draws whose expected best is better than the default; None if
            there is none, or no default.
    """

    default: float | None
    points: tuple[ExpectedBest, ...]
    unfinished: int
    needed: int | None


def budget_curve(found: MethodResult, objective: str) -> BudgetCurve | None:
    """Return the curve of a method's search by its first objective; None without two values."""
    sign = 1 if MAXIMISED[objective] else -1
    proposed = [trial for trial in found.trials if trial.number != 0]
    scores = [sign * one.values[0] for one in proposed if one.state == "complete" and one.values]
    if len(scores) < 2:
        return None
    unfinished = len(proposed) - len(scores)
    scores += [min(scores)] * unfinished
    first = next((t for t in found.trials if t.number == 0 and t.state == "complete"), None)
    default = first.values[0] if first is not None and first.values else None
    best = [expected_best(scores, draws) for draws in range(1, len(scores) + 1)]
    needed = None
    if default is not None:
        better = (k for k, one in enumerate(best, start=1) if one.mean > sign * default)
        needed = next(better, None)
    points = tuple(ExpectedBest(sign * one.mean, one.std) for one in best)
    return BudgetCurve(default, points, unfinished, needed)


def shown_budgets(most: int) -> list[int]:
    """Return the numbers of draws that a table shows: 1, 2, 5, 10, … and the largest."""
    steps = (digit * 10**power for power in range(len(str(most))) for digit in (1, 2, 5))
    return [*(one for one in steps if one < most), most]


def budget_note(sampler: str) -> str:
    """Return what the curve assumes of a sampler's trials."""
    note = (
        "The expected best of k proposals drawn at random from those of the search (Dodge et al. "
        "2019, arXiv:1909.03004), ± its standard deviation; the default is not among them. A trial "
        "that failed or was pruned counts as the worst that finished."
    )
    if sampler not in ADAPTIVE:
        return note
    return (
        f"{note} The sampler {sampler} learns from its trials, so they are not independent: the "
        "curve is of these trials in random order, not of shorter searches, whose trials would "
        "have been others. The history shows the order in which they came."
    )
