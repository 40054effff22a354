"""Gradients that are tiny, cancel or vanish: compressed rows say of them what masks say."""

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.prunable import Prunable
from suite.sparsity.storage.csr import CsrWeight


def layer(mask: torch.Tensor) -> tuple[nn.Linear, CsrWeight]:
    """Return a layer whose weights outside `mask` are not stored."""
    torch.manual_seed(0)
    module = nn.Linear(mask.shape[1], mask.shape[0])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    return module, CsrWeight(
        Prunable("layer", "layer.weight", module.weight, module), mask, optimizer
    )


def test_where_the_stored_weights_have_no_gradient_the_others_keep_theirs():
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[:, 0] = True
    module, weight = layer(mask)
    x = torch.randn(16, 4)
    x[:, 0] = 0  # all that is stored leads from an input that is never on
    module(x).square().sum().backward()
    dense = weight.dense_gradient
    assert not weight.parameter.grad.any()
    assert (dense[:, 1:] != 0).all()


def test_a_layer_without_a_weight_has_a_dense_gradient():
    module, weight = layer(torch.zeros(3, 4, dtype=torch.bool))
    module(torch.randn(16, 4)).square().sum().backward()
    assert (weight.dense_gradient != 0).all()


@pytest.mark.parametrize("scale", [1e-12, 1e-20, 1e-25])
@pytest.mark.parametrize("unscaled", [1.0, 0.5])
def test_a_gradient_however_small_is_itself(scale, unscaled):
    module, weight = layer(torch.rand(5, 7, generator=torch.Generator().manual_seed(1)) < 0.5)
    x = torch.randn(16, 7)
    of_output = scale * torch.randn(16, 5)
    module(x).backward(of_output)
    weight.parameter.grad.mul_(unscaled)
    expected = unscaled * of_output.double().T @ x.double()
    difference = (weight.dense_gradient.double() - expected).norm()
    assert difference < 1e-5 * expected.norm()


def test_a_gradient_that_cancels_but_for_rounding_is_no_change():
    module, weight = layer(torch.eye(4, dtype=torch.bool))
    x = torch.randn(64, 4).abs()
    of_output = torch.randn(64, 4)
    of_output[-1] = 0
    # The last example undoes the others' share in the stored weights, to rounding.
    x[-1] = 1
    of_output[-1] = -(of_output.double() * x.double()).sum(0).float()
    module(x).backward(of_output)
    expected = of_output.double().T @ x.double()
    assert (weight.dense_gradient.double() - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("change", [1e-3, 1.0])
def test_a_gradient_that_was_changed_is_refused_where_its_own_is_nothing(change):
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[:, 0] = True
    module, weight = layer(mask)
    x = torch.randn(16, 4)
    x[:, 0] = 0
    module(x).square().sum().backward()
    weight.parameter.grad.add_(change)
    with pytest.raises(InvalidInput, match="was changed between backward and step"):
        _ = weight.dense_gradient


def test_a_network_of_which_little_is_alive_trains_as_under_masks():
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long()

    def masks(execution: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 1), nn.ReLU(),
                              nn.Linear(1, 30), nn.Tanh(), nn.Linear(30, 2))  # fmt: skip
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        method = sparsify(model, optimizer, "resonance", sparsity=0.9, steps=60, examples=(x, y),
                          execution=execution, update_every=3, window=8)  # fmt: skip
        while method.step < 60:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        return method.masks()

    assert {n: m.sum() for n, m in masks("csr").items()} == {
        n: m.sum() for n, m in masks("masked").items()
    }
