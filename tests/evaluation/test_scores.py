"""Accuracy, loss, calibration, and accuracy at few bits."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from suite.evaluation.scores import calibration_error, evaluate, rounded_accuracy
from suite.results.correct_bits import bits_problem
from suite.results.counts import Counts, check_counts, confusion_problem
from suite.sparsity.prunable import ALL_MATRICES
from tasks.data import RealSplit, Split, TargetScale, TextSplit


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


@pytest.mark.parametrize("seed", range(5))
def test_balanced_accuracy_and_macro_f1_are_those_of_scikit_learn(seed):
    from sklearn.metrics import balanced_accuracy_score, f1_score

    draw = torch.Generator().manual_seed(seed)
    # Class 4 never occurs, class 5 is never predicted, class 6 neither: rare classes count alike.
    targets = torch.tensor([0, 0, 0, 0, 1, 2, 3, 5])[torch.randint(8, (60,), generator=draw)]
    guess = torch.tensor([0, 0, 1, 2, 3, 4])[torch.randint(6, (60,), generator=draw)]
    logits = nn.functional.one_hot(guess, 7).float()
    scores = evaluate(nn.Identity(), Split(logits, targets))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about predicted classes that are none
        balanced = balanced_accuracy_score(targets, guess)
    macro = f1_score(targets, guess, average="macro", zero_division=0)
    assert scores.metrics["balanced_accuracy"] == pytest.approx(balanced, abs=1e-12)
    assert scores.metrics["macro_f1"] == pytest.approx(macro, abs=1e-12)


def test_always_the_same_class_is_worth_little_on_imbalanced_data():
    targets = torch.tensor([0] * 98 + [1, 1])
    logits = torch.tensor([[1.0, 0.0]]).repeat(100, 1)
    scores = evaluate(nn.Identity(), Split(logits, targets)).metrics
    assert scores["accuracy"] == pytest.approx(0.98)
    assert scores["balanced_accuracy"] == pytest.approx(0.5)
    assert scores["macro_f1"] == pytest.approx(2 * 98 / 198 / 2)


def test_predictions_are_counted_and_metrics_follow_from_the_counts():
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 3, (1003,), generator=draw)  # class 3 never occurs
    logits = torch.randn(1003, 4, generator=draw)
    guess = logits.argmax(-1)
    scores = evaluate(nn.Identity(), Split(logits, targets))
    counts = scores.counts
    expected = [[int(((targets == i) & (guess == j)).sum()) for j in range(4)] for i in range(4)]
    assert counts.matrix() == expected
    named = {f"test_{name}": value for name, value in scores.metrics.items()}
    assert confusion_problem({"test": counts}, named) == ""
    check_counts({"test": counts}, named, {"test": 1003})
    assert scores.accuracy == float((guess == targets).double().mean())
    right = np.unpackbits(np.frombuffer(scores.correct_bits, np.uint8))[:1003]
    assert right.tolist() == (guess == targets).int().tolist()
    assert bits_problem(scores.correct_bits, counts) == ""


def test_above_a_thousand_classes_there_is_no_matrix_but_the_same_metrics():
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 1000, (3000,), generator=draw)
    guess = torch.where(torch.rand(3000, generator=draw) < 0.5, targets, targets.flip(0))
    few, many = (
        evaluate(nn.Identity(), Split(nn.functional.one_hot(guess, n).float(), targets))
        for n in (1000, 1001)
    )
    assert len(few.counts.confusion) == 1000
    assert many.counts == Counts(correct=few.counts.correct, total=3000)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert few.metrics[name] == many.metrics[name]


def test_characters_of_a_text_are_counted_each():
    logits = nn.functional.one_hot(torch.tensor([[0, 1, 2], [0, 0, 0]]), 4).float()
    scores = evaluate(nn.Identity(), TextSplit(logits, torch.tensor([[0, 1, 0], [1, 0, 1]])))
    assert scores.counts == Counts(correct=3, total=6)
    assert scores.correct_bits == bytes([0b11001000])


def test_real_targets_are_not_counted():
    y = torch.tensor([[0.0], [1.0]])
    scores = evaluate(nn.Identity(), RealSplit(y, y, TargetScale((0.0,), (1.0,))))
    assert scores.counts is None
    assert scores.correct_bits == b""


def test_text_has_bits_and_no_metrics_of_classes():
    logits, targets = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)
    scores = evaluate(nn.Identity(), TextSplit(logits, targets))
    assert scores.metrics["bits_per_character"] == pytest.approx(2)
    assert not {"balanced_accuracy", "macro_f1"} & {*scores.metrics, *scores.validation}


@pytest.mark.parametrize("targets", [1, 3])
def test_r2_and_rmse_are_those_of_scikit_learn_in_the_unit_of_the_target(targets):
    from sklearn.metrics import r2_score, root_mean_squared_error

    torch.manual_seed(0)
    true = torch.randn(40, targets, dtype=torch.float64) * 30 + 100
    scale = TargetScale.of(true[:20], "mine")
    outputs = scale.standardise(true) + 0.5 * torch.randn(40, targets)
    scores = evaluate(nn.Identity(), RealSplit(outputs, scale.standardise(true), scale))
    predicted = outputs.double() * torch.tensor(scale.std) + torch.tensor(scale.mean)
    assert scores.metrics["r2"] == pytest.approx(
        r2_score(true.numpy(), predicted.numpy()), rel=1e-5
    )
    if targets == 1:
        expected = root_mean_squared_error(true.numpy(), predicted.numpy())
        assert scores.metrics["rmse"] == pytest.approx(expected, rel=1e-5)
    else:
        assert "rmse" not in scores.metrics  # each in its own unit
    assert scores.loss == pytest.approx(float((outputs - scale.standardise(true)).square().mean()))


def test_rounding_weights_of_a_regression_gives_r2():
    torch.manual_seed(0)
    x = torch.randn(50, 4)
    model = nn.Linear(4, 1)
    with torch.no_grad():
        y = model(x)
    split = RealSplit(x, y, TargetScale((0.0,), (1.0,)))
    rounded = rounded_accuracy(model, split, [8, 2])
    assert rounded[2] < rounded[8] < evaluate(model, split).metrics["r2"] == pytest.approx(1)
