"""Whether records of the same data agree on its test targets: they are the same for all."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator

from suite.results.counts import ClassTotals
from suite.results.record import Record
from suite.results.record_check import TARGETS, Check

TOLERANCE = 1e-5
"""Relative difference of variances: targets are standardised in single precision."""


def other_targets(records: Iterable[Record]) -> Iterator[tuple[Record, Check]]:
    """Yield the check of each record against the others of its data.

    Of labels their number in each class; of a real target its variance, which R² and RMSE imply:
    RMSE² / (1 − R²). What most records say, or of equally many the first, is taken for right.
    """
    groups: dict[object, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "failed" or record.trial.get("trainer"):
            yield record, Check(TARGETS, skipped="the trial failed, or a trainer read the data")
            continue
        found = _classes(record) or _variance(record)
        if not found:
            yield record, Check(TARGETS, skipped="it says nothing of the targets")
            continue
        data = str(record.data.get("checksum")), str(record.data.get("test"))
        groups[data, type(found)].append(record)
    for group in groups.values():
        yield from _compared(group)


def _compared(group: list[Record]) -> Iterator[tuple[Record, Check]]:
    if len(group) == 1:
        yield group[0], Check(TARGETS, skipped="no other record of its data")
        return
    said: list[list[Record]] = []
    for record in group:
        same = next((others for others in said if _agree(others[0], record)), None)
        if same is None:
            said.append([record])
        else:
            same.append(record)
    most = max(said, key=len)
    for others in said:
        problems = () if others is most else (_difference(others[0], most[0]),)
        for record in others:
            yield record, Check(TARGETS, problems)


def _classes(record: Record) -> tuple[int, ...]:
    counts = record.counts.get("test")
    return tuple(ClassTotals.of(counts).occurring) if counts and counts.confusion else ()


def _variance(record: Record) -> float:
    """Return the variance of the test targets; 0 where it is not known precisely."""
    r2, rmse = record.metrics.get("test_r2"), record.metrics.get("test_rmse")
    if r2 is None or rmse is None or 1 - r2 < TOLERANCE:
        return 0.0
    return rmse * rmse / (1 - r2)


def _agree(one: Record, other: Record) -> bool:
    if classes := _classes(one):
        return classes == _classes(other)
    return math.isclose(_variance(one), _variance(other), rel_tol=TOLERANCE)


def _difference(record: Record, other: Record) -> str:
    if classes := _classes(record):
        pairs = enumerate(itertools.zip_longest(classes, _classes(other), fillvalue=0))
        number, (here, there) = next((n, pair) for n, pair in pairs if pair[0] != pair[1])
        what = f"{here:,} test examples of class {number}, {there:,}"
    else:
        pair = f"{_variance(record):.6g}, {_variance(other):.6g}"
        what = f"R² and RMSE of test targets of variance {pair}"
    return f"{what} in trial {other.key} of the same data"
