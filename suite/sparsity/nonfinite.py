"""Diverged training, detected when scores are ranked."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from suite.core.errors import InvalidInput, TrialFailed
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import NonFiniteScores
from suite.sparsity.scoring import Examples

ADVICE = "lower the learning rate, or clip the gradient (recipe clip_norm)"


@contextlib.contextmanager
def name_nonfinite_layer(
    layers: Sequence[PrunableWeight], step: int, examples: Examples | None = None
) -> Iterator[None]:
    """Report the layer, or else the examples, that NaN scores come from.

    They are checked only in that case.

    Raises:
        TrialFailed: a score was NaN.
    """
    try:
        yield
    except NonFiniteScores as error:
        where = _where(layers)
        if not where and examples is not None and (place := examples.first_nonfinite()) is not None:
            raise TrialFailed(
                f"the examples hold NaN or infinity, the first in example {place} (from 0), so "
                "that their scores are NaN: leave such examples out"
            ) from error
        where = where or "scores hold NaN, though all weights and gradients are finite,"
        raise TrialFailed(f"{where} at step {step}: {ADVICE}") from error


@torch.no_grad()
def _where(layers: Sequence[PrunableWeight]) -> str:
    """Return the first layer whose weights or gradients are not finite; empty if there is none."""
    for layer in layers:
        gradient = _gradient(layer)
        if not bool(layer.values.isfinite().all()):
            return f"layer '{layer.name}' has weights that are not finite"
        if gradient is not None and not bool(gradient.isfinite().all()):
            return f"layer '{layer.name}' has gradients that are not finite"
    return ""


def _gradient(layer: PrunableWeight) -> Tensor | None:
    """Return the layer's gradient: all of it if the method has asked for that."""
    try:
        return layer.dense_gradient
    except InvalidInput:
        return layer.active_gradient
