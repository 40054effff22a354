import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from suite.evaluation.model_size import decode, disk_size, encode
from tests.support.helpers import conv_net


def masked(shape: tuple[int, ...], density: float) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.rand(shape) < density
    return torch.randn(shape) * mask, mask


@pytest.mark.parametrize("shape", [(10, 7), (3, 300), (16, 8, 3, 3), (2, 70_000)])
@pytest.mark.parametrize("density", [0.0, 0.003, 0.3, 1.0])
def test_what_is_stored_is_the_weight(shape, density):
    weight, mask = masked(shape, density)
    parts, storage = encode(weight, mask)
    assert torch.equal(decode(parts, storage, weight.shape), weight)


@pytest.mark.parametrize(
    ("density", "storage"), [(1.0, "dense"), (0.5, "bitmap"), (0.3, "bitmap"), (0.01, "csr")]
)
def test_the_smallest_way_is_chosen(density, storage):
    weight, mask = masked((64, 1024), density)
    parts, chosen = encode(weight, mask)
    assert chosen == storage
    active = int(mask.sum())
    bitmap, csr = 4 * active + 64 * 1024 // 8, 4 * active + 2 * active + 4 * 65
    size = sum(part.nbytes for part in parts.values())
    assert size == min(4 * 64 * 1024, bitmap, csr)


def test_a_weight_that_is_called_by_its_own_name_is_stored_sparse():
    model = nn.ModuleDict({"rnn": nn.GRU(64, 64), "head": nn.Linear(64, 2)})
    mask = torch.zeros(192, 64, dtype=torch.bool)
    found = disk_size(model, {"rnn.weight_hh_l0": mask})
    assert found.storage == {"rnn.weight_hh_l0": "csr"}
    # Only the starts of the rows are left of its 4 · 192 · 64 bytes, and longer headers.
    assert abs(found.dense - found.sparse - 4 * 192 * 64 + 4 * 193) < 400


@pytest.mark.parametrize(("columns", "kind"), [(256, 1), (257, 2), (65_536, 2), (65_537, 4)])
def test_columns_take_the_narrowest_type_that_holds_them(columns, kind):
    mask = torch.zeros(2, columns, dtype=torch.bool)
    mask[0, -1] = True
    parts, storage = encode(mask.float(), mask)
    assert storage == "csr"
    assert parts[".columns"].element_size() == kind
    assert torch.equal(decode(parts, storage, mask.shape), mask.float())


def test_an_active_weight_of_zero_is_kept_as_a_connection():
    weight, mask = masked((20, 20), 0.3)
    weight[:] = 0
    assert len(encode(weight, mask)[0][".values"]) == int(mask.sum())


def test_sizes_are_those_of_files(tmp_path):
    model = conv_net()
    masks = {}
    for name in ("0", "3", "6", "8"):
        layer = model.get_submodule(name)
        masks[name] = torch.rand_like(layer.weight) < 0.1
        layer.weight.data.mul_(masks[name])
    size = disk_size(model, masks)
    save_file(model.state_dict(), tmp_path / "dense")
    assert size.dense == (tmp_path / "dense").stat().st_size
    tensors = dict(model.state_dict())
    for name, mask in masks.items():
        parts, storage = encode(tensors.pop(f"{name}.weight"), mask)
        assert storage == size.storage[name]
        tensors |= {f"{name}.weight{suffix}": part for suffix, part in parts.items()}
    save_file(tensors, tmp_path / "sparse")
    assert size.sparse == (tmp_path / "sparse").stat().st_size < size.dense / 4
    assert load_file(tmp_path / "sparse").keys() == tensors.keys()


def test_a_dense_network_is_no_larger_in_the_sparse_file():
    model = conv_net()
    size = disk_size(model, {"6": torch.ones_like(model[6].weight, dtype=torch.bool)})
    assert size.sparse == size.dense
    assert size.storage == {"6": "dense"}


def test_a_shared_weight_is_stored_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(100, 50)
            self.head = nn.Linear(50, 100, bias=False)
            self.head.weight = self.table.weight

    size = disk_size(Tied(), {"head": torch.rand(100, 50) < 0.1})
    assert 4 * 5000 < size.dense < 4 * 5000 + 200
    assert size.sparse < size.dense / 3
