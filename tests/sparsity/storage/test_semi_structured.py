"""2:4 matrices are packed in PyTorch's format and restored exactly, without a GPU."""

import pytest
import torch
from torch.sparse import SparseSemiStructuredTensorCUTLASS

from suite.sparsity.storage.semi_structured import fits, is_two_four, pack, unpack


def two_four(rows: int, columns: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a random 2:4 matrix, with some groups of fewer than two weights."""
    torch.manual_seed(0)
    keep = torch.rand(rows, columns // 4, 4).argsort(-1) < 2
    weight = torch.randn(rows, columns) * keep.view(rows, columns)
    return (weight * (torch.rand(rows, columns) < 0.9)).to(dtype)


def test_two_of_four_neighbours_may_be_non_zero():
    assert is_two_four(torch.tensor([[1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0]]))
    assert not is_two_four(torch.tensor([[1.0, 1.0, 2.0, 0.0]]))
    assert not is_two_four(torch.zeros(2, 6))


@pytest.mark.parametrize(
    ("group", "values", "code"),
    [
        # The places of both weights, the second one in the higher two bits: (3, 2) = 0b1110, as in
        # the documentation of `torch.sparse.to_sparse_semi_structured`: -4370 is 0xEEEE.
        ([0.0, 0.0, 5.0, 6.0], [5.0, 6.0], 0xEEEE),
        ([5.0, 6.0, 0.0, 0.0], [5.0, 6.0], 0x4444),
        ([5.0, 0.0, 0.0, 6.0], [5.0, 6.0], 0xCCCC),
        ([0.0, 5.0, 0.0, 6.0], [5.0, 6.0], 0xDDDD),
        ([0.0, 0.0, 0.0, 6.0], [0.0, 6.0], 0xEEEE),  # a zero completes the pair
    ],
)
def test_a_group_is_packed_as_by_hand(group, values, code):
    found, meta = pack(torch.tensor(group).repeat(32, 16))
    assert found.tolist() == [values * 16] * 32
    assert meta.dtype == torch.int16
    assert set(meta.flatten().tolist()) == {code - 2**16 if code >= 2**15 else code}


@pytest.mark.parametrize("shape", [(32, 64), (64, 128), (96, 320)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_round_trip_is_exact(shape, dtype):
    weight = two_four(*shape, dtype)
    values, meta = pack(weight)
    assert values.shape == (shape[0], shape[1] // 2)
    assert meta.shape == (shape[0], shape[1] // 16)
    again = unpack(values, meta)
    assert again.dtype == dtype
    assert torch.equal(again, weight)


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructured")
def test_pytorch_reads_what_was_packed():
    weight = two_four(64, 128, torch.float16)
    values, meta = pack(weight)
    theirs = SparseSemiStructuredTensorCUTLASS(weight.shape, values, meta, None, None, None)
    assert torch.equal(theirs.to_dense(), weight)


@pytest.mark.parametrize("shape", [(10, 64), (32, 32), (32, 72), (64,)])
def test_other_shapes_do_not_fit(shape):
    assert not fits(torch.Size(shape))
    if len(shape) == 2:
        with pytest.raises(ValueError, match="is not 2:4"):
            pack(torch.zeros(shape))


def test_what_is_not_2_4_is_not_packed():
    with pytest.raises(ValueError, match="is not 2:4"):
        pack(torch.ones(32, 64))


def test_damaged_pairs_are_refused():
    values, meta = pack(two_four(32, 64))
    for one, other in (
        (values[0], meta), (values[:, :-1], meta), (values[:16], meta[:16]), (values.int(), meta),
        (values[:0], meta[:0]), (values[:, :0], meta[:, :0]), (torch.tensor(1.0), meta),
        (values, meta[:, :-1]), (values, meta.int()), (values, meta.view(-1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="2:4"):
            unpack(one, other)
    for code in (0x4440, 0x444A, 0x4441):  # the same place twice, and places in descending order
        broken = meta.clone()
        broken[3, 2] = code
        with pytest.raises(ValueError, match="do not name two of every four"):
            unpack(values, broken)
