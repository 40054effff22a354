"""Reruns: records of one trial by several people, compared.

Whoever runs a submitted trial again submits a record of their own. Where it is equal, the trial has
been reproduced, and the site says by whom.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from suite.results.record import Record


@dataclass(frozen=True)
class Rerun:
    """Another record of a trial, by somebody else.

    Attributes:
        by: who ran the trial again, in words.
        differing: metrics, FLOPs and digests that are not the same; empty if all are equal.
    """

    by: str
    differing: tuple[str, ...]


def differing(record: Record, again: Record) -> tuple[str, ...]:
    """Return the metrics, FLOPs and digests whose values two records of a trial do not share.

    What only one of them has does not count; ``status`` if one failed and the other did not.
    """
    if record.status != again.status:
        return ("status",)
    first = {**record.metrics, **record.flops, **record.digests}
    second = {**again.metrics, **again.flops, **again.digests}
    return tuple(name for name in first if name in second and first[name] != second[name])


def reruns(
    shown: Iterable[tuple[str, Record]], others: Iterable[tuple[str, Record]]
) -> dict[str, list[Rerun]]:
    """Return the reruns of the records that are shown, by key.

    Both are pairs of a name, who made the record, and the record; nobody reruns their own trial,
    and a copy of a record (the same times, too) is no rerun.
    """
    by_key = {record.key: (name, record) for name, record in shown}
    found: dict[str, list[Rerun]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for name, again in others:
        if again.key not in by_key:
            continue
        author, record = by_key[again.key]
        is_copy = bool(record.timing) and again.timing == record.timing
        if name == author or is_copy or (name, again.key) in seen:
            continue
        seen.add((name, again.key))
        found[again.key].append(Rerun(name, differing(record, again)))
    return dict(found)
