"""Processes that share the work of building a site."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import ParamSpec, Self, TypeVar

from suite.core.child_process import follow_parent_without_saving
from suite.core.own_packages import clean_start
from suite.core.stopping import blocked

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Up to `number` processes, started when there is work for them; ended with the block.

    With one, work is done at once in this process.
    """

    def __init__(self, number: int = 1) -> None:
        self._number = number
        self._pool: ProcessPoolExecutor | None = None

    @property
    def several(self) -> bool:
        """Whether there are processes beside this one."""
        return self._number > 1

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Return what will be the result of `work`, a function at the top of a module."""
        if not self.several:
            done: Future[T] = Future()
            try:
                done.set_result(work(*args, **kwargs))
            except Exception as error:
                done.set_exception(error)
            return done
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # polars has threads, so no fork
            self._pool = ProcessPoolExecutor(
                self._number, context, initializer=follow_parent_without_saving
            )
        with clean_start(), blocked():  # processes start when there is work
            return self._pool.submit(work, *args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
