"""Scores of a model on a split: accuracy, NLL, calibration, accuracy with rounded weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.sparsity.layers import by_output
from suite.sparsity.modules import evaluation_mode
from suite.sparsity.prunable import LINEAR_AND_CONV, Coverage, covered_weights
from tasks.data import Split
from tasks.loss import flat

EVALUATION_BATCH = 1000
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Scores:
    """Accuracy (fraction), NLL (nats per example) and expected calibration error (15 bins)."""

    accuracy: float
    nll: float
    ece: float


def predict(model: nn.Module, split: Split) -> Tensor:
    """Return the logits [n, …, classes] in evaluation mode; modes are restored afterwards."""
    with evaluation_mode(model), torch.no_grad():
        # Clone: a model may work in place, and all trials share the data.
        return torch.cat([model(x.clone()) for x, _ in split.batches(EVALUATION_BATCH)])


def evaluate(model: nn.Module, split: Split) -> Scores:
    """Return the scores of `model` on `split`."""
    logits, targets = flat(predict(model, split), split.y)
    confidence, guess = logits.softmax(-1).max(-1)
    correct = guess == targets
    return Scores(
        accuracy=float(correct.double().mean()),
        nll=float(F.cross_entropy(logits.double(), targets)),
        ece=calibration_error(confidence.double(), correct.double()),
    )


def first_non_finite(model: nn.Module, x: Tensor) -> str:
    """Return the first layer, in order of execution, whose output for `x` is not finite."""
    names: list[str] = []

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(output.isfinite().all()):
            names.append(leaves[module])

    leaves = {m: name for name, m in model.named_modules() if next(m.children(), None) is None}
    handles = [module.register_forward_hook(look) for module in leaves]
    try:
        with torch.no_grad():
            model(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    return names[0] if names else "loss"


def calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Return the expected calibration error over 15 bins of equal width.

    ECE = Σ_b |B_b|/n · |acc(B_b) − conf(B_b)|; both arguments float64 [n].
    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gap = torch.zeros(CALIBRATION_BINS, dtype=torch.float64, device=confidence.device)
    gap.index_add_(0, bins, correct - confidence)
    return float(gap.abs().sum() / len(confidence))


def rounded_accuracy(
    model: nn.Module, split: Split, bits: Sequence[int], coverage: Coverage = LINEAR_AND_CONV
) -> dict[int, float]:
    """Return the accuracy with the prunable weights rounded to each number of bits.

    Symmetric, per output channel: w → Δ·round(w/Δ), Δ = max|w| / (2^(b−1) − 1), with at least one
    level on either side of zero. The weights are restored afterwards.
    """
    weights = {
        weight.parameter: (weight.module, weight.parameter.detach().clone())
        for weight in covered_weights(model, coverage)
        if weight.parameter is not None and weight.parameter.numel()
    }
    accuracy = {}
    with torch.no_grad():
        for number in bits:
            levels = max(1, 2 ** (number - 1) - 1)
            for weight, (module, original) in weights.items():
                values = by_output(module, original)
                largest = values.abs().amax(tuple(range(2, values.ndim)), keepdim=True)
                step = largest.clamp_min(torch.finfo(original.dtype).tiny) / levels
                by_output(module, weight).copy_((values / step).round() * step)
            logits = predict(model, split)
            accuracy[number] = float((logits.argmax(-1) == split.y).double().mean())
        for weight, (_, original) in weights.items():
            weight.copy_(original)
    return accuracy
