"""Reruns: records of one trial by several people, compared.

Whoever runs a submitted trial again submits a record of their own. Where it is equal, the trial has
been reproduced, and the site says by whom.
"""

from collections.abc import Sequence
from typing import NamedTuple

from leaderboard.bundles.bundle_file import Sender
from suite.results.record import Record


class Rerun(NamedTuple):
    """Another record of a trial, by somebody else.

    Attributes:
        by: who ran the trial again.
        differing: metrics, FLOPs and digests that are not the same; empty if all are equal.
    """

    by: Sender
    differing: tuple[str, ...]


def differing_values(record: Record, again: Record) -> tuple[str, ...]:
    """Return the metrics, FLOPs and digests whose values two records of a trial do not share.

    What only one of them has does not count; ``status`` if one failed and the other did not.
    """
    if record.status != again.status:
        return ("status",)
    first = {**record.metrics, **record.flops, **record.digests}
    second = {**again.metrics, **again.flops, **again.digests}
    return tuple(name for name in first if name in second and first[name] != second[name])


def reruns(
    record: Record, author: Sender | None, others: Sequence[tuple[Sender, Record]]
) -> tuple[Rerun, ...]:
    """Return the reruns of a trial among other records of it, one of each sender, signed first.

    `author` made the record; None is whoever has the store. Nobody reruns their own trial, and a
    copy of a record, which has the same times too, is no rerun. Without a signature a sender is a
    name that anybody can have written, so it never stands for one who has signed.
    """
    found: dict[tuple[str, str], Rerun] = {}
    for sender, again in sorted(others, key=lambda pair: not pair[0].signed):
        own = author is not None and author.identity == sender.identity
        copied = bool(record.timing) and again.timing == record.timing
        if not own and not copied:
            found.setdefault(sender.identity, Rerun(sender, differing_values(record, again)))
    return tuple(found.values())
