"""Accuracy, loss, calibration, and accuracy at few bits."""

import math

import pytest
import torch
from torch import nn

from suite.evaluation.scores import calibration_error, evaluate, rounded_accuracy
from suite.sparsity.prunable import ALL_MATRICES
from tasks.data import Split


def test_scores_are_those_of_the_definition():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    scores = evaluate(nn.Identity(), Split(logits, torch.tensor([0, 1, 1])))
    expected = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(3))]
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.nll == pytest.approx(sum(expected) / 3, rel=1e-6)


def test_calibration_error_weighs_each_bin_by_its_size():
    confidence = torch.tensor([0.95, 0.95, 0.55, 1.0], dtype=torch.float64)
    correct = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    # Bins of 1/15: 0.55 alone; 0.95 twice and 1.0 together in the last one.
    expected = (abs(1 - 0.55) + abs(2 - 2.9)) / 4
    assert calibration_error(confidence, correct) == pytest.approx(expected)


def test_rounding_to_bits_puts_weights_back_afterwards():
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    before = model.weight.detach().clone()
    split = Split(torch.randn(50, 4), torch.randint(0, 3, (50,)))
    accuracy = rounded_accuracy(model, split, [8, 4, 1])
    assert torch.equal(model.weight, before)
    assert set(accuracy) == {8, 4, 1}
    plain = evaluate(model, split).accuracy
    assert accuracy[8] == pytest.approx(plain, abs=0.05)


def test_rounding_is_symmetric_and_per_output_channel():
    weight = torch.tensor([[1.0, 0.4], [0.02, -0.01]])
    model = nn.Linear(2, 2, bias=False)
    model.weight.data.copy_(weight)
    seen = []
    model.register_forward_hook(lambda m, i, o: seen.append(m.weight.detach().clone()))
    rounded_accuracy(model, Split(torch.ones(1, 2), torch.zeros(1, dtype=torch.long)), [2])
    assert torch.allclose(seen[0], torch.tensor([[1.0, 0.0], [0.02, 0.0]]))


def test_a_transposed_convolution_is_rounded_per_output_channel_of_each_group():
    model = nn.ConvTranspose1d(2, 2, 1, groups=2, bias=False)  # [in, out / groups, kernel]
    grouped = nn.ConvTranspose1d(1, 2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[[1.0]], [[0.02]]]))
        grouped.weight.copy_(torch.tensor([[[1.0, 0.4], [0.02, -0.01]]]))
    seen = []
    for layer, x in ((model, torch.ones(1, 2, 1)), (grouped, torch.ones(1, 1, 1))):
        layer.register_forward_hook(lambda m, i, o: seen.append(m.weight.detach().clone()))
        labels = torch.zeros(1, x.shape[2] + layer.kernel_size[0] - 1, dtype=torch.long)
        rounded_accuracy(layer, Split(x, labels), [2], ALL_MATRICES)
    assert torch.allclose(seen[0], torch.tensor([[[1.0]], [[0.02]]]))
    assert torch.allclose(seen[1], torch.tensor([[[1.0, 0.0], [0.02, 0.0]]]))
    assert torch.allclose(grouped.weight, torch.tensor([[[1.0, 0.4], [0.02, -0.01]]]))


def test_rounding_leaves_weights_without_elements_alone():
    model = nn.Linear(2, 2)
    model.empty = nn.Linear(1, 3)
    model.empty.weight = nn.Parameter(torch.empty(3, 0))
    split = Split(torch.ones(1, 2), torch.zeros(1, dtype=torch.long))
    assert set(rounded_accuracy(model, split, [8])) == {8}
