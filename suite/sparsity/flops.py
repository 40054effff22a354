"""Floating-point operations: per layer from real shapes, and integrated over the actual masks.

Two operations per multiply-add. The backward pass costs twice the forward pass, the first layer
included (the convention of Evci et al. 2020, arXiv:1911.11134, appendix H).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from suite.sparsity.layers import PRUNABLE, PrunableWeight


@dataclass(frozen=True)
class ForwardFlops:
    """Dense forward operations for one example.

    Attributes:
        layers: by name of a prunable weight; a module called several times counts each call, and
            modules that share a weight count together under its first name.
        other: everything else that was counted (attention products, layers not prunable).
    """

    layers: dict[str, float]
    other: float

    @property
    def dense(self) -> float:
        """Operations of the dense network."""
        return sum(self.layers.values()) + self.other

    def sparse(self, weights: Sequence[PrunableWeight]) -> float:
        """Operations at the densities that `weights` have now."""
        left = sum(self.layers[w.name] * (w.active / w.size) for w in weights)
        known = sum(self.layers[w.name] for w in weights)
        return self.dense - known + left


def measure_forward(model: nn.Module, example: Tensor) -> ForwardFlops:
    """Count the operations of one forward pass of `example` (a batch of any size), per example.

    The pass runs in evaluation mode without gradients: buffers, random state and the training
    mode of every module are afterwards what they were, and no hook is left behind.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(example)
    finally:
        for module, training in modes.items():
            module.training = training
    counts = counter.get_flop_counts()
    batch = example.shape[0]
    root = type(model).__name__
    first_name: dict[int, str] = {}
    layers: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, PRUNABLE):
            weight_name = first_name.setdefault(id(module.weight), name)
            key = f"{root}.{name}" if name else root
            layers.setdefault(weight_name, 0.0)
            layers[weight_name] += sum(counts.get(key, {}).values()) / batch
    other = counter.get_total_flops() / batch - sum(layers.values())
    return ForwardFlops(layers, other)


class FlopsLedger:
    """Adds up what training costs, step by step, at the masks each step really used.

    Attributes:
        total: operations charged so far.
    """

    def __init__(self, flops: ForwardFlops, batch_size: int) -> None:
        self.flops = flops
        self.batch_size = batch_size
        self.total = 0.0

    def charge_step(self, weights: Sequence[PrunableWeight], *, dense_gradient: bool) -> None:
        """Charge one training step: forward, input gradients, weight gradients.

        A step in which the method reads dense gradients pays for all weight gradients:
        2 f_S + f_D instead of 3 f_S.
        """
        sparse = self.flops.sparse(weights)
        weight_gradients = self.flops.dense if dense_gradient else sparse
        self.total += (2 * sparse + weight_gradients) * self.batch_size

    def charge(self, flops: float) -> None:
        """Charge something else, a scoring pass for instance."""
        self.total += flops
