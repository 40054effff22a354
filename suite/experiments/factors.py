"""The factors of an ablation, their levels and combinations. Imports no torch."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.core.declarations import Hyperparameter, Method, Value, unknown
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import show

MAX_LEVELS = 100
MAX_COMBINATIONS = 10_000


@dataclass(frozen=True)
class Factor:
    """A hyperparameter that is varied.

    Attributes:
        name: the hyperparameter's name.
        levels: its values in canonical types, including the base; ascending if all are numbers.
        base: the default, with which the other levels are compared.
    """

    name: str
    levels: tuple[Value, ...]
    base: Value


def factors_of(
    method: Method, fixed: Mapping[str, Any], vary: Mapping[str, Sequence[Any]]
) -> tuple[Factor, ...]:
    """Return the factors of `vary` (hyperparameter → levels), with the defaults added as levels.

    Raises:
        InvalidInput: an unknown hyperparameter, one that is also `fixed`, no levels or only the
            default, a level out of bounds, or a repeated level.
    """
    known = {parameter.name: parameter for parameter in method.hyperparameters}
    for name in vary:
        if name not in known:
            raise InvalidInput(
                "vary: "
                + unknown(method.setting, name, known, of=method.name, see=f"info {method.name}")
            )
        if name in fixed:
            raise InvalidInput(f"{name} is both set and varied: leave one of the two out")
    return tuple(_factor(known[name], given) for name, given in vary.items())


def _factor(parameter: Hyperparameter, given: Sequence[Any]) -> Factor:
    name, base = parameter.name, parameter.default
    if not given:
        raise InvalidInput(f"vary {name}: no level is given; {name} may be {parameter.allowed()}")
    if len(given) > MAX_LEVELS:
        raise InvalidInput(f"vary {name}: {len(given)} levels; give at most {MAX_LEVELS}")
    levels = [parameter.check(level) for level in given]
    twice = [level for i, level in enumerate(levels) if level in levels[:i]]
    if twice:
        raise InvalidInput(f"vary {name}: {show(twice[0])} is given twice: give it once")
    if levels == [base]:
        raise InvalidInput(
            f"vary {name}: {show(base)} alone is the default, so nothing varies; give other levels"
        )
    if base not in levels:
        levels = [base, *levels]
    numbers = [x for x in levels if isinstance(x, int | float) and not isinstance(x, bool)]
    ordered = sorted(numbers) if len(numbers) == len(levels) else levels
    return Factor(name, tuple(ordered), base)


def count_combinations(factors: Sequence[Factor], *, grid: bool) -> int:
    """Return how many settings `combinations` would return.

    Raises:
        InvalidInput: as `combinations`.
    """
    if not grid:
        return 1 + sum(len(factor.levels) - 1 for factor in factors)
    count = math.prod(len(factor.levels) for factor in factors)
    if count > MAX_COMBINATIONS:
        raise InvalidInput(
            f"the grid has {count} combinations, more than {MAX_COMBINATIONS}: give fewer levels, "
            "or vary one at a time"
        )
    return count


def combinations(factors: Sequence[Factor], *, grid: bool) -> list[dict[str, Value]]:
    """Return the settings to run, the base first: one factor at a time, or the full grid.

    Without factors, return only the base, which sets nothing.

    Raises:
        InvalidInput: a grid of more than `MAX_COMBINATIONS`.
    """
    base = {factor.name: factor.base for factor in factors}
    if not grid:
        others = [base | {f.name: level} for f in factors for level in f.levels if level != f.base]
        return [base, *others]
    count_combinations(factors, grid=grid)
    names = [factor.name for factor in factors]
    every = itertools.product(*(factor.levels for factor in factors))
    cells = [dict(zip(names, levels, strict=True)) for levels in every]
    return [base, *(settings for settings in cells if settings != base)]
