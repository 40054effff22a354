"""Exported networks compute what the trial's network computes."""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from suite.core.errors import InvalidInput
from suite.execution.runner import execute
from suite.export.files import Format, export, load_exported
from suite.results.store import Store
from suite.training.stored_model import load_stored
from tests.conftest import require
from tests.support.helpers import trial


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
    smaller = load_exported(str(written.path))
    assert sum(p.numel() for p in smaller.parameters()) == after
    torch.testing.assert_close(outputs(smaller, x), outputs(model, x), rtol=1e-4, atol=1e-4)
    # What is left is connected, on both sides of every layer between input and output.
    first, second, last = (smaller[i].weight for i in (1, 3, 5))
    for made, used in ((first, second), (second, last)):
        assert made.any(1).all()
        assert used.any(0).all()


def test_a_condensed_network_computes_the_same(kept, tmp_path):
    store, record, model, x = kept
    written = export(store, record, Format.CONDENSED, tmp_path / "net.safetensors")
    assert {layer.storage for layer in written.layers} == {"condensed"}
    for kernel in ("torch", "auto"):
        again = load_exported(written.path, kernel)
        torch.testing.assert_close(outputs(again, x), outputs(model, x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(outputs(again, x[:1]), outputs(model, x[:1]))


def test_a_network_that_is_not_two_four_names_the_layer(kept, tmp_path):
    store, record, _, _ = kept
    with pytest.raises(InvalidInput, match="layer '5' is not 2:4: .* train it with pattern=2:4"):
        export(store, record, Format.SEMI_STRUCTURED, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(InvalidInput, match=r"nosuch\.compact cannot be read: No such file"):
        load_exported(tmp_path / "nosuch.compact")
    for content in (b"", b"\xff" * 50, (2**62).to_bytes(8, "little") + b"{}"):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(InvalidInput, match="is not an exported network"):
            load_exported(tmp_path / "x.safetensors")


@pytest.mark.parametrize("named", ["[1]", '"digits/mlp"', "null", "{", "[" * 10_000])
def test_a_file_that_names_no_trial_is_refused(named, tmp_path):
    about = {"format": "safetensors", "trial": named}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", about)
    with pytest.raises(InvalidInput, match="does not name its trial: export it again"):
        load_exported(tmp_path / "x.safetensors")


def test_the_command_writes_a_file_and_says_what_was_removed(resonance, place, store):
    record = execute(trial("static", sparsity=0.97), store)
    done = resonance("export", record.key[:6], "--to", "compact")
    assert done.code == 0, done.err
    assert "of dead units" in done.out
    assert (place / f"{record.key}.compact.safetensors").exists()
    done = resonance("export", record.key[:6], "--to", "condensed")
    assert done.code == 0, done.err
    assert "  1: condensed, " in done.out
    assert (place / f"{record.key}.condensed.safetensors").exists()
    shown = resonance("export", record.key[:6], "--to", "condensed", "--json")
    layers = json.loads(shown.out)["layers"]
    assert [layer["storage"] for layer in layers] == ["condensed"] * 3
    refused = resonance("export", record.key, "--to", "semi_structured")
    assert "layer '5' is not 2:4" in refused.complaint
    refused = resonance("export", record.key, "--to", "pickle")
    assert "pickle" in refused.err
    refused = resonance("export", record.key, "--out", "nowhere/net.safetensors")
    assert "cannot be written" in refused.complaint
