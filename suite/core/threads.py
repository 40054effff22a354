"""Work that waits for a file system, done by several threads at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8
AHEAD = 4
"""Items for each thread that are given out before the first result is taken."""


def in_threads(
    function: Callable[[T], R], items: Iterable[T], threads: int = THREADS
) -> Iterator[R]:
    """Yield `function` of each item, in their order; what it raises is raised in its place.

    Few results are held at a time. What has been begun ends before an error is passed on.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
