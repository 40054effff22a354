"""Taking turns: the ratio of two ways to do the same work."""

import statistics
import time
from collections.abc import Callable

Work = Callable[[], object]


def ratios(subject: Work, peer: Work, blocks: int) -> list[float]:
    """Return time(subject) / time(peer) for each of `blocks` neighbouring pairs.

    Which of the two goes first alternates; one pair before the first is not counted.
    """
    found = []
    for number in range(blocks + 1):
        order = (subject, peer) if number % 2 else (peer, subject)
        times = [_seconds(work) for work in order]
        first, second = times if number % 2 else reversed(times)
        if number > 0:
            found.append(first / second)
    return found


def _seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def report(what: str, values: list[float], bar: float | None) -> bool:
    """Print the median ratio, its range and the bar; return whether it is met."""
    median = statistics.median(values)
    met = bar is None or median <= bar
    spread = f" ({min(values):.3f} … {max(values):.3f})" if len(values) > 1 else ""
    judged = f"  bar ≤ {bar:g}  {'ok' if met else 'MISSED'}" if bar is not None else ""
    print(f"{what:<58} {median:6.3f} ×{spread}{judged}", flush=True)
    return met
