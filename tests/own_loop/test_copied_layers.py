"""Copies of sparsified layers: trained without a method they are warned of, evaluated they are not.

Warnings are errors here, so that a test without `pytest.warns` is one of no false alarm.
"""

import copy
import gc
import io
import warnings

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from suite import sparsify
from suite.core.errors import SparsityWarning

SAYS = r"SGD trains a copy of layer '0' and of 1 more, which static does not mask and .* dense"


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def sgd(model):
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)


def sparse(method="static", **options):
    """Return a model under a method, its optimizer and its handle."""
    model = network()
    optimizer = sgd(model)
    given = {"sparsity": 0.5, "steps": 20} | options
    return model, optimizer, sparsify(model, optimizer, method, **given)


def backward(model):
    model(torch.ones(4, 8)).square().sum().backward()


def train(model, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        backward(model)
        optimizer.step()


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_copy_that_is_trained_without_its_method_is_warned_of_once(execution):
    model, optimizer, handle = sparse(execution=execution)
    copied, its_optimizer = copy.deepcopy((model, optimizer))
    with pytest.warns(SparsityWarning, match=SAYS) as said:
        train(copied, its_optimizer)
    assert len(said) == 1
    kept = model.state_dict()["0.weight"].count_nonzero()
    assert copied[0].weight.count_nonzero() > kept
    train(model, optimizer)
    assert handle.sparsity == 0.5


def test_a_copy_of_the_model_alone_is_warned_of_under_its_new_optimizer():
    copied = copy.deepcopy(sparse()[0])
    with pytest.warns(SparsityWarning, match=SAYS):
        train(copied, sgd(copied), 1)


def test_a_copy_of_one_layer_and_a_copy_of_a_copy_are_copies_too():
    model, *_ = sparse()
    again = copy.deepcopy(copy.deepcopy(model)[2])
    again(torch.ones(4, 16)).sum().backward()
    with pytest.warns(SparsityWarning, match="trains a copy of layer '2', which static does not"):
        sgd(again).step()


def test_the_weights_of_a_recurrent_layer_are_named_one_by_one():
    model = nn.LSTM(4, 4)
    sparsify(model, sgd(model), "static", sparsity=0.5, steps=9)
    copied = copy.deepcopy(model)
    copied(torch.ones(2, 4))[0].sum().backward()
    with pytest.warns(SparsityWarning, match="copy of layer 'weight_ih_l0' and of 1 more, which"):
        sgd(copied).step()


def test_gradients_that_a_closure_computes_are_seen():
    copied = copy.deepcopy(sparse()[0])
    optimizer = sgd(copied)
    with pytest.warns(SparsityWarning, match=SAYS):
        optimizer.step(lambda: backward(copied))


def test_a_copy_whose_parameters_join_an_optimizer_later_is_seen():
    model, *_ = sparse()
    head = nn.Linear(4, 4)
    optimizer = sgd(head)
    copied = copy.deepcopy(model)
    head(copied(torch.ones(4, 8))).sum().backward()
    optimizer.step()  # it holds no copy yet
    optimizer.add_param_group({"params": list(copied.parameters())})
    with pytest.warns(SparsityWarning, match=SAYS):
        optimizer.step()


def test_a_copy_that_takes_the_place_of_other_parameters_is_seen():
    model, *_ = sparse()
    other = network()
    optimizer = sgd(other)
    kept = copy.deepcopy(model)
    train(other, optimizer)  # it holds no copy yet
    copied = copy.deepcopy(kept)
    optimizer.param_groups[0]["params"] = list(copied.parameters())
    with pytest.warns(SparsityWarning, match=SAYS):
        train(copied, optimizer, 1)


def test_the_copied_handle_of_a_trained_copy_is_no_method_either():
    copied, its_optimizer, its_handle = copy.deepcopy(sparse())
    with pytest.warns(SparsityWarning, match=SAYS):
        train(copied, its_optimizer, 1)
    assert "not attached" in repr(its_handle)


def test_a_copy_that_has_a_method_of_its_own_is_not_warned_of():
    model, optimizer, handle = sparse()
    train(model, optimizer)
    copied, its_optimizer = copy.deepcopy((model, optimizer))
    state = copy.deepcopy(handle.state_dict())
    its_handle = sparsify(copied, its_optimizer, "static", sparsity=0.5, steps=20, state=state)
    train(copied, its_optimizer)
    assert its_handle.sparsity == 0.5
    its_handle.detach()
    train(copied, its_optimizer)


def test_layers_of_a_copy_that_its_own_method_leaves_out_are_not_warned_of():
    copied = copy.deepcopy(sparse()[0])
    optimizer = sgd(copied)
    sparsify(copied, optimizer, "static", masks="nonzero", steps=9, exclude=["2"])
    train(copied, optimizer)


def test_a_call_that_fails_leaves_a_copy_without_a_method_known():
    copied = copy.deepcopy(sparse()[0])
    optimizer = sgd(copied)
    with pytest.raises(Exception, match="examples"):
        sparsify(copied, optimizer, "snip", sparsity=0.5, steps=9)
    with pytest.warns(SparsityWarning, match=SAYS):
        train(copied, optimizer)


def test_a_copy_made_after_the_method_was_detached_is_not_warned_of():
    model, _, handle = sparse()
    handle.detach()
    copied = copy.deepcopy(model)
    train(copied, sgd(copied))


def test_a_copy_of_a_dense_network_is_not_warned_of():
    copied = copy.deepcopy(sparse("dense", sparsity=None)[0])
    train(copied, sgd(copied))


def test_averages_and_copies_that_are_evaluated_are_not_warned_of():
    model, optimizer, handle = sparse("rigl", update_every=2)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average = handle.average(0.9)
    target = copy.deepcopy(model).requires_grad_(False)
    kept = copy.deepcopy(model).eval()
    for _ in range(20):
        train(model, optimizer, 1)
        ema.update_parameters(model)
        with torch.no_grad():
            for mean, value in zip(target.parameters(), model.parameters(), strict=True):
                mean.lerp_(value, 0.1)
        kept(torch.ones(4, 8)).sum().backward()  # a saliency map: gradients without a step
    assert average.updates == 20
    for one in (ema, target, kept):
        one(torch.ones(4, 8))


def test_a_frozen_copy_beside_a_head_that_is_trained_is_not_warned_of():
    """As a linear probe: its parameters are in the optimizer and have no gradients."""
    backbone = copy.deepcopy(sparse()[0]).requires_grad_(False)
    probe = nn.Sequential(backbone, nn.Linear(4, 4))
    optimizer = sgd(probe)
    train(probe, optimizer)
    backbone.requires_grad_(True)
    with pytest.warns(SparsityWarning, match=SAYS):
        train(probe, optimizer, 1)


def test_a_model_saved_whole_is_loaded_without_a_mark():
    model, *_ = sparse()
    file = io.BytesIO()
    torch.save(model, file)
    assert b"copied_layers" not in file.getvalue()
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(loaded, sgd(loaded))
        train(copy.deepcopy(loaded), sgd(loaded))


def test_copies_are_not_kept_alive():
    from suite.own_loop.copied_layers import _copies

    model, *_ = sparse()
    copied = copy.deepcopy(model)
    mark = vars(copied[0])["_sparsified"]
    assert mark in _copies
    del copied
    gc.collect()
    assert list(mark.weights()) == []
