"""Taking turns: the ratio of two ways to do the same work, in one process."""

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
        times = [seconds(work) for work in order]
        first, second = times if number % 2 else reversed(times)
        if number > 0:
            found.append(first / second)
    return found


def seconds(work: Work) -> float:
    """Return the seconds that one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
