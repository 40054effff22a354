"""Layers that are replaced, frozen or thawed after a model was sparsified."""

import warnings

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.own_loop.model_changes import ModelChanges


def changes_of(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.5, steps=9)
    return ModelChanges(model, handle.sparsifier.layers, ())


def test_a_layer_that_is_frozen_is_warned_of_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    changes = changes_of(model)
    model[0].requires_grad_(False)
    with pytest.warns(SparsityWarning, match="layer '0' was frozen: it keeps its weights"):
        changes.check()
    changes.check()
    model[0].requires_grad_(True)
    changes.check()


def test_weights_that_are_thawed_or_added_are_warned_of_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[0].requires_grad_(False)
    changes = changes_of(model)
    model[0].requires_grad_(True)
    with pytest.warns(SparsityWarning, match=r"0\.weight are trained since sparsify was called"):
        changes.check()
    model.append(nn.Linear(8, 2))
    with pytest.warns(SparsityWarning, match=r"^2\.weight are trained"):
        changes.check()
    changes.check()


def test_a_layer_that_was_replaced_or_removed_is_refused():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    changes = changes_of(model)
    kept = model[1]
    model[1] = nn.Linear(8, 8)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="layer '1' was replaced after sparsify"):
            changes.check()
    del model[1]
    with pytest.raises(InvalidInput, match="layer '1' was replaced after sparsify"):
        changes.check()
    model.append(kept)
    changes.check()


def test_an_unchanged_model_is_passed_without_a_warning():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
    changes = changes_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            changes.check()
