"""Tunings in a bundle: the documents of searches of which tested runs are among its records.

What could not be drawn, or does not belong to the records, is refused as a whole. The values of a
search were measured on validation data by its sender, and no record shows them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from leaderboard.bundles.sent_document import line_content, line_to_send, parse_line, prefix
from suite.core.errors import InvalidInput
from suite.results.record import MAX_NUMBER, Record
from suite.tuning.schema import (
    MAXIMISED,
    SCHEMA_VERSION,
    Candidate,
    Dimension,
    MethodResult,
    PastWinner,
    Tuning,
)

KIND = "tuning"
PREFIX = prefix(KIND)
MAX_TUNINGS = 100


def of_records(tunings: Iterable[Tuning], keys: Iterable[str]) -> list[Tuning]:
    """Return the tunings of which tested runs are among `keys`, with these keys alone.

    So a document says nothing of records that others sent.
    """
    known = frozenset(keys)
    limited = (_limited(one, known) for one in tunings)
    return [one for one in limited if any(map(_tested, one.methods.values()))]


def _limited(tuning: Tuning, keys: frozenset[str]) -> Tuning:
    def kept(given: Sequence[str]) -> list[str]:
        return [key for key in given if key in keys]

    methods = {}
    for name, found in tuning.methods.items():
        final, tested = found.final, []
        if final is not None:
            final = final.model_copy(
                update={"winner": kept(final.winner), "default": kept(final.default)}
            )
        for one in found.tested:
            if left := kept(one.keys):
                tested.append(PastWinner(budget=one.budget, keys=left))
        trials = [one.model_copy(update={"keys": kept(one.keys)}) for one in found.trials]
        changes = {"final": final, "tested": tested, "trials": trials}
        methods[name] = found.model_copy(update=changes)
    before = {key: value for key, value in tuning.run_before.items() if key in keys}
    return tuning.model_copy(update={"methods": methods, "run_before": before})


def _tested(found: MethodResult) -> list[str]:
    final = [*found.final.winner, *found.final.default] if found.final else []
    return [*final, *(key for one in found.tested for key in one.keys)]


def tuning_content(tuning: Tuning) -> dict[str, Any]:
    """Return the content of a tuning's line, with secrets of this machine redacted."""
    return line_content(KIND, tuning)


def as_sent(tuning: Tuning, records: Mapping[str, Record]) -> Tuning:
    """Return a tuning as a reader of the bundle will have it.

    Raises:
        InvalidInput: it cannot be sent, as `read_tuning` says why.
    """
    return read_tuning(line_to_send(KIND, tuning.settings.name, tuning), records)


def read_tuning(line: bytes, records: Mapping[str, Record], *, old_names: bool = False) -> Tuning:
    """Return the tuning of a line, about the bundle's `records` alone; see `of_records`.

    With `old_names` its settings are not compared with those of the records.

    Raises:
        InvalidInput: it is not one, cannot be shown, contradicts itself or its records, or none of
            its tested runs is among them.
    """
    tuning = parse_line(KIND, line, Tuning, SCHEMA_VERSION)
    if problem := next(tuning_problems(tuning, records, settings=not old_names), ""):
        raise InvalidInput(f"tuning {tuning.settings.name}: {problem}")
    (limited,) = of_records([tuning], records) or (None,)
    if limited is None:
        raise InvalidInput(
            f"tuning {tuning.settings.name}: none of its tested runs is in this file"
        )
    return limited


def tuning_problems(
    tuning: Tuning, records: Mapping[str, Record], *, settings: bool = True
) -> Iterator[str]:
    """Yield what makes a tuning unusable, or wrong about the records of its tested runs.

    Those must be of its method, a task and a sparsity of it, and of a configuration that it tried.
    """
    asked = tuning.settings
    if unknown := [goal for goal in asked.objectives if goal not in MAXIMISED]:
        yield f"the objective {unknown[0]!r:.40} is not known"
    if set(tuning.methods) - set(asked.methods):
        yield "it has results of a method that it did not tune"
    for method, found in tuning.methods.items():
        for problem in _search_problems(found, len(asked.objectives)):
            yield f"{method}: {problem}"
        for key in _tested(found) if settings else ():
            if (record := records.get(key)) is None:
                continue
            trial = record.trial
            sparsities = (*asked.sparsities, 0.0)  # methods without one have 0
            at = (trial["task"] in asked.tasks, trial["sparsity"] in sparsities)
            if trial["method"] != method or not all(at):
                yield f"{method}: trial {key} is of another method, task or sparsity"
            elif not any(_is_of(record, one, asked.recipe) for one in found.trials):
                yield f"{method}: trial {key} has settings that the search did not try"


def _is_of(record: Record, one: Candidate, recipe: Mapping[str, Any]) -> bool:
    """Return whether a record's settings are those of a configuration."""
    given = {**recipe, **one.recipe}
    same = all(given.get(name) == value for name, value in record.trial["recipe"].items())
    return same and record.trial["hyperparameters"] == one.hyperparameters


def _search_problems(found: MethodResult, objectives: int) -> Iterator[str]:
    """Yield what could not be drawn, or contradicts itself, in one method's search."""
    dimensions = {one.name: one for one in found.space}
    numbers = [one.number for one in found.trials]
    if len(dimensions) != len(found.space) or len(set(numbers)) != len(numbers):
        yield "a dimension or a trial is there twice"
    if any(not _is_range(one) for one in found.space):
        yield "a dimension has neither choices nor a range of numbers"
        return
    named = [*([] if found.winner is None else [found.winner]), *found.front]
    complete = {one.number for one in found.trials if one.state == "complete"}
    if not complete.issuperset(named):
        yield "its winner or front is not among the trials that were completed"
    if found.importance.keys() - dimensions.keys():
        yield "it states the importance of a dimension that it does not have"
    numbers_of = [*found.importance.values(), *([] if found.spent is None else [found.spent])]
    for one in found.trials:
        if len(one.values) != (objectives if one.state == "complete" else 0):
            yield f"trial {one.number} is {one.state} and has {len(one.values)} values"
        numbers_of += [*one.values, *one.curve, one.share]
        for name, value in one.parameters.items():
            if name not in dimensions or not _is_in(dimensions[name], value):
                yield f"trial {one.number} has a value of {name!r:.60} that is not in its space"
    if any(not abs(number) < MAX_NUMBER for number in numbers_of):
        yield f"a number is {MAX_NUMBER:g} or more"


def _is_range(one: Dimension) -> bool:
    if one.choices:
        return True
    if one.low is None or one.high is None:
        return False
    finite = math.isfinite(one.low) and abs(one.low) < MAX_NUMBER and abs(one.high) < MAX_NUMBER
    return finite and one.low < one.high and (one.low > 0 or not one.log)


def _is_in(one: Dimension, value: bool | float | str) -> bool:
    if one.choices:
        return value in one.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (one.low or 0.0) <= float(value) <= (one.high or 0.0)
