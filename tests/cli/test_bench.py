"""`resonance bench`: what it prints and writes, and what it refuses."""

import json

import pytest
import torch

from suite.bench import catalogue
from suite.bench.catalogue import Benchmark
from suite.bench.measurement import Bar, Measurement
from suite.bench.report import load
from suite.cli import bench
from suite.core.errors import InvalidInput


def quick():
    torch.set_num_threads(2)
    yield Measurement("a step", 1.05, "×", bar=Bar(1.1), note="one thread")


def slow():
    yield Measurement("a site", 12.0, "s", bar=Bar(10.0))


def absent():
    raise InvalidInput("no such data: download them")
    yield


LIST = tuple(
    Benchmark(name, f"what {name} is", f"{__name__}:{name}", 1.0, long=name == "slow")
    for name in ("quick", "slow", "absent")
)


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.setattr(bench, "BENCHMARKS", LIST)
    monkeypatch.setattr(catalogue, "BENCHMARKS", LIST)


def test_it_prints_a_table_and_the_machine_and_leaves_long_ones_out(resonance):
    threads = torch.get_num_threads()
    result = resonance("bench")
    assert result.code == 0
    assert "quick\ta step\t1.05 ×\t\t≤ 1.1\tone thread" in result.out
    assert "a site" not in result.out
    assert "PyTorch" in result.out
    assert "absent is left out: no such data: download them" in result.err
    assert torch.get_num_threads() == threads


def test_it_writes_a_report_and_check_fails_where_a_bar_is_missed(resonance, place):
    result = resonance("bench", "--long", "--check", "--out", "found.json")
    assert result.code == 1
    assert "≤ 10, missed" in result.out
    assert [one.benchmark for one in load(place / "found.json").missed] == ["slow"]
    one = resonance("bench", "quick", "--check")
    assert one.code == 0
    assert one.err.startswith("1 benchmark, about a minute on two cores")


def test_as_json_it_is_the_report(resonance, place):
    result = resonance("bench", "quick", "--json", "--out", "found.json")
    assert json.loads(result.out) == json.loads((place / "found.json").read_text())


def test_a_run_that_measured_nothing_is_no_success(resonance):
    assert resonance("bench", "absent").code == 1


def test_they_are_listed(resonance):
    assert "slow\twhat slow is\t1" in resonance("list", "benchmarks").out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("quik",), "unknown benchmark 'quik'"),
        (("quick", "--out", "none/found.json"), "there is no folder none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_refused_in_one_line(resonance, words, reason):
    result = resonance("bench", *words)
    assert result.code == 2
    assert reason in result.err
    assert len(result.err.strip().splitlines()) == 1
