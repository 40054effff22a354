"""Exported networks compute what the trial's network computes."""

import importlib.util

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from suite.core.errors import InvalidInput
from suite.execution.runner import execute
from suite.export.compact import compact, find_segments
from suite.export.files import Format, export, load_exported
from suite.results.store import Store
from suite.training.stored_model import load_stored
from tasks.models.lenet import lenet_5
from tasks.models.resnet import resnet
from tests.conftest import require
from tests.helpers import trial


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a store with a very sparse trial, its record, and a batch of test images."""
    store = Store(tmp_path_factory.mktemp("kept"))
    store.prepare()
    record = execute(trial("static", sparsity=0.97), store)
    assert record.status == "done"
    training, _ = load_stored(store, record)
    return store, record, training.model, training.data.test.x


def outputs(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(x.clone())


def test_exported_weights_are_a_state_dict_with_masks(kept, tmp_path):
    store, record, model, x = kept
    written = export(store, record, Format.SAFETENSORS, tmp_path / "net.safetensors")
    tensors = load_file(written.path)
    for name, value in model.state_dict().items():
        assert torch.equal(tensors[name], value)
    assert not tensors["1.weight"][~tensors["mask/1"]].any()
    assert torch.equal(outputs(load_exported(written.path), x), outputs(model, x))


def test_a_compact_network_is_smaller_and_computes_the_same(kept, tmp_path):
    store, record, model, x = kept
    written = export(store, record, Format.COMPACT, tmp_path / "net.safetensors")
    before, after = written.parameters
    assert after < 0.8 * before
    smaller = load_exported(written.path)
    assert sum(p.numel() for p in smaller.parameters()) == after
    torch.testing.assert_close(outputs(smaller, x), outputs(model, x), rtol=1e-4, atol=1e-4)
    # What is left is connected, on both sides of every layer between input and output.
    first, second, last = (smaller[i].weight for i in (1, 3, 5))
    for made, used in ((first, second), (second, last)):
        assert made.any(1).all()
        assert used.any(0).all()


def random_units(model: nn.Module, share: float) -> None:
    """Cut all incoming weights of some units, all outgoing of others; biases stay."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                rows, columns = (
                    torch.rand(n, generator=generator) for n in module.weight.shape[:2]
                )
                module.weight[rows < share] = 0
                module.weight[:, columns < share] = 0
            elif isinstance(module, nn.BatchNorm2d):
                for value in (module.running_mean, module.weight, module.bias):
                    value.copy_(torch.randn(value.shape, generator=generator))
                module.running_var.copy_(torch.rand(value.shape, generator=generator) + 0.5)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: lenet_5((1, 28, 28), 10), (1, 28, 28)),
        (lambda: resnet((3, 32, 32), 10, depth=8), (3, 32, 32)),
        (
            lambda: nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Sigmoid(), nn.MaxPool2d(2),
                nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10, bias=False), nn.Tanh(),
                nn.Linear(10, 4),
            ),
            (1, 8, 8),
        ),
    ],
    ids=["lenet_5", "resnet", "norms, constants, padding"],
)  # fmt: skip
def test_convolutions_norms_and_biases_are_compacted(build, shape):
    torch.manual_seed(0)
    model = build().eval()
    random_units(model, 0.3)
    x = torch.randn(16, *shape)
    smaller = compact(model, x)
    count = [sum(p.numel() for p in m.parameters()) for m in (model, smaller)]
    assert count[1] < 0.9 * count[0]
    fresh = torch.randn(16, *shape)
    expected = outputs(model, fresh)
    scale = float(expected.abs().max())
    torch.testing.assert_close(outputs(smaller, fresh), expected, rtol=1e-4, atol=1e-5 * scale)


def test_what_feeds_a_sum_stays():
    pairs = find_segments(resnet((3, 32, 32), 10, depth=8))
    assert [(s.source, s.target, s.norms) for s in pairs] == [
        (f"{block}.conv1", f"{block}.conv2", [f"{block}.bn1"]) for block in (3, 4, 5)
    ]


def test_a_layer_of_which_nothing_is_left_keeps_one_unit():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        model[0].weight.zero_()
    x = torch.randn(8, 4)
    smaller = compact(model, x)
    assert smaller[0].weight.shape == (1, 4)
    torch.testing.assert_close(outputs(smaller, x), outputs(model, x))


def test_a_model_that_cannot_be_followed_is_refused_in_one_line():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidInput, match=r"Branches cannot be compacted.*--to onnx"):
        compact(Branches(), torch.ones(2))


@pytest.mark.filterwarnings("ignore")  # torch's exporter uses what Python will remove
def test_onnx_gives_the_same_outputs_for_any_batch(kept, tmp_path):
    present = all(map(importlib.util.find_spec, ("onnx", "onnxscript", "onnxruntime")))
    require("onnx", present, "pip install 'resonance-bench[onnx]'")
    import onnxruntime

    store, record, model, x = kept
    written = export(store, record, Format.ONNX, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(written.path, providers=["CPUExecutionProvider"])
    for part in (x[:1], x[:100]):
        (found,) = session.run(None, {"input": part.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(found), outputs(model, part), rtol=1e-4, atol=1e-4
        )


def test_what_is_no_exported_network_is_refused(tmp_path):
    for content in (b"", b"\xff" * 50, (2**62).to_bytes(8, "little") + b"{}"):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(InvalidInput, match="is not an exported network"):
            load_exported(tmp_path / "x.safetensors")


def test_the_command_writes_a_file_and_says_what_was_removed(resonance, place, store):
    record = execute(trial("static", sparsity=0.97), store)
    done = resonance("export", record.key[:6], "--to", "compact")
    assert done.code == 0, done.err
    assert "of dead units" in done.out
    assert (place / f"{record.key}.compact.safetensors").exists()
    refused = resonance("export", record.key, "--out", "nowhere/net.safetensors")
    assert "cannot be written" in refused.complaint
