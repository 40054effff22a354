"""A model is exported from a training loop of one's own as an ordinary network."""

import copy
import importlib.util

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.export.files import load_exported
from suite.export.network import load_network
from suite.own_loop.export import export
from tests.conftest import require
from tests.support.helpers import OPTIMIZERS, conv_net, digits


def attached(sparsity: float = 0.9, execution: str = "masked", model: nn.Module | None = None):
    """Return a sparse model, in training mode, and its handle."""
    model = conv_net() if model is None else model
    optimizer = OPTIMIZERS["sgd"](model)
    model(digits().x[:64])  # statistics for the norm
    return model, sparsify(
        model, optimizer, "static", sparsity=sparsity, steps=9, execution=execution
    )


def outputs(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(model).eval()(x.clone())


def written(model, handle, path, to="safetensors", example=None):
    return export(model, handle.sparsifier.layers, path, to, example)


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_exported_weights_are_a_state_dict_with_masks(execution, tmp_path):
    model, handle = attached(execution=execution)
    count = sum(p.numel() for p in conv_net().parameters())
    done = written(model, handle, tmp_path / "net.safetensors")
    assert (done.path, done.parameters, done.error) == (
        tmp_path / "net.safetensors", (count, count), 0.0,
    )  # fmt: skip
    tensors = load_file(done.path)
    masks = {name.removeprefix("mask/"): tensors.pop(name) for name in list(tensors)
             if name.startswith("mask/")}  # fmt: skip
    assert masks.keys() == handle.masks().keys()
    for name, mask in handle.masks().items():
        assert torch.equal(masks[name], mask)
        assert torch.equal(tensors[f"{name}.weight"] != 0, mask)
    restored = conv_net()
    restored.load_state_dict(tensors)
    x = digits().x[:50]
    assert torch.equal(outputs(restored, x), outputs(model, x))
    again = load_network(str(done.path), conv_net())
    assert not again.training
    assert torch.equal(again(x), outputs(model, x))


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_compact_network_is_smaller_and_computes_the_same(execution, tmp_path):
    model, handle = attached(0.97, execution)
    x = digits().x[:50]
    done = written(model, handle, tmp_path / "net.safetensors", "compact", x)
    before, after = done.parameters
    assert before == sum(p.numel() for p in conv_net().parameters())
    assert after < 0.8 * before
    plain = conv_net()
    smaller = load_network(done.path, plain)
    assert sum(p.numel() for p in smaller.parameters()) == after
    assert sum(p.numel() for p in plain.parameters()) == before
    torch.testing.assert_close(smaller(x), outputs(model, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_condensed_network_computes_the_same(execution, tmp_path):
    model, handle = attached(0.95, execution)
    x = digits().x[:50]
    done = handle.export(tmp_path / "net.safetensors", to="condensed", example=x)
    storage = {layer.name: layer.storage for layer in done.layers}
    assert storage == {"0": "dense", "3": "dense", "6": "condensed", "8": "condensed"}
    again = load_network(done.path, conv_net())
    torch.testing.assert_close(again(x), outputs(model, x), rtol=1e-4, atol=1e-4)


def test_a_two_four_network_is_restored_exactly(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    handle = sparsify(
        model,
        optimizer,
        "rigl",
        sparsity=0.5,
        steps=200,
        exclude=["3"],
        distribution="uniform",
        uniform_dense="none",
        pattern="2:4",
    )
    done = handle.export(tmp_path / "net.safetensors", to="semi_structured")
    assert [(layer.name, layer.storage) for layer in done.layers] == [
        ("1", "semi_structured"), ("3", "dense"),
    ]  # fmt: skip
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    again = load_network(done.path, plain)
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


@pytest.mark.filterwarnings("ignore")  # torch's exporter uses what Python will remove
@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_onnx_gives_the_same_outputs_for_any_batch(execution, tmp_path):
    present = all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime")))
    require("onnx", present, "pip install 'resonance-bench[onnx]'")
    import onnxruntime

    model, handle = attached(execution=execution)
    x = digits().x[:50]
    done = written(model, handle, tmp_path / "net.onnx", "onnx", x[:2])
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    for part in (x[:1], x):
        (found,) = session.run(None, {"input": part.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(found), outputs(model, part), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("to", ["safetensors", "compact", "condensed"])
@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_export_leaves_the_model_as_it_was(to, execution, tmp_path):
    model, handle = attached(execution=execution)
    state, kinds = copy.deepcopy(model.state_dict()), [type(m) for m in model.modules()]
    parameters = list(model.parameters())
    written(model, handle, tmp_path / "net", to, digits().x[:8])
    assert model.training
    assert [type(m) for m in model.modules()] == kinds
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_shared_weights_are_written_under_every_name_and_stay_shared(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.relu(self.first(x.flatten(1))))

    model, handle = attached(model=Twice())
    done = written(model, handle, tmp_path / "net.safetensors")
    assert done.parameters == (64 * 64 + 128,) * 2
    again = load_network(done.path, Twice())
    assert again.first.weight is again.second.weight
    assert torch.equal(again.second.weight, model.first.weight)


def test_an_existing_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_text("before")
    model, handle = attached()
    with pytest.raises(InvalidInput):
        written(model, handle, path, "compact", torch.ones(2, 3))
    assert path.read_text() == "before"
    written(model, handle, path)
    assert load_network(path, conv_net())
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize(
    ("path", "to", "example", "says"),
    [
        (
            "net",
            "pickle",
            None,
            "to='pickle' is not a format: give safetensors or onnx or compact "
            "or condensed or semi_structured",
        ),
        ("net", ["onnx"], None, r"to=\['onnx'\] is not a format"),
        ("net", None, None, "to=None is not a format"),
        ("net", "onnx", None, "to='onnx' needs example=x, a batch of at least two inputs"),
        ("net", "compact", None, "to='compact' needs example=x"),
        ("net", "condensed", None, "to='condensed' needs example=x"),
        ("net", "condensed", torch.ones(2, 3), r"Sequential does not take this example \("),
        ("net", "semi_structured", None, "layer '6' is not 2:4: more than two weights"),
        ("net", "compact", torch.ones(1, 1, 8, 8), r"shape \(1, 1, 8, 8\) is not usable"),
        ("net", "compact", torch.tensor(1.0), r"shape \(\) is not usable"),
        ("net", "compact", [torch.ones(2, 1, 8, 8)], "example: a list is not usable: give a batch"),
        ("net", "compact", torch.ones(2, 3), r"Sequential does not take this example \("),
        ("net", "onnx", torch.ones(2, 3), r"Sequential does not take this example \("),
        ("nowhere/net", "safetensors", None, r"nowhere/net cannot be written \(No such file"),
        ("", "safetensors", None, "path='' is not usable: give the name of the file"),
        (3, "safetensors", None, "path=3 is not usable: give the name of the file"),
        ("folder", "safetensors", None, r"folder cannot be written \(Is a directory\)"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(path, to, example, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    model, handle = attached()
    with pytest.raises(InvalidInput, match=says) as refusal:
        written(model, handle, path, to, example)
    assert "\n" not in str(refusal.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


def test_onnx_without_its_extra_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    model, handle = attached()
    with pytest.raises(InvalidInput, match=r"needs ONNX: pip install 'resonance-bench\[onnx\]'"):
        written(model, handle, tmp_path / "net.onnx", "onnx", digits().x[:4])


def test_a_model_that_cannot_be_compacted_says_what_else_there_is(tmp_path):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 64)

        def forward(self, x):
            out = self.layer(x.flatten(1))
            return out if out.sum() > 0 else -out

    class Pair(Branches):
        def forward(self, x):
            return self.layer(x.flatten(1)), x

    for kind, says in ((Branches, "export it as safetensors or onnx"), (Pair, "tuple, not a tens")):
        model, handle = attached(model=kind())
        with pytest.raises(InvalidInput, match=rf"{kind.__name__} cannot be compacted.*{says}"):
            written(model, handle, tmp_path / "net", "compact", digits().x[:4])


def test_another_model_does_not_take_the_file(tmp_path):
    model, handle = attached(0.97)
    plain = written(model, handle, tmp_path / "plain")
    small = written(model, handle, tmp_path / "small", "compact", digits().x[:8])
    narrow = conv_net()
    narrow[8] = nn.Linear(32, 9)
    for done in (plain, small):
        before = copy.deepcopy(narrow.state_dict())
        with pytest.raises(InvalidInput, match="does not fit Sequential .*8.weight"):
            load_network(done.path, narrow)
        assert all(torch.equal(before[n], v) for n, v in narrow.state_dict().items())


def test_a_file_of_ones_own_is_told_apart_from_a_trial_s(tmp_path):
    model, handle = attached()
    done = written(model, handle, tmp_path / "net.safetensors")
    with pytest.raises(InvalidInput, match=r"load it with suite\.export\.network\.load_network"):
        load_exported(done.path)


def test_export_before_the_target_is_reached_says_so(tmp_path):
    model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    handle = sparsify(model, optimizer, "magnitude", sparsity=0.9, steps=40, update_every=10)
    says = r"^export: 0\.\d{4} of the .* not yet the 0\.\d{4} that magnitude ends .* step 11 of 40$"
    for step in range(1, 41):
        optimizer.zero_grad()
        model(digits().x[:8].flatten(1)).square().mean().backward()
        optimizer.step()
        if step == 11:
            with pytest.warns(SparsityWarning, match=says):
                handle.export(tmp_path / "early.safetensors")
    handle.export(tmp_path / "final.safetensors")  # a warning would be an error


def test_export_of_masks_that_still_move_at_the_target_says_nothing(tmp_path):
    model = conv_net()
    handle = sparsify(model, OPTIMIZERS["sgd"](model), "rigl", sparsity=0.9, steps=400)
    handle.export(tmp_path / "net.safetensors")
