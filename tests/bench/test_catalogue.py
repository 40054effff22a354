"""Every benchmark of the catalogue."""

import importlib

import pytest

from suite.bench.catalogue import BENCHMARKS, Benchmark
from suite.bench.measurement import Measurement


def test_names_are_unique():
    names = [one.name for one in BENCHMARKS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda one: one.name)
def test_a_benchmark_names_a_function_that_there_is(benchmark):
    module, _, name = benchmark.function.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert benchmark.about
    assert benchmark.minutes > 0


def test_running_one_yields_its_measurements():
    one = Benchmark("it", "", f"{__name__}:measure", 0.1)
    assert [m.what for m in one.run()] == ["first", "second"]


def measure():
    yield Measurement("first", 1.0, "s")
    yield Measurement("second", 2.0, "s")
