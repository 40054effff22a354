import itertools
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from suite.evaluation import latency
from suite.evaluation.latency import (
    measure_latency,
    why_not_two_four,
    with_csr,
    with_two_four,
)
from suite.results.metrics import KNOWN
from suite.sparsity.storage.condensed import numba_is_installed
from tests.conftest import require
from tests.support.helpers import conv_net, digits


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latency, "MIN_SECONDS", 0.0)
    monkeypatch.setattr(latency, "MIN_RUNS", 5)


def timed(*variants: str) -> set[str]:
    return {f"{variant}_{batch}" for variant in variants for batch in (1, 128, 256)}


def two_four(rows: int, columns: int) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(columns, rows)
    keep = torch.rand(rows, columns // 4, 4).argsort(-1) < 2
    layer.weight.data.mul_(keep.view(rows, columns))
    return layer


def test_compressed_rows_compute_the_same():
    model = conv_net().eval()
    model[6].weight.data.mul_(torch.rand_like(model[6].weight) < 0.1)
    sparse = with_csr(model)
    x = digits().x[:20]
    with torch.no_grad():
        assert torch.allclose(sparse(x), model(x), atol=1e-5)
        assert sparse[6].values.numel() == int((model[6].weight != 0).sum())
    assert isinstance(model[6], nn.Linear)
    lone = nn.Linear(4, 3, bias=False)
    sequences = torch.randn(2, 5, 4)
    assert torch.allclose(with_csr(lone)(sequences), lone(sequences), atol=1e-6)
    assert with_csr(lone)(torch.zeros(0, 4)).shape == (0, 3)
    with pytest.raises(RuntimeError, match="5 features meets a layer that takes 4"):
        with_csr(lone)(torch.zeros(2, 5))


def test_every_way_has_a_time_or_a_reason():
    found = measure_latency(conv_net(), digits().x[:50])
    assert set(found.seconds) == timed("dense", "csr")
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert found.absent == {
        "two_four": "2:4 sparsity is measured on GPUs",
        "condensed": "no Linear layer would be smaller as values and indices",
    }
    found = measure_latency(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), digits().x[:50])
    assert set(found.seconds) == timed("dense")
    assert found.absent["csr"] == "the model has no Linear layer"


def test_a_condensed_network_is_timed_with_and_without_numba(monkeypatch):
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    model = conv_net()
    model[6].weight.data.mul_(torch.rand_like(model[6].weight) < 0.1)
    found = measure_latency(model, digits().x[:50])
    assert set(found.seconds) == timed("dense", "csr", "condensed") | {"condensed_numba_1"}
    assert all(name in KNOWN for name in found.seconds)
    monkeypatch.setitem(sys.modules, "numba", None)
    found = measure_latency(model, digits().x[:50])
    assert set(found.seconds) == timed("dense", "csr", "condensed")
    assert "pip install 'resonance-bench[numba]'" in found.absent["condensed_numba"]
    assert all(name in KNOWN for name in found.absent)


def test_the_median_is_of_what_the_model_takes(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    calls = itertools.count()

    class Slow(nn.Module):
        def forward(self, x):
            interrupted = next(calls) % 3 == 0  # at most two of five runs
            clock.now += 0.002 * len(x) + interrupted
            return x

    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    found = measure_latency(Slow(), torch.randn(10, 4)).seconds
    assert found == pytest.approx({"dense_1": 0.002, "dense_128": 0.256, "dense_256": 0.512})


@pytest.mark.parametrize(
    ("seconds", "runs"), [(1e-4, 500), (0.01, 100), (0.25, 20), (1.0, 11), (4.0, 3), (60.0, 3)]
)
def test_a_fast_network_has_many_runs_and_a_slow_one_few(monkeypatch, seconds, runs):
    monkeypatch.setattr(latency, "MIN_SECONDS", 1.0)
    monkeypatch.setattr(latency, "MIN_RUNS", 20)
    times = []
    while not latency._enough(times):
        times.append(seconds)
    assert len(times) == pytest.approx(runs, abs=1)


def test_a_conversion_that_computes_something_else_is_not_timed(monkeypatch):
    monkeypatch.setattr(latency, "with_csr", lambda model: nn.Sequential(model, nn.ReLU()))
    found = measure_latency(nn.Linear(4, 3), torch.randn(10, 4))
    assert "csr_1" not in found.seconds
    assert "its outputs are off by" in found.absent["csr"]


def test_a_network_that_cannot_be_converted_says_why():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return torch.einsum("bi,oi->bo", x, self.layer.weight)

    found = measure_latency(Reads(), torch.randn(10, 4))
    assert "dense_1" in found.seconds
    assert found.absent["csr"]


def test_the_model_is_left_as_it_was():
    model = conv_net().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    measure_latency(model, digits().x[:50])
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_who_can_run_two_four_is_told():
    fits = nn.Sequential(two_four(32, 64), nn.ReLU(), nn.Linear(32, 10))
    assert why_not_two_four(fits) == ""
    assert "layer '0'" in why_not_two_four(nn.Sequential(nn.Linear(64, 32)))
    assert "multiples" in why_not_two_four(nn.Sequential(nn.Linear(64, 10)))


def test_two_four_is_timed_on_a_gpu():
    require("gpu", torch.cuda.is_available(), "a CUDA device")
    model = nn.Sequential(two_four(256, 512), nn.ReLU(), nn.Linear(256, 10)).cuda()
    x = torch.randn(64, 512, device="cuda")
    with torch.no_grad():
        assert torch.allclose(with_two_four(model)(x.half()).float(), model(x), atol=0.05)
    found = measure_latency(model, x)
    assert {"dense_1", "half_128", "two_four_128"} <= set(found.seconds), found.absent
