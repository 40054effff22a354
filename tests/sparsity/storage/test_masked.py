"""Masked storage: what is applied to the optimizer's state."""

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.sparsity.prunable import find_prunable
from suite.sparsity.storage.masked import MaskedWeight

MASK = torch.tensor([[True, False], [False, True]])


def masked_weight(**state: torch.Tensor) -> MaskedWeight:
    """Return a masked 2×2 weight whose optimizer keeps this state."""
    layer = nn.Linear(2, 2, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    (found,) = find_prunable(layer)
    weight = MaskedWeight(found, optimizer)
    weight.set_mask(MASK)
    optimizer.state[layer.weight] = dict(state)
    return weight


def test_state_that_a_step_moved_is_masked_again():
    weight = masked_weight(momentum=torch.ones(2, 2), step=torch.tensor(3.0))
    weight.mask_state()
    state = weight.optimizer.state[weight.parameter]
    assert state["momentum"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert state["step"] == 3.0


def test_state_of_one_element_belongs_to_the_layer_and_is_left_alone():
    weight = masked_weight(norm=torch.full((1,), 5.0))
    weight.mask_state()
    assert weight.optimizer.state[weight.parameter]["norm"].tolist() == [5.0]


def test_state_of_another_shape_is_refused():
    weight = masked_weight(rows=torch.ones(2, 1))
    with pytest.raises(InvalidInput, match=r"SGD keeps state 'rows' of shape \(2, 1\)"):
        weight.mask_state()


def test_frozen_weights_keep_their_state():
    weight = masked_weight(momentum=torch.ones(2, 2))
    weight.freeze_weights(torch.tensor([[True, False], [False, False]]))
    weight.mask_state()
    state = weight.optimizer.state[weight.parameter]
    assert state["momentum"].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_dense_weight_keeps_its_state():
    weight = masked_weight(momentum=torch.ones(2, 2))
    weight.set_mask(torch.ones(2, 2, dtype=torch.bool))
    weight.mask_state()
    assert bool((weight.optimizer.state[weight.parameter]["momentum"] == 1).all())
