"""A pool of examples, of one tensor or several, and what is refused of models and losses."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.sparsity.modules import call
from suite.sparsity.prunable import find_prunable
from suite.sparsity.scoring import Examples, Probe
from suite.sparsity.storage.masked import MaskedWeight
from tests.support.helpers import OPTIMIZERS, conv_net, digits


def examples_of(x, y=None, loss=F.cross_entropy, **given) -> Examples:
    return Examples(x, digits().y if y is None else y, loss, 0, **given)


def probe_of(model: nn.Module) -> Probe:
    optimizer = OPTIMIZERS["sgd"](model)
    layers = [MaskedWeight(found, optimizer) for found in find_prunable(model)]
    return Probe(model, layers, 0, torch.float32)


def test_several_inputs_are_drawn_together():
    x, y = digits().x, digits().y
    plain, labels = examples_of(x).batch(20)
    both, same = examples_of((x, x * 2)).batch(20)
    named, again = examples_of({"image": x, "number": y}).batch(20)
    assert torch.equal(both[0], plain)
    assert torch.equal(both[1], plain * 2)
    assert torch.equal(named["image"], plain)
    assert all(torch.equal(found, labels) for found in (same, again, named["number"]))


def test_targets_may_be_several_tensors():
    x, y = digits().x, digits().y
    _, plain = examples_of(x).batch(20)
    _, drawn = examples_of(x, {"digit": y, "odd": y % 2}).batch(20)
    assert torch.equal(drawn["digit"], plain)
    assert torch.equal(drawn["odd"], plain % 2)


def test_a_balanced_batch_of_several_inputs_has_each_class_as_often():
    x, y = digits().x, digits().y
    picked, labels = examples_of({"image": x, "number": y}).balanced(3, 10)
    assert labels.bincount().tolist() == [3] * 10
    assert torch.equal(picked["number"], labels)


@pytest.mark.parametrize("targets", [digits().x, {"digit": digits().y}], ids=["images", "dict"])
def test_a_balanced_batch_needs_labels(targets):
    with pytest.raises(InvalidInput, match="needs class labels as targets"):
        examples_of(digits().x, targets).balanced(3, 10)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.ones(12, 5), torch.ones(6)),
        ((torch.ones(12, 5), torch.ones(11, 5)), torch.ones(12)),
        (torch.ones(0, 5), torch.ones(0)),
        (torch.ones(12, 5), torch.tensor(1)),
        ({}, torch.ones(12)),
    ],
    ids=["targets", "inputs", "none", "number", "no input"],
)
def test_tensors_of_different_lengths_are_refused_in_one_line(x, y):
    with pytest.raises(InvalidInput, match="must be the number of examples") as refusal:
        examples_of(x, y)
    assert "\n" not in str(refusal.value)


def test_the_first_inputs_are_a_copy():
    x = digits().x[:4].clone()
    examples_of(x, digits().y[:4]).first(2).zero_()
    assert torch.equal(x, digits().x[:4])


def test_a_model_is_called_with_a_tensor_with_positions_or_with_names():
    class Difference(nn.Module):
        def forward(self, a, b=0):
            return a - b

    one, two = torch.tensor([1.0]), torch.tensor([2.0])
    assert float(call(Difference(), one)) == 1
    assert float(call(Difference(), (one, two))) == -1
    assert float(call(Difference(), [one, two])) == -1
    assert float(call(Difference(), {"b": one, "a": two})) == 1


def test_inputs_that_a_model_does_not_take_are_refused_in_one_line():
    with pytest.raises(InvalidInput, match=r"outputs for examples \(4, 7\) cannot be") as refusal:
        probe_of(conv_net()).outputs(torch.ones(4, 7))
    assert "\n" not in str(refusal.value)


def test_a_loss_that_cannot_be_computed_is_refused_in_one_line():
    outputs = torch.ones(4, 10, requires_grad=True)
    pool = examples_of(digits().x, loss=lambda out, y: F.cross_entropy(out.logits, y))
    message = r"loss of outputs \(4, 10\) and targets \(4,\) cannot be .* no attribute 'logits'"
    with pytest.raises(InvalidInput, match=message):
        pool.loss_of(outputs, torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (lambda out, y: F.cross_entropy(out, y, reduction="none"), r"not \(4,\)"),
        (lambda out, y: float(F.cross_entropy(out, y)), "not float"),
        (lambda out, y: (out.argmax(1) != y).float().mean(), "does not depend on the weights"),
    ],
    ids=["one each", "number", "error rate"],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")
def test_a_loss_that_is_no_differentiable_number_is_refused(loss, why):
    outputs = torch.ones(4, 10, requires_grad=True)
    with pytest.raises(InvalidInput, match=why):
        examples_of(digits().x, loss=loss).loss_of(outputs, torch.zeros(4, dtype=torch.int64))
