"""What a method's layers are of the whole model: weights outside them, zeros in all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from suite.sparsity.layers import PrunableWeight
from suite.sparsity.prunable import NamedWeight, excluded_parameters, is_matrix, named_weights
from suite.sparsity.storage.csr import SparseLinear

NAMED = 5
"""How many weights a message names."""


@dataclass(frozen=True)
class UncoveredWeight:
    """A trained weight that a method does not hold.

    Attributes:
        path: full name of the parameter.
        kind: class of the module that holds it.
        size: number of its elements.
        share: of the trained weights of 2 or more dimensions, 0 to 1.
    """

    path: str
    kind: str
    size: int
    share: float


@dataclass(frozen=True)
class Uncovered:
    """The trained weights that a method does not hold, the largest first."""

    weights: tuple[UncoveredWeight, ...]

    def __bool__(self) -> bool:
        return bool(self.weights)

    @property
    def share(self) -> float:
        """Their share of the trained weights of 2 or more dimensions, 0 to 1."""
        return sum(weight.share for weight in self.weights)

    def __str__(self) -> str:
        """Return one line: names, kinds, shares, and what to do; empty if there are none."""
        if not self.weights:
            return ""
        first = self.weights[:NAMED]
        named = ", ".join(f"{w.path} ({w.kind}, {_percent(w.share)})" for w in first)
        rest = self.weights[NAMED:]
        if rest:
            named += f" and {len(rest)} more ({_percent(sum(w.share for w in rest))})"
        return (
            f"{_percent(self.share)} of the trained weights stay dense: {named}; prune them with "
            "include=[...], or list them in exclude=[...] if they are to stay dense"
        )


def uncovered(
    model: nn.Module, held: Sequence[PrunableWeight], excluded: Sequence[str] = ()
) -> Uncovered:
    """Return which trained weights of a model a method does not hold.

    Weights are floating-point parameters of 2 or more dimensions, each shared one counted once.
    Those with a single dimension above 1 (gains of shape [n, 1, 1, 1]) are vectors, and not listed.

    Args:
        model: unwrapped, in any storage.
        held: the method's layers.
        excluded: globs of weights that the user left out on purpose (`Coverage.exclude`); those
            that match nothing any more are ignored.
    """
    inside = {id(layer.parameter) for layer in held}
    left_out = excluded_parameters(model, excluded)
    trained = [w for w in _weights(model) if w.parameter is not None and w.parameter.requires_grad]
    total = sum(_shape(weight).numel() for weight in trained)
    missed = [
        UncoveredWeight(weight.path, type(weight.module).__name__, size, size / total)
        for weight in trained
        if id(weight.parameter) not in inside | left_out
        and (size := _shape(weight).numel())
        and sum(length > 1 for length in _shape(weight)) > 1
    ]
    return Uncovered(tuple(sorted(missed, key=lambda weight: -weight.size)))


@torch.no_grad()
def whole_model_sparsity(model: nn.Module) -> float:
    """Return the fraction of zeros among all weights of a model, exactly; 0 if it has none.

    Weights are the floating-point parameters of 2 or more dimensions, trained or frozen, dense or
    in CSR, each shared one once. It waits for the device.
    """
    size = zeros = 0
    for weight in _weights(model):
        assert weight.parameter is not None
        number = _shape(weight).numel()
        size += number
        zeros += number - int(weight.parameter.count_nonzero())
    return zeros / size if size else 0.0


def _weights(model: nn.Module) -> list[NamedWeight]:
    """Return the weights of a model, each shared one under its first name."""
    found: dict[int, NamedWeight] = {}
    for weight in named_weights(model):
        parameter = weight.parameter
        if parameter is not None and (is_matrix(parameter) or _in_csr(weight)):
            found.setdefault(id(parameter), weight)
    return list(found.values())


def _in_csr(weight: NamedWeight) -> bool:
    return isinstance(weight.module, SparseLinear) and weight.path.endswith("weight")


def _shape(weight: NamedWeight) -> torch.Size:
    """Return the shape of a weight, also of one of which non-zero values only are stored."""
    if isinstance(weight.module, SparseLinear):
        return weight.module.topology.shape
    assert weight.parameter is not None
    return weight.parameter.shape


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
