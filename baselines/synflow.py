"""SynFlow: pruning before training without data, conserving synaptic flow."""

import torch
from torch import Tensor

from suite.core.declarations import Hyperparameter, Method
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.masks import count_true
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "synflow",
    "Tanaka et al. 2020, arXiv:2006.05467",
    title="SynFlow",
    summary="prunes before training, without data, the weights with the least synaptic flow",
    implementation="SynFlow",
    family="before training",
    hyperparameters=(
        *GLOBALLY,
        Hyperparameter(
            "iterations",
            int,
            100,
            "rounds of scoring and pruning, along an exponential schedule",
            low=1,
            unit="rounds",
            source="Tanaka et al. 2020, algorithm 1 and §7: n = 100",
        ),
    ),
    cost="3 f_S per step, and once 3 f for one example in each of 100 rounds",
)


class SynFlow(Sparsifier):
    """For k = 1 … n: score |θ ⊙ ∂R/∂θ|, keep the density ρ^(k/n). R = 1ᵀ·f(1) with all |θ|.

    R is the sum of the outputs for an input of ones, with every parameter and norm buffer replaced
    by its absolute value, in evaluation mode and float64 (float32 overflows in deep networks).
    Scoring once instead of n times prunes whole layers at high sparsity.
    """

    def resume(self) -> None:
        """Keep nothing: the masks are chosen once, in `start`."""

    def start(self) -> None:
        """Score and prune in rounds; set the masks once, at the end."""
        probe = self.probe(torch.float64)
        probe.model.eval()
        with torch.no_grad():
            for tensor in (*probe.model.parameters(), *probe.model.buffers()):
                if tensor.is_floating_point():
                    tensor.abs_()
        ones = torch.ones_like(self.examples.x[:1], dtype=torch.float64)
        active = {layer.name: layer.mask for layer in self.layers}
        total = sum(mask.numel() for mask in active.values())
        density = 1 - self.target_total() / total
        rounds = self.options.iterations
        for number in range(1, rounds + 1):
            masks = active
            self.charge(3.0, {n: count_true(m) / m.numel() for n, m in masks.items()})
            with torch.enable_grad():
                flow = probe.gradients(probe.model(ones).sum())
            scores: dict[str, Tensor] = {
                name: (weight.detach() * flow[name]).abs() for name, weight in probe.weights.items()
            }
            # The last round reaches the target exactly; its fraction is set to 1 below.
            fraction = (1 - density ** (number / rounds)) / (1 - density) if density < 1 else 1.0
            active = self.pruned(masks, scores, 1.0 if number == rounds else fraction)
            with torch.no_grad():
                for name, weight in probe.weights.items():
                    weight.mul_(active[name])
        for layer in self.layers:
            self.set_mask(layer, active[layer.name])
