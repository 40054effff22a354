"""Every benchmark, by name; its module is imported when it is run."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

from suite.bench.measurement import Measurement


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: `function` names a function without parameters that yields measurements.

    `minutes` is about how long it takes on two cores; a `long` one runs only when asked for.
    """

    name: str
    about: str
    function: str
    minutes: float
    long: bool = False

    def run(self) -> Iterator[Measurement]:
        """Import the module, and yield the measurements as they come."""
        module, _, name = self.function.partition(":")
        yield from getattr(importlib.import_module(module), name)()


BENCHMARKS: tuple[Benchmark, ...] = ()
"""In the order in which they are run and printed."""
