"""`sparsify` on models, optimizers and averages of timm, the real library."""

import importlib.util

import pytest
import torch
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from tests.conftest import require
from tests.own_loop.loops import micro_batches

STEPS = 10
OPTIONS = {"sparsity": 0.9, "steps": STEPS, "update_every": 4}


@pytest.fixture(scope="module")
def timm():
    """Import timm."""
    present = importlib.util.find_spec("timm") is not None
    require("timm", present, "pip install 'resonance-bench[timm]'")
    import timm
    import timm.optim
    import timm.utils

    return timm


def network(timm, name):
    """Return a small model of timm for digits; its weights are drawn, not downloaded."""
    torch.manual_seed(0)
    given = {"img_size": 32} if "vit" in name else {}
    return timm.create_model(name, in_chans=1, num_classes=10, **given)


def train(model, optimizer, after=lambda: None):
    """Train on the digits, four times as large."""
    for x, y in micro_batches(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(F.interpolate(x, scale_factor=4)), y).backward()
        optimizer.step()
        after()


def zeros(model, names):
    """Return the fraction of zeros in the weights of these layers."""
    weights = [model.get_submodule(name).weight for name in names]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "lamb", "lion"])
def test_models_and_optimizers_of_timm_train_sparsely(timm, name, optimizer):
    model = network(timm, name)
    optimizer = timm.optim.create_optimizer_v2(model, optimizer, lr=1e-3, weight_decay=0.05)
    handle = sparsify(model, optimizer, "rigl", **OPTIONS)
    before = {layer: mask.clone() for layer, mask in handle.masks().items()}
    train(model, optimizer)
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert zeros(model, handle.masks()) >= handle.sparsity
    assert any(not torch.equal(before[layer], mask) for layer, mask in handle.masks().items())


def test_the_average_of_timm_is_as_sparse_while_masks_stay(timm):
    model = network(timm, "test_resnet")
    optimizer = timm.optim.create_optimizer_v2(model, "adamw", lr=1e-3)
    handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=STEPS)
    average = timm.utils.ModelEmaV3(model, decay=0.9)
    train(model, optimizer, after=lambda: average.update(model))
    assert zeros(average.module, handle.masks()) >= 0.9
    (name, mask), *_ = handle.masks().items()
    moved = average.module.get_submodule(name).weight != model.get_submodule(name).weight
    assert torch.equal(moved, mask)


@pytest.mark.parametrize(
    ("name", "layer"), [("test_nfnet", "ScaledStdConv2d"), ("resnetv2_50x1_bit", "StdConv2d")]
)
def test_convolutions_that_recompute_their_weight_are_refused_by_name(timm, name, layer):
    model = timm.create_model(name, num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(InvalidInput, match=rf"layer 'stages\..*{layer} .*exclude={layer}"):
        sparsify(model, optimizer, "rigl", **OPTIONS)


@pytest.mark.filterwarnings("ignore:.*stay dense")  # most of the weights, and it is meant so
def test_convolutions_that_recompute_their_weight_are_left_alone_with_exclude(timm):
    model = timm.create_model("test_nfnet", num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "rigl", exclude=["ScaledStdConv2d"], **OPTIONS)
    kinds = {type(model.get_submodule(name)).__name__ for name in handle.masks()}
    assert kinds == {"Conv2d", "Linear"}


def test_an_optimizer_with_factored_state_is_refused_before_anything_changes(timm):
    model = network(timm, "test_resnet")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = timm.optim.create_optimizer_v2(model, "adafactor", lr=1e-3)
    with pytest.raises(InvalidInput, match="Adafactor"):
        sparsify(model, optimizer, "magnitude", sparsity=0.9, steps=STEPS)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
