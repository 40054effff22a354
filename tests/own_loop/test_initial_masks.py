"""Masks to start from are read from what a user has: tensors, files, states, zeros."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.export import export
from suite.own_loop.initial_masks import read_masks
from suite.sparsity.layers import PrunableWeight
from suite.training.serialization import pack
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits, trained, trial


@pytest.fixture
def sparse():
    """Return a sparse model and its handle."""
    model = conv_net()
    return model, sparsify(model, OPTIMIZERS["sgd"](model), "static", sparsity=0.9, steps=9)


@pytest.fixture
def layers() -> list[PrunableWeight]:
    """Return the layers of another model of the same architecture, all dense."""
    model = conv_net()
    return sparsify(model, OPTIMIZERS["sgd"](model), "dense", sparsity=0, steps=9).sparsifier.layers


def same(found: dict[str, Tensor], masks: dict[str, Tensor]) -> bool:
    assert list(found) == list(masks)
    assert all(mask.dtype is torch.bool for mask in found.values())
    return all(torch.equal(found[name], masks[name]) for name in masks)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.uint8, torch.int64])
def test_a_dict_of_booleans_or_of_zeros_and_ones_is_taken(sparse, layers, dtype):
    masks = sparse[1].masks()
    given = {name: masks[name].to(dtype) for name in reversed(masks)}  # in any order
    assert same(read_masks(given, layers), masks)


def test_the_masks_are_copies(sparse, layers):
    given = {name: mask.clone() for name, mask in sparse[1].masks().items()}
    found = read_masks(given, layers)
    given["6"].logical_not_()
    assert torch.equal(found["6"], sparse[1].masks()["6"])


def test_nonzero_keeps_the_zeros_of_the_weights(sparse, layers):
    model, handle = sparse
    with torch.no_grad():
        model[6].weight[handle.masks()["6"]] = torch.nan  # not 0 either
    layers = handle.sparsifier.layers
    assert same(read_masks("nonzero", layers), handle.masks())


def test_a_layer_without_zeros_stays_dense(sparse, layers):
    given = sparse[1].masks() | {"0": torch.ones(8, 1, 3, 3, dtype=torch.bool)}
    assert read_masks(given, layers)["0"].all()


@pytest.mark.parametrize("kind", ["whole", "sparsifier", "packed"])
def test_the_state_of_a_handle_is_taken_from_memory_or_a_file(sparse, layers, kind, tmp_path):
    state = sparse[1].state_dict()
    given = {"whole": state, "sparsifier": state["sparsifier"], "packed": tmp_path / "state"}[kind]
    (tmp_path / "state").write_bytes(pack(state, {"by": "a user"}))
    assert same(read_masks(given, layers), sparse[1].masks())


@pytest.mark.parametrize("kind", [str, Path])
def test_saved_masks_are_read_from_a_file(sparse, layers, kind, tmp_path):
    masks = sparse[1].masks()
    save_file(masks, tmp_path / "masks.safetensors")
    assert same(read_masks(kind(tmp_path / "masks.safetensors"), layers), masks)


def test_an_exported_model_is_read_back(sparse, layers, tmp_path):
    model, handle = sparse
    written = export(model, handle.sparsifier.layers, tmp_path / "net.safetensors")
    assert same(read_masks(written.path, layers), handle.masks())


def test_the_stored_network_of_a_trial_is_read():
    outcome = trained(trial("static"))
    masks = {n.removeprefix("mask/"): m for n, m in outcome.tensors.items() if n.startswith("mask")}
    model = nn.Sequential(
        nn.Flatten(),
        *(part for mask in masks.values() for part in (nn.Linear(*mask.shape[::-1]), nn.ReLU())),
    )
    handle = sparsify(model, OPTIMIZERS["sgd"](model), "dense", sparsity=0, steps=9)
    assert same(read_masks(outcome.tensors, handle.sparsifier.layers), masks)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m | {"7": m["8"]}, "no prunable layer '7'; it has '0', '3', '6', '8'"),
        (lambda m: m | {4: m["8"]}, "no prunable layer '4'"),
        (lambda m: {n: m[n] for n in ("0", "6")}, "none for layer '3', '8': give one for every"),
        (lambda m: {}, "none for layer '0', '3', '6', '8'"),
        (lambda m: m | {"8": m["6"]}, r"'8' has shape \(32, 256\): give the weight's, \(10, 32\)"),
        (lambda m: m | {"8": 0.5 * m["8"]}, "'8' has other values than 0 and 1"),
        (lambda m: m | {"8": torch.nan * m["8"]}, "'8' has other values than 0 and 1"),
        (lambda m: m | {"8": m["8"].tolist()}, "'8' is list: give an ordinary boolean tensor"),
        (lambda m: m | {"8": m["8"].float().to_sparse()}, "'8' is a tensor of torch.sparse_coo"),
        (lambda m: {n: torch.ones_like(mask) for n, mask in m.items()}, "they have no zeros: give"),
        (lambda m: "nonzero", "the weights have no zeros: give sparsity instead"),
        (lambda m: {n: torch.zeros_like(mask) for n, mask in m.items()}, "they are 0 everywhere"),
        (lambda m: list(m.values()), "a list is not usable: give a dict of layer names"),
        (lambda m: None, "a NoneType is not usable"),
        (lambda m: "magnitude.safetensors", r"cannot be read \(No such file or directory\)"),
        (lambda m: Path(), r"cannot be read \(Is a directory\)"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_one_line(sparse, layers, change, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        read_masks(change(sparse[1].masks()), layers)
    assert "\n" not in str(refusal.value)


def test_weights_without_masks_are_not_taken_for_masks(sparse, layers, tmp_path):
    save_file(sparse[0].state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(InvalidInput, match="load them and give masks='nonzero'"):
        read_masks(tmp_path / "weights.safetensors", layers)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_not_opened(sparse, layers, zipped, tmp_path):
    path = tmp_path / "masks.safetensors"
    torch.save(sparse[1].masks(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InvalidInput, match="is a pickle .* is not read: load it yourself"):
        read_masks(path, layers)


def test_a_header_whose_length_starts_like_a_pickle_is_read(sparse, layers, tmp_path):
    masks, path = sparse[1].masks(), tmp_path / "masks.safetensors"
    for length in range(256):  # the header grows in steps of 8 bytes
        save_file(masks, path, metadata={"padding": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert same(read_masks(path, layers), masks)


@pytest.mark.parametrize("content", [b"", b"PK", b"name,mask\n0,1\n", b"\0" * 100])
def test_a_file_of_another_kind_is_refused(layers, content, tmp_path):
    (tmp_path / "masks.safetensors").write_bytes(content)
    with pytest.raises(InvalidInput, match="is not a safetensors file") as refusal:
        read_masks(tmp_path / "masks.safetensors", layers)
    assert "\n" not in str(refusal.value)


def test_a_damaged_state_is_refused(sparse, layers, tmp_path):
    (tmp_path / "state").write_bytes(pack(sparse[1].state_dict()).replace(b'\\"dict', b'\\"pict'))
    with pytest.raises(InvalidInput, match="is not a safetensors file"):
        read_masks(tmp_path / "state", layers)


@pytest.mark.parametrize("method", ["static", "set", "rigl", "snfs", "resonance_coherent"])
def test_training_from_given_masks_goes_on_to_the_same_bits(method):
    """In layers that the distribution would keep dense, too."""

    def start(seed, **given):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
        optimizer = OPTIMIZERS["adamw"](model)
        options = {"steps_per_epoch": 5} if method in ("set", "snfs") else {"update_every": 5}
        options = {} if method == "static" else options
        return model, optimizer, sparsify(model, optimizer, method, steps=40, **given, **options)

    def train(model, optimizer, first, last):
        for step in range(first, last):
            x, y = batch_of(digits(), step, 8)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    generator = torch.Generator().manual_seed(0)
    masks = {
        name: torch.rand(shape, generator=generator) < 0.6
        for name, shape in {"1": (48, 64), "3": (10, 48)}.items()
    }
    whole = start(0, masks=masks)
    assert whole[2].sparsifier.zeros_at(whole[2].sparsity)["3"] == 0
    train(*whole[:2], 0, 22)
    states = copy.deepcopy([part.state_dict() for part in whole])
    train(*whole[:2], 22, 40)

    resumed = start(1, state=states[2])
    resumed[0].load_state_dict(states[0])
    resumed[1].load_state_dict(states[1])
    train(*resumed[:2], 22, 40)
    for mine, theirs in zip(resumed[0].parameters(), whole[0].parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("rigl", "not 2:4 everywhere: give masks of this pattern"),
        ("gse", "not 2:4 everywhere: give masks of this pattern"),
        ("magnitude", "'0' has groups of 4 with fewer than 2 weights"),
        ("magnitude_one_shot", "'0' has groups of 4 with fewer than 2 weights"),
    ],
)
def test_masks_that_the_pattern_cannot_be_made_of_are_refused(method, says):
    model = nn.Sequential(nn.Linear(16, 8))
    before = model[0].weight.clone()
    mask = torch.zeros(8, 16, dtype=torch.bool)
    mask[:, :8] = True  # half of the weights, but not two of every four
    with pytest.raises(InvalidInput, match=f"^masks: .*{says}"):
        sparsify(
            model,
            OPTIMIZERS["sgd"](model),
            method,
            sparsity=0.5,
            steps=9,
            masks={"0": mask},
            pattern="2:4",
            distribution="erk",
            uniform_dense="none",
        )
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("distribution", ["erk", "uniform"])
@pytest.mark.parametrize("method", ["magnitude", "magnitude_one_shot", "granet"])
def test_a_method_that_prunes_keeps_the_counts_of_masks_that_are_its_target(method, distribution):
    """Also where the distribution, or its rounding, would give layers other counts."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.Linear(64, 10))
    kind = {"distribution": distribution, "uniform_dense": "none"}
    first = sparsify(model, OPTIMIZERS["sgd"](model), "static", sparsity=0.9, steps=9, **kind)
    counts = {name: int(mask.sum()) for name, mask in first.masks().items()}
    first.detach()
    optimizer = OPTIMIZERS["sgd"](model)
    often = {} if method == "magnitude_one_shot" else {"update_every": 4}
    handle = sparsify(
        model, optimizer, method, masks="nonzero", steps=30, distribution="erk", **often
    )
    for step in range(30):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x.flatten(1)), y).backward()
        optimizer.step()
    assert {name: int(mask.sum()) for name, mask in handle.masks().items()} == counts


def test_magnitude_refuses_masks_with_zeros_in_a_layer_that_stays_dense():
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 8))
    masks = {name: torch.rand(shape) < 0.5 for name, shape in (("0", (8, 16)), ("1", (8, 8)))}
    with pytest.raises(InvalidInput, match="^masks: '1' has .* more than the 0 that it ends with"):
        sparsify(
            model, OPTIMIZERS["sgd"](model), "magnitude", steps=9, masks=masks, dense_layers=["1"]
        )


def test_magnitude_prunes_given_masks_on_to_a_pattern():
    model = nn.Sequential(nn.Linear(16, 8))
    optimizer = OPTIMIZERS["sgd"](model)
    mask = torch.ones(8, 16, dtype=torch.bool)
    mask[:, ::4] = False
    handle = sparsify(
        model, optimizer, "magnitude", sparsity=0.5, steps=9, masks={"0": mask}, pattern="2:4",
        uniform_dense="none", update_every=2,
    )  # fmt: skip
    for _ in range(9):
        optimizer.zero_grad()
        model(torch.ones(2, 16)).square().sum().backward()
        optimizer.step()
    pruned = handle.masks()["0"]
    assert not (pruned & ~mask).any()
    assert (pruned.view(8, 4, 4).sum(-1) == 2).all()
