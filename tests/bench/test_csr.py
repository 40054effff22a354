"""The benchmark of truly sparse training measures what it says: the work, not the time."""

import pytest
import torch

from suite.bench import csr, csr_chart, turns
from suite.bench.threads import conditions, on_threads
from suite.bench.trainer import Trainer
from suite.sparsity.storage import compiled_sampled
from suite.sparsity.storage.condensed import numba_is_installed
from suite.sparsity.storage.csr import CsrWeight
from tests.conftest import require

SMALL = (20, 16, 12, 4)


@pytest.fixture
def clock(monkeypatch):
    """Make time stand for the number of steps: each costs a second, two in CSR."""

    def train(trainer, steps):
        return float(steps if trainer.sparsifier is None else 2 * steps)

    monkeypatch.setattr(Trainer, "train", train)


@pytest.mark.usefixtures("clock")
def test_a_speedup_is_dense_time_over_sparse_time():
    assert csr.speedups(SMALL, 0.9, blocks=3, period=10) == [0.5, 0.5, 0.5]


def test_both_take_the_same_steps_and_a_period_holds_one_update():
    dense, sparse = csr.trainer(SMALL), csr.trainer(SMALL, "rigl", 0.8, period=10)
    assert len(csr.ratios_over_periods(dense, sparse, blocks=2, period=10)) == 2
    assert dense.step == sparse.step == 20
    made = sparse.sparsifier
    assert [step for step in range(1, 21) if made.is_update(step)] == [10, 20]
    assert all(isinstance(layer.store, CsrWeight) for layer in made.layers if layer.sparse)
    assert any(layer.sparse for layer in made.layers)


def test_all_figures_come_with_their_bars_and_conditions():
    bars = {1: ((SMALL, 0.9, 2.2),), 10**6: ((SMALL, 0.9, 1.0),)}  # no machine has so many cores
    speedup, sampled, memory = csr.run(bars, SMALL, blocks=1, period=10)
    assert speedup.what == "dense / RigL in csr, 20-16-12-4 at 90%"
    assert speedup.bar is not None
    assert (speedup.bar.limit, speedup.bar.least) == (2.2, True)
    assert (sampled.bar.limit, sampled.bar.least) == (1.05, False)
    assert sampled.what == "resonance_sampled / RigL, step in csr at 98%"
    assert memory.unit == "%" and memory.bar.limit == 8.0  # noqa: PT018
    assert memory.note == conditions(1)


def test_held_memory_counts_values_gradients_momentum_and_indices():
    trainer = csr.trainer((20, 16), "rigl", 0.5)
    trainer.train(2)
    (layer,) = trainer.sparsifier.layers
    n = 160 if layer.sparse else 320
    indices = layer.store.module.topology.bytes if layer.sparse else 320 * 5
    assert csr.held_bytes(trainer) == 3 * 4 * (n + 16) + indices


def test_the_kernel_is_compared_where_it_would_be_used(monkeypatch):
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    assert list(csr.kernel(50, (0.5,), blocks=1)) == []
    monkeypatch.setattr(compiled_sampled, "LEAST", 0)
    (found,) = csr.kernel(50, (0.5,), blocks=1)
    assert found.what == "sampled_addmm / compiled product, 50 × 50 at 50%"
    assert "numba" in found.note


def test_break_even_has_a_figure_for_each_layer_and_density(monkeypatch):
    monkeypatch.setattr(turns, "seconds", lambda work, device: 1.0)
    found = list(csr.break_even(((10, 8), (4, 4)), (0.5, 0.25), blocks=1))
    assert [one.what.partition("layer ")[2] for one in found] == [
        "10 × 8 at 50%", "10 × 8 at 75%", "4 × 4 at 50%", "4 × 4 at 75%",
    ]  # fmt: skip
    assert [one.value for one in found] == [1.0] * 4


@pytest.mark.usefixtures("clock")
def test_the_chart_has_a_line_for_each_width(tmp_path):
    rows = list(csr_chart.rows((8, 16), (0.8, 0.9), blocks=1, period=10))
    assert [(row["width"], row["sparsity"], row["speedup"]) for row in rows] == [
        (8, 0.8, 0.5), (8, 0.9, 0.5), (16, 0.8, 0.5), (16, 0.9, 0.5),
    ]  # fmt: skip
    csr_chart.write(tmp_path, rows)
    assert (tmp_path / "speedup.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "speedup.csv").read_text().startswith("width,sparsity,speedup,low,high\n8,")


def test_threads_are_those_asked_for_and_then_the_former_ones():
    before = torch.get_num_threads()
    with on_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    assert conditions(2).startswith("2 threads, ")
    assert conditions(1).startswith("1 thread, ")
