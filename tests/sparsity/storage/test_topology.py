"""Sparse products against dense ones, and what a change of topology carries over."""

import copy

import pytest
import torch

from suite.sparsity.storage.topology import Topology

DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [1, 15, 64, 100])
@pytest.mark.parametrize("density", [0.0, 0.03, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(7, 50), (50, 7), (1, 1)])
def test_products_are_the_dense_ones(shape, density, batch, bias, dtype):
    torch.manual_seed(0)
    mask = torch.rand(shape) < density  # at 0.03 most rows and columns are empty
    weight = (torch.randn(shape) * mask).to(dtype)
    x, back = torch.randn(shape[1], batch).to(dtype), torch.randn(shape[0], batch).to(dtype)
    b = torch.randn(shape[0]).to(dtype) if bias else None
    topology, values = Topology.of(mask), weight[mask]
    found = topology.product(values, x, b)
    expected = weight @ x + (0 if b is None else b[:, None])
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(topology.product_t(values, back), weight.T @ back)
    torch.testing.assert_close(topology.sampled(back, x), (back @ x.T)[mask])


def test_a_product_does_not_touch_what_it_reads():
    torch.manual_seed(0)
    mask = torch.rand(30, 20) < 0.3
    topology, values = Topology.of(mask), torch.randn(int(mask.sum()))
    x, y, bias = torch.randn(20, 8), torch.randn(30, 8), torch.randn(30)
    read = [values, x, y, bias, topology.start, topology.column, topology.row, topology.start_t]
    before = [tensor.clone() for tensor in read]
    first = topology.product(values, x, bias)
    second = topology.product(values, x, bias)
    assert first.data_ptr() != second.data_ptr()
    topology.product_t(values, y)
    topology.sampled(y, x)
    assert all(torch.equal(a, b) for a, b in zip(before, read, strict=True))


def test_a_sampled_product_is_memory_of_its_own_and_forgets_an_overflow():
    torch.manual_seed(0)
    mask = torch.rand(30, 20) < 0.3
    topology = Topology.of(mask)
    left, right = torch.randn(30, 8), torch.randn(20, 8)
    found = topology.sampled(left, right)
    kept = found.clone()
    assert topology.sampled(left * torch.inf, right).isnan().any()
    again = topology.sampled(left, right)
    assert torch.equal(found, kept)
    assert torch.equal(again, kept)
    found.zero_()
    assert torch.equal(topology.sampled(left, right), kept)


def test_a_copy_has_room_of_its_own():
    topology = Topology.of(torch.rand(30, 20) < 0.3)
    left, right = torch.randn(30, 8), torch.randn(20, 8)
    found = topology.sampled(left, right)
    copied = copy.deepcopy(topology)
    assert torch.equal(copied.sampled(left, right), found)
    assert copied.column.data_ptr() != topology.column.data_ptr()
    assert topology.bytes == copied.bytes


def test_topology_carries_what_is_kept_and_starts_what_is_grown_at_zero():
    torch.manual_seed(0)
    old, new = (torch.rand(30, 20) < density for density in (0.3, 0.5))
    dense = torch.randn(30, 20)
    before, after = Topology.of(old), Topology.of(new)
    values = dense[old]
    assert torch.equal(before.mask(), old)
    assert torch.equal(before.dense(values), dense * old)
    carried = torch.cat([torch.zeros(1), values])[before.origin(after)]
    assert torch.equal(after.dense(carried), dense * old * new)


def test_what_a_topology_takes_is_counted_whole():
    topology = Topology.of(torch.rand(30, 20) < 0.3)
    indices = sum(t.nbytes for t in vars(topology).values() if isinstance(t, torch.Tensor))
    assert topology.bytes == indices
    topology.sampled(torch.randn(30, 8), torch.randn(20, 8))
    assert topology.bytes == indices + 4 * topology.count
