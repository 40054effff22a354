"""The benchmarks of condensed layers and of sparse convolutions."""

import torch

from suite.bench import condensed, convolution, turns
from suite.sparsity.storage.condensed import numba_is_installed


def test_constant_fan_in_is_what_its_name_says():
    layer = condensed.constant_fan_in(0.9)
    assert set((layer.weight != 0).sum(1).tolist()) == {78}


def test_only_the_compiled_kernel_against_dense_is_held_to_a_bar(monkeypatch):
    monkeypatch.setattr(turns, "seconds", lambda work, device: work() or 1.0)
    found = list(condensed.run({0.9: 1.5}, {1: 1, 8: 1}, blocks=1))
    judged = [one.what for one in found if one.bar is not None]
    assert judged == (["dense / condensed by numba, 90%, batch 1"] if numba_is_installed() else [])
    assert [one.what for one in found if "batch 8" in one.what] == [
        "dense / condensed by PyTorch, 90%, batch 8", "CSR / condensed by PyTorch, 90%, batch 8",
    ]  # fmt: skip


def test_a_sparse_convolution_is_checked_against_the_dense_one(monkeypatch):
    calls = []

    def seconds(work, device):
        work()
        calls.append(work)
        return float(len(set(calls)))

    monkeypatch.setattr(turns, "seconds", seconds)
    (found,) = convolution.run({"tiny": (2, 3, 3, 6)}, (0.5,), blocks=1)
    assert found.what == "dense / csr convolution, tiny at 50%"
    assert len(set(calls)) == 2
    assert torch.get_num_threads() == 1
