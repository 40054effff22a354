"""A condensed network computes the same, in less memory, and its file cannot mislead."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from suite.core.errors import InvalidInput
from suite.export.network import load_network, write_compact, write_condensed
from suite.sparsity.storage.condensed import CondensedLinear
from tasks.models.transformer import gpt, vit
from tests.support.helpers import conv_net

X = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def sparse_net(density: float = 0.1) -> nn.Sequential:
    """Return the convolutional network with this share of its Linear weights, and dead units."""
    model = conv_net().eval().requires_grad_(False)
    for layer in (model[6], model[8]):
        layer.weight *= torch.rand_like(layer.weight) < density
    model[6].weight[:3] = 0  # units 0, 1, 2 have no inputs,
    model[8].weight[:, 4:6] = 0  # units 4, 5 no use
    return model


def about(path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_a_small_network_is_written_as_by_hand(tmp_path):
    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 4)).requires_grad_(False)
    model[0].weight.copy_(torch.tensor([[0.0, 2, 0, 0, -1], [3, 0, 0, 0, 0], [0, 0, 4, 0, 0]]))
    model[0].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    written = write_condensed(model, tmp_path / "net", torch.randn(4, 5), {})
    tensors = load_file(tmp_path / "net")
    assert tensors["0.values"].tolist() == [[2.0, -1.0], [3.0, 0.0], [4.0, 0.0]]
    assert tensors["0.indices"].to(int).tolist() == [[1, 4], [0, 1], [2, 0]]
    assert tensors["0.bias"].tolist() == [1.0, 2.0, 3.0]
    assert torch.equal(tensors["2.weight"], model[2].weight)  # 3 of 3 weights: dense
    assert tensors.keys() == {"0.values", "0.indices", "0.bias", "2.weight", "2.bias"}
    assert about(tmp_path / "net") == {"format": "condensed", "in_features": '{"0": 5}'}
    assert written.parameters == (15 + 3 + 12 + 4, 6 + 3 + 12 + 4)
    assert [(layer.name, layer.storage, layer.detail) for layer in written.layers] == [
        ("0", "condensed", "2 of 5 inputs for 3 units, 2 of 6 values are padding"),
        ("2", "dense", "a unit has 3 of 3 weights, so values and indices would not be smaller"),
    ]


def test_outputs_are_the_same_and_dead_units_are_gone(tmp_path):
    model = sparse_net()
    written = write_condensed(model, tmp_path / "net", X[:8], {})
    again = load_network(tmp_path / "net", conv_net())
    torch.testing.assert_close(again(X), model(X), rtol=1e-5, atol=1e-5)
    assert written.error < 1e-5
    first, last = again[6], again[8]
    assert isinstance(first, CondensedLinear)
    assert isinstance(last, CondensedLinear)
    assert first.out_features == last.in_features <= 32 - 5
    fan_in = (model[6].weight != 0).sum(1)
    assert first.values.shape[1] <= int(fan_in.max())
    assert not again.training
    assert sum(p.numel() for p in again.parameters()) == written.parameters[1]
    storage = [layer.storage for layer in written.layers]
    assert storage == ["dense", "dense", "condensed", "condensed"]
    assert written.layers[0].detail == "a convolution"


def test_constant_fan_in_has_no_padding(tmp_path):
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10)).requires_grad_(False)
    model[0].weight *= torch.rand(30, 40).argsort(1).argsort(1) < 4
    written = write_condensed(model, tmp_path / "net", torch.randn(4, 40), {})
    assert written.layers[0].detail == "4 of 40 inputs for 30 units"
    assert load_file(tmp_path / "net")["0.values"].shape == (30, 4)


def test_units_that_cannot_be_removed_stay_as_rows_of_zeros(tmp_path):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 8)

        def forward(self, x):
            out = self.layer(x.flatten(1))
            return out if out.sum() > 0 else -out

    model = Branches().requires_grad_(False)
    model.layer.weight[:, 5:] = 0
    model.layer.weight[:3] = 0
    written = write_condensed(model, tmp_path / "net", X, {})
    assert written.layers[0].detail == (
        "5 of 64 inputs for 8 units, 15 of 40 values are padding, units without weights: 3; "
        "units without weights stay: torch.fx cannot trace the model"
    )
    torch.testing.assert_close(load_network(tmp_path / "net", Branches())(X), model(X))


@pytest.mark.parametrize("write", [write_compact, write_condensed])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_that_are_not_finite_are_said_to_be(write, value, tmp_path):
    model = sparse_net()
    model[8].bias[0] = value
    with pytest.raises(InvalidInput, match="Sequential's outputs for this example are not finite"):
        write(model, tmp_path / "net", X, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("write", [write_compact, write_condensed])
def test_a_network_without_outputs_is_written(write, tmp_path):
    model = nn.Sequential(nn.Linear(64, 0)).requires_grad_(False)
    assert write(model, tmp_path / "net", torch.randn(4, 64), {}).error == 0.0
    assert load_network(tmp_path / "net", model)(torch.randn(3, 64)).shape == (3, 0)


def test_a_layer_with_one_dense_row_stays_dense(tmp_path):
    model = sparse_net()
    model[6].weight[7] = 1.0
    written = write_condensed(model, tmp_path / "net", X, {})
    assert [layer.storage for layer in written.layers] == ["dense", "dense", "dense", "condensed"]
    torch.testing.assert_close(load_network(tmp_path / "net", conv_net())(X), model(X))


def test_another_process_loads_it(tmp_path):
    model = sparse_net()
    write_condensed(model, tmp_path / "net", X, {})
    save_file({"x": X, "expected": model(X)}, tmp_path / "x")
    code = (
        "import sys, torch\n"
        "from safetensors.torch import load_file\n"
        "from suite.export.network import load_network\n"
        "from tests.support.helpers import conv_net\n"
        "given = load_file(sys.argv[2])\n"
        "for kernel in ('torch', 'auto'):\n"
        "    found = load_network(sys.argv[1], conv_net(), kernel)(given['x'])\n"
        "    torch.testing.assert_close(found, given['expected'])\n"
        "print('the same')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net"), str(tmp_path / "x")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "the same\n", done.stderr


@pytest.mark.parametrize(
    ("build", "example"),
    [
        (lambda: gpt((16,), 11, dim=24, depth=2, heads=2), torch.arange(32).view(2, 16) % 11),
        (lambda: vit((1, 8, 8), 10, dim=24, depth=2, heads=2), X),
    ],
    ids=["gpt", "vit"],
)
def test_a_transformer_is_condensed_too(build, example, tmp_path):
    torch.manual_seed(0)
    model = build().eval().requires_grad_(False)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.weight *= torch.rand_like(layer.weight) < 0.1
    written = write_condensed(model, tmp_path / "net", example, {})
    linear = [layer.storage for layer in written.layers if "convolution" not in layer.detail]
    assert set(linear) == {"condensed"}
    again = load_network(tmp_path / "net", build())
    torch.testing.assert_close(again(example), model(example), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_types_are_kept(dtype, tmp_path):
    model = sparse_net().to(dtype)
    write_condensed(model, tmp_path / "net", X.to(dtype), {})
    again = load_network(tmp_path / "net", conv_net().to(dtype))
    assert again[6].values.dtype == dtype
    torch.testing.assert_close(again(X.to(dtype)), model(X.to(dtype)), rtol=0.05, atol=0.01)


def test_a_network_is_loaded_in_the_type_of_the_model(tmp_path):
    model = sparse_net()
    write_condensed(model, tmp_path / "net", X, {})
    again = load_network(tmp_path / "net", conv_net().double())
    assert {value.dtype for value in again.parameters()} == {torch.float64}
    assert again[6].indices.dtype == torch.uint16
    torch.testing.assert_close(again(X.double()).float(), model(X))


def test_a_model_without_linear_layers_is_refused(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(InvalidInput, match="Sequential has no Linear layer that could be conden"):
        write_condensed(model, tmp_path / "net", X, {})
    assert not list(tmp_path.iterdir())


def test_a_model_that_reads_a_weight_itself_is_refused(tmp_path):
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 8)
            self.layer.weight.data[:, 5:] = 0

        def forward(self, x):
            return x.flatten(1) @ self.layer.weight.t() + (0 if x.sum() > 0 else 1)

    class Merges(Reads):
        def forward(self, x):
            return self.layer(x.flatten(1)).view(-1) + (0 if x.sum() > 0 else 1)

    for kind in (Reads, Merges):
        with pytest.raises(InvalidInput, match="the smaller network does not run .*: export it as"):
            write_condensed(kind(), tmp_path / "net", X, {})
    assert not list(tmp_path.iterdir())


def changed(tensors, metadata, **given):
    """Return a file's tensors and metadata, some replaced; None removes one."""
    tensors, metadata = dict(tensors), dict(metadata)
    for name, value in given.items():
        part = metadata if name in ("in_features", "format") else tensors
        name = name.replace("_6_", "6.")
        part.pop(name, None)
        if value is not None:
            part[name] = value
    return tensors, metadata


ROWS = 32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"_6_indices": torch.full((ROWS, 2), 256).int()}, r"layer '6': indices are 256 to 256"),
        ({"_6_indices": torch.full((ROWS, 2), -1).int()}, r"layer '6': indices are -1 to -1"),
        ({"_6_indices": torch.zeros(ROWS, 2).long()}, "indices of torch.int64"),
        ({"_6_indices": torch.zeros(ROWS, 3).int()}, r"indices of shape \(32, 3\)"),
        ({"_6_indices": None}, "condensed layer '6' is not in both"),
        ({"_6_values": torch.zeros(ROWS, 2).int()}, "values of torch.int32"),
        ({"_6_values": torch.tensor(1.0)}, r"values of shape \(\)"),
        ({"_6_values": torch.zeros(33, 2), "_6_indices": torch.zeros(33, 2).int(),
          "_6_bias": torch.zeros(33)},
         "of 33 units and 256 inputs is larger than the model's, of 32 and 256"),
        ({"_6_values": torch.zeros(ROWS, 300), "_6_indices": torch.zeros(ROWS, 300).int()},
         "with k from 1 to 256 inputs"),
        ({"_6_bias": torch.zeros(9)}, r"a bias of shape \(9,\)"),
        ({"_6_bias": None}, "condensed layer '6' has no bias, which the model's has"),
        ({"in_features": '{"6": 257}'}, "257 inputs is larger than the model's"),
        ({"in_features": '{"6": 0}'}, "with k from 1 to 0 inputs"),
        ({"in_features": '{"6": true}'}, "are not numbers by layer"),
        ({"in_features": '{"6": 1e3}'}, "are not numbers by layer"),
        ({"in_features": '["6"]'}, "are not numbers by layer"),
        ({"in_features": '{"6": '}, "'in_features' of its metadata"),
        ({"in_features": None}, "'in_features' of its metadata"),
        ({"in_features": '{"5": 256}'}, "condensed layer '5' is not in both"),
        ({"in_features": '{"0": 1}'}, "condensed layer '0' is not in both"),
        ({"in_features": "{}"}, "does not fit Sequential"),
        ({"format": "safetensors"}, "does not fit Sequential"),
        ({"format": None}, "is not an exported network"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_line(given, says, tmp_path):
    model = conv_net().eval().requires_grad_(False)
    model[6].weight[:, 2:] = 0
    model[6].weight[:, :2] = 1  # all units live
    write_condensed(model, tmp_path / "net", X, {})
    tensors, metadata = changed(load_file(tmp_path / "net"), about(tmp_path / "net"), **given)
    save_file(tensors, tmp_path / "net", metadata or None)
    with pytest.raises(InvalidInput, match=says) as refusal:
        load_network(tmp_path / "net", conv_net())
    assert "\n" not in str(refusal.value)


def test_a_file_cut_short_is_refused(tmp_path):
    write_condensed(sparse_net(), tmp_path / "net", X, {})
    content = (tmp_path / "net").read_bytes()
    for size in (0, 7, 100, len(content) - 1):
        (tmp_path / "net").write_bytes(content[:size])
        with pytest.raises(InvalidInput, match="is not an exported network"):
            load_network(tmp_path / "net", conv_net())


def test_another_model_does_not_take_it(tmp_path):
    write_condensed(sparse_net(), tmp_path / "net", X, {})
    other = conv_net()
    other[6] = nn.Linear(256, 16)
    with pytest.raises(InvalidInput, match="is damaged or of another model"):
        load_network(tmp_path / "net", other)


def test_a_kernel_that_is_missing_is_refused_when_demanded(tmp_path, monkeypatch):
    write_condensed(sparse_net(), tmp_path / "net", X, {})
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(InvalidInput, match=r"pip install 'resonance-bench\[numba\]'"):
        load_network(tmp_path / "net", conv_net(), "numba")
    assert load_network(tmp_path / "net", conv_net())(X[:1]).shape == (1, 10)
