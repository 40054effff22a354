"""2:4 networks are packed and restored exactly; others are refused with the layer's name."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.export.network import load_network, write_semi_structured


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64),
        nn.ReLU(), nn.Linear(64, 10), nn.Linear(10, 2),
    ).requires_grad_(False)  # fmt: skip


def two_four_network() -> tuple[nn.Sequential, dict[str, Tensor]]:
    """Return a network and its masks: layers 2, 4 and 6 are 2:4, of which 6 has no usable shape."""
    model, masks = network(), {}
    for name in ("2", "4", "6"):
        weight = model.get_submodule(name).weight
        keep = torch.rand(len(weight), weight.shape[1] // 4, 4).argsort(-1) < 2
        masks[name] = keep.view(weight.shape)
        weight *= masks[name]
    return model, masks


def test_the_weights_are_restored_exactly(tmp_path):
    model, masks = two_four_network()
    written = write_semi_structured(model, masks, tmp_path / "net", {})
    shapes = {name: tuple(value.shape) for name, value in load_file(tmp_path / "net").items()}
    assert shapes == {
        "0.weight": (4, 1, 3, 3), "0.bias": (4,), "2.packed": (128, 32), "2.meta": (128, 4),
        "2.bias": (128,), "4.packed": (64, 64), "4.meta": (64, 8), "4.bias": (64,),
        "6.weight": (10, 64), "6.bias": (10,), "7.weight": (2, 10), "7.bias": (2,),
    }  # fmt: skip
    again = load_network(tmp_path / "net", network())
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert [type(module) for module in again] == [type(module) for module in model]
    before, after = written.parameters
    assert before - after == (64 * 128 + 128 * 64) // 2
    assert [(one.name, one.storage, one.detail) for one in written.layers] == [
        ("2", "semi_structured", "2 of every 4 of 64 inputs for 128 units"),
        ("4", "semi_structured", "2 of every 4 of 128 inputs for 64 units"),
        ("6", "dense", "of 10 × 64, where PyTorch's 2:4 format takes multiples of 32 × 64"),
        ("7", "dense", "it was left dense"),
    ]


def test_another_process_restores_it(tmp_path):
    model, masks = two_four_network()
    write_semi_structured(model, masks, tmp_path / "net", {})
    code = (
        "import sys\n"
        "from suite.export.network import load_network\n"
        "from tests.export.test_semi_structured import network\n"
        "print(load_network(sys.argv[1], network())[4].weight.double().sum().item())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == model[4].weight.double().sum().item()


def test_a_sparse_layer_that_is_not_two_four_is_named(tmp_path):
    model, masks = two_four_network()
    model[4].weight[3, 8:11] = 1.0
    masks["4"] = masks["4"] | (model[4].weight != 0)
    with pytest.raises(InvalidInput, match="layer '4' is not 2:4: .* export it as condensed"):
        write_semi_structured(model, masks, tmp_path / "net", {})
    masks["4"] = torch.ones_like(masks["4"])  # left dense on purpose
    written = write_semi_structured(model, masks, tmp_path / "net", {})
    assert (written.layers[1].storage, written.layers[1].detail) == ("dense", "it was left dense")


def test_a_network_of_which_nothing_can_be_packed_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"no Linear layer that can be packed .*'2': it was le"):
        write_semi_structured(network(), {}, tmp_path / "net", {})
    masks = {"0": torch.zeros(1, 1, 3, 3, dtype=torch.bool)}
    model = nn.Sequential(nn.Conv2d(1, 1, 3))
    with pytest.raises(InvalidInput, match=r"'0': it is not a Linear layer"):
        write_semi_structured(model, masks, tmp_path / "net", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("2.meta", torch.zeros(128, 4, dtype=torch.int16), "layer '2': .*two of every four"),
        ("2.meta", torch.zeros(128, 4, dtype=torch.int32), r"layer '2': 2:4 metadata are \[out"),
        ("2.meta", None, "layer '2' has values or metadata, but not both"),
        ("2.packed", torch.zeros(128, 31), r"layer '2': 2:4 values are \[out"),
        ("2.packed", torch.zeros(128, 32).int(), r"layer '2': 2:4 values are \[out"),
        ("2.packed", torch.tensor(1.0), r"layer '2': 2:4 values are \[out"),
        ("2.packed", torch.zeros(128, 32).to(torch.float8_e4m3fn), r"layer '2': 2:4 val.*float8"),
        ("2.weight", torch.zeros(128, 64), "layer '2' has both a packed and an ordinary weight"),
        ("2.packed", None, "layer '2' has values or metadata, but not both"),
        ("4.bias", torch.zeros(3), "does not fit Sequential"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(name, value, says, tmp_path):
    model, masks = two_four_network()
    write_semi_structured(model, masks, tmp_path / "net", {})
    with safe_open(tmp_path / "net", "pt") as file:
        about = file.metadata()
    tensors = load_file(tmp_path / "net")
    tensors.pop(name, None)
    save_file(tensors | ({} if value is None else {name: value}), tmp_path / "net", about)
    with pytest.raises(InvalidInput, match=says) as refusal:
        load_network(tmp_path / "net", network())
    assert "\n" not in str(refusal.value)


def test_a_packed_weight_of_another_shape_does_not_fit(tmp_path):
    model, masks = two_four_network()
    write_semi_structured(model, masks, tmp_path / "net", {})
    other = network()
    other[2] = nn.Linear(128, 128)
    with pytest.raises(InvalidInput, match="does not fit Sequential"):
        load_network(tmp_path / "net", other)


def test_shared_weights_stay_dense(tmp_path):
    model, masks = two_four_network()
    model[4] = nn.Linear(128, 64)
    twin = nn.Linear(64, 128)
    twin.weight = model[2].weight
    model.append(twin)
    with pytest.raises(InvalidInput, match="'2': its weight is also another layer's"):
        write_semi_structured(model, {"2": masks["2"]}, tmp_path / "net", {})


def test_weights_that_are_not_numbers_are_named(tmp_path):
    model, masks = two_four_network()
    model[2].weight[masks["2"]] = torch.nan
    with pytest.raises(InvalidInput, match=r"'2.weight' is not finite .* safetensors"):
        write_semi_structured(model, masks, tmp_path / "net", {})
    assert not list(tmp_path.iterdir())
