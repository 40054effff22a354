"""Scores of a model on a split, also with rounded weights: of labels, of text, of real targets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.results.counts import MAX_CLASSES, ClassTotals, Counts, accuracy
from suite.sparsity.layers import by_output
from suite.sparsity.modules import evaluation_mode
from suite.sparsity.prunable import LINEAR_AND_CONV, Coverage, covered_weights
from tasks.data import RealSplit, Split, TextSplit
from tasks.loss import flat

EVALUATION_BATCH = 1000
CALIBRATION_BINS = 15


class Scores(Protocol):
    """What predictions are worth: for labels, text or real targets."""

    @property
    def loss(self) -> float:
        """The mean loss, without label smoothing; not finite where training diverged."""

    @property
    def fraction(self) -> float:
        """Accuracy or R²: what methods with feedback are given; 1 is perfect."""

    @property
    def metrics(self) -> dict[str, float]:
        """What a record of the test split holds, by name without the split."""

    @property
    def validation(self) -> dict[str, float]:
        """What a record of the validation split holds, by name without the split."""

    @property
    def curves(self) -> dict[str, float]:
        """What is recorded after every epoch, by name without the split."""

    @property
    def counts(self) -> Counts | None:
        """How many predictions are right, from which the metrics follow; None of real targets."""

    @property
    def correct_bits(self) -> bytes:
        """Which predictions are right: a bit each, by `numpy.packbits`; empty of real targets."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of predicted classes.

    Attributes:
        right: which predictions are right, bool [n].
        nll: negative log-likelihood, in nats per prediction.
        ece: expected calibration error (15 bins).
    """

    right: Tensor
    nll: float
    ece: float

    @cached_property
    def counts(self) -> Counts:
        """How many predictions are right."""
        return Counts(correct=int(self.right.sum()), total=len(self.right))

    @property
    def correct_bits(self) -> bytes:
        """Which predictions are right."""
        return np.packbits(self.right.cpu().numpy()).tobytes()

    @property
    def accuracy(self) -> float:
        """The fraction of right predictions."""
        return accuracy(self.counts)

    @property
    def loss(self) -> float:
        """The negative log-likelihood."""
        return self.nll

    @property
    def fraction(self) -> float:
        """The accuracy."""
        return self.accuracy

    @property
    def metrics(self) -> dict[str, float]:
        """Accuracy, NLL and calibration error."""
        return {"accuracy": self.accuracy, "nll": self.nll, "ece": self.ece}

    @property
    def curves(self) -> dict[str, float]:
        """Accuracy and NLL."""
        return {"accuracy": self.accuracy, "nll": self.nll}


@dataclass(frozen=True, eq=False)
class LabelScores(ClassScores):
    """Scores of predicted classes, one per example.

    Attributes:
        totals: by class.
        confusion: int64 [true class, predicted class]; None above 1,000 classes.
    """

    totals: ClassTotals
    confusion: Tensor | None = None

    @cached_property
    def counts(self) -> Counts:
        """How many predictions are right, and the confusion matrix."""
        if self.confusion is None:
            return super().counts
        return counted(self.confusion)

    @property
    def metrics(self) -> dict[str, float]:
        """All of them."""
        return {
            **super().metrics,
            "balanced_accuracy": self.totals.balanced_accuracy,
            "macro_f1": self.totals.macro_f1,
        }

    @property
    def validation(self) -> dict[str, float]:
        """The metrics that a task may rank by."""
        metrics = self.metrics
        return {name: metrics[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}


@dataclass(frozen=True, eq=False)
class TextScores(ClassScores):
    """Scores of predicted characters, one per position of a text."""

    @property
    def metrics(self) -> dict[str, float]:
        """All of them, and the bits per character."""
        return {**super().metrics, "bits_per_character": self.nll / math.log(2)}

    @property
    def validation(self) -> dict[str, float]:
        """The metrics that a task may rank by."""
        metrics = self.metrics
        return {name: metrics[name] for name in ("accuracy", "bits_per_character")}


@dataclass(frozen=True)
class RealScores:
    """Scores of predicted real numbers.

    Attributes:
        r2: coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)² with ȳ the split's own mean;
            of several targets the mean.
        rmse: root of the mean squared error in the target's unit; None of several targets, which
            need not have the same.
        mse: mean squared error of the standardised targets, the loss.
    """

    r2: float
    rmse: float | None
    mse: float

    @property
    def loss(self) -> float:
        """The mean squared error of the standardised targets."""
        return self.mse

    @property
    def fraction(self) -> float:
        """R², the fraction of the variance that is explained; below 0 if worse than the mean."""
        return self.r2

    @property
    def metrics(self) -> dict[str, float]:
        """R², and the RMSE of a single target."""
        return {"r2": self.r2} | ({} if self.rmse is None else {"rmse": self.rmse})

    @property
    def validation(self) -> dict[str, float]:
        """The metrics that a task may rank by."""
        return self.metrics

    @property
    def curves(self) -> dict[str, float]:
        """R² and the loss."""
        return {"r2": self.r2, "mse": self.mse}

    @property
    def counts(self) -> None:
        """None: nothing is counted."""
        return None

    @property
    def correct_bits(self) -> bytes:
        """Empty: no prediction is right or wrong."""
        return b""


def predict(model: nn.Module, split: Split) -> Tensor:
    """Return the outputs [n, …, classes] in evaluation mode; modes are restored afterwards."""
    with evaluation_mode(model), torch.no_grad():
        # Clone: a model may work in place, and all trials share the data.
        return torch.cat([model(x.clone()) for x, _ in split.batches(EVALUATION_BATCH)])


def evaluate(model: nn.Module, split: Split) -> Scores:
    """Return the scores of `model` on `split`."""
    outputs = predict(model, split)
    if isinstance(split, RealSplit):
        return real_scores(outputs, split)
    logits, targets = flat(outputs, split.y)
    confidence, guess = logits.softmax(-1).max(-1)
    right = guess == targets
    nll = float(F.cross_entropy(logits.double(), targets))
    ece = calibration_error(confidence.double(), right.double())
    if isinstance(split, TextSplit):
        return TextScores(right, nll, ece)
    return LabelScores(right, nll, ece, *class_counts(guess, targets, logits.shape[-1]))


def class_counts(guess: Tensor, targets: Tensor, classes: int) -> tuple[ClassTotals, Tensor | None]:
    """Return what predicted classes, int64 [n], are by class, and the confusion matrix.

    The matrix, int64 [true class, predicted class], is None above 1,000 classes.
    """
    if classes <= MAX_CLASSES:
        cells = torch.bincount(targets * classes + guess, minlength=classes**2)
        confusion = cells.view(classes, classes)
        sums = [confusion.sum(1), confusion.sum(0), confusion.diagonal()]
        return ClassTotals(*(each.tolist() for each in sums)), confusion
    labels = (targets, guess, targets[guess == targets])
    sums = [torch.bincount(each, minlength=classes) for each in labels]
    return ClassTotals(*(each.tolist() for each in sums)), None


def counted(confusion: Tensor) -> Counts:
    """Return the counts of a confusion matrix, int64 [true class, predicted class]."""
    true, predicted = confusion.nonzero(as_tuple=True)
    cells = torch.stack([true, predicted, confusion[true, predicted]], 1).tolist()
    return Counts.of_cells(cells, len(confusion))


def real_scores(outputs: Tensor, split: RealSplit) -> RealScores:
    """Return the scores of predicted standardised targets, [n, targets]."""
    targets = split.y.double()
    squared = (outputs.double() - targets).square().mean(0)
    variance = (targets - targets.mean(0)).square().mean(0)
    rmse = split.scale.std[0] * math.sqrt(float(squared[0])) if len(squared) == 1 else None
    return RealScores(float((1 - squared / variance).mean()), rmse, float(squared.mean()))


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
    """Return accuracy, or R², with the prunable weights rounded to each number of bits.

    Symmetric, per output channel: w → Δ·round(w/Δ), Δ = max|w| / (2^(b−1) − 1), with at least one
    level on either side of zero. The weights are restored afterwards.
    """
    weights = {
        weight.parameter: (weight.module, weight.parameter.detach().clone())
        for weight in covered_weights(model, coverage)
        if weight.parameter is not None and weight.parameter.numel()
    }
    accuracies = {}
    with torch.no_grad():
        for number in bits:
            levels = max(1, 2 ** (number - 1) - 1)
            for weight, (module, original) in weights.items():
                values = by_output(module, original)
                largest = values.abs().amax(tuple(range(2, values.ndim)), keepdim=True)
                step = largest.clamp_min(torch.finfo(original.dtype).tiny) / levels
                by_output(module, weight).copy_((values / step).round() * step)
            outputs = predict(model, split)
            if isinstance(split, RealSplit):
                accuracies[number] = real_scores(outputs, split).r2
            else:
                right = outputs.argmax(-1) == split.y
                accuracies[number] = int(right.sum()) / right.numel()
        for weight, (_, original) in weights.items():
            weight.copy_(original)
    return accuracies
