import threading
from collections.abc import Iterator

import pytest

from suite.core.threads import AHEAD, in_threads


def test_results_come_in_the_order_of_the_items_whichever_ends_first() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(300)
        if item == 1:
            second.set()
        return item * item

    assert list(in_threads(work, range(100), 2)) == [item * item for item in range(100)]


def test_items_are_taken_no_faster_than_results() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_threads(lambda item: item, items(), 2)
    assert next(results) == 0
    assert len(taken) == 2 * AHEAD
    results.close()


def test_what_is_raised_comes_in_its_place_and_ends_the_work() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = in_threads(work, range(10_000), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert not [one for one in threading.enumerate() if one.name.startswith("ThreadPool")]
