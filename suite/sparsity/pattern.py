"""N:M sparsity: of every M consecutive inputs of an output, exactly N have a weight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.masks import check_ranked, keep_top, ordered


@dataclass(frozen=True)
class Pattern:
    """N of M along the input dimension, as GPUs' sparse tensor cores require (2:4).

    Groups are M consecutive input features of a Linear weight [out, in], or input channels of a
    Conv weight [out, in, *kernel] at one place of the kernel. Tensors below have the weight's
    shape. Source: Mishra et al. 2021, arXiv:2104.08378, §2.
    """

    n: int
    m: int

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    def zeros(self, name: str, shape: Sequence[int], input_dim: int | None = 1) -> int:
        """Return the number of zeros of a layer; `input_dim` is that of `Prunable`.

        Raises:
            InvalidInput: its inputs do not lie along dimension 1, or are not a multiple of M.
        """
        if input_dim != 1:
            raise InvalidInput(
                f"pattern={self}: layer '{name}' of shape {tuple(shape)} is not [out, in, ...], as "
                f"of Linear and Conv: leave it dense with dense_layers={name}, or exclude it"
            )
        if shape[1] % self.m:
            raise InvalidInput(
                f"pattern={self}: layer '{name}' has {shape[1]} inputs, not a multiple of "
                f"{self.m}: leave it dense with dense_layers={name}"
            )
        size = torch.Size(shape).numel()
        return size // self.m * (self.m - self.n)

    def groups(self, tensor: Tensor) -> Tensor:
        """Return [groups, M]."""
        return tensor.movedim(1, -1).reshape(-1, self.m)

    def _joined(self, groups: Tensor, shape: torch.Size) -> Tensor:
        moved = torch.Size((shape[0], *shape[2:], shape[1]))
        return groups.reshape(moved).movedim(-1, 1).contiguous()

    def keep(self, scores: Tensor) -> Tensor:
        """Return the mask of the N highest scores of every group, exact on ties."""
        return self._joined(keep_top(self.groups(scores), self.n), scores.shape)

    def grow(self, kept: Tensor, scores: Tensor, among: Tensor | None = None) -> Tensor:
        """Fill every group of `kept` up to N with its highest scores.

        Args:
            kept: boolean, the mask before.
            scores: without NaN.
            among: boolean, the places that may be grown; all if left out.

        Raises:
            NonFiniteScores: a NaN among the scores.
            ValueError: a group has fewer such places outside `kept` than it lacks weights.
        """
        check_ranked(scores)
        active, ranked = self.groups(kept), self.groups(scores)
        free = ~active if among is None else self.groups(among) & ~active
        room = (self.n - active.sum(-1, keepdim=True)).clamp_min(0)
        if among is not None and bool((short := free.sum(-1, keepdim=True) < room).any()):
            raise ValueError(f"{int(short.sum())} groups have too few places to grow to {self}")
        first = torch.arange(self.m, device=kept.device) < room
        grown = torch.zeros_like(active).scatter(-1, ordered(ranked, free), first)
        return self._joined(active | grown, kept.shape)

    def lies_within(self, mask: Tensor) -> bool:
        """Return whether pruning `mask` can give the pattern: every group has N True or more."""
        return bool((self.groups(mask).sum(-1) >= self.n).all())

    def holds(self, mask: Tensor) -> bool:
        """Return whether every group of `mask` has exactly N True."""
        return bool((self.groups(mask).sum(-1) == self.n).all())


def checked_pattern(options: Mapping[str, Any], sparsity: float) -> Pattern | None:
    """Return the pattern that a method's options ask for, if any.

    Raises:
        InvalidInput: it is not compatible with the distribution or with the sparsity.
    """
    text = options.get("pattern", "none")
    if text == "none":
        return None
    n, m = map(int, text.split(":"))
    pattern, needed = Pattern(n, m), 1 - n / m
    distribution = options.get("distribution", "erk")
    if distribution in ("global", "custom"):
        raise InvalidInput(
            f"pattern={pattern} gives every layer the same sparsity, distribution="
            f"{distribution} does not: set distribution=uniform"
        )
    if not math.isclose(sparsity, needed):
        raise InvalidInput(
            f"pattern={pattern} is a sparsity of {needed:g}, not {sparsity:g}: give "
            f"sparsity {needed:g}"
        )
    return pattern
