"""SynFlow: pruning before training without data, conserving synaptic flow."""

from collections.abc import Mapping

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, Zeros, unchanging
from suite.sparsity.inputs import Tensors, logits_of, map_tensors, tensors_of
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
    equation=(
        r"R = \mathbf{1}^\top f_{|w|}(\mathbf{1}), \quad "
        r"m \leftarrow \operatorname{Top}_{\rho^{k/n}N}"
        r"\left(\left|w \odot \frac{\partial R}{\partial w}\right|\right), \quad k = 1, \dots, n"
    ),
    cost="3 f_S per step, and once 3 f for one example in each of 100 rounds",
    differences=(
        Difference(
            "iterations",
            "100",
            "1 (--prune-epochs of main.py)",
            "the paper's; once empties whole layers",
        ),
        Difference(
            "precision of scores",
            "float64",
            "float32 (double() is commented out)",
            "float32 overflows in deep networks",
        ),
        Difference(
            "ties with the threshold",
            "by index",
            "pruned",
            "exact counts",
        ),
    ),
)


class SynFlow(Sparsifier):
    """For k = 1 … n: score |θ ⊙ ∂R/∂θ|, keep the density ρ^(k/n). R = 1ᵀ·f(1) with all |θ|.

    R is the sum of the outputs for an input of ones, with every parameter and norm buffer replaced
    by its absolute value, in evaluation mode and float64 (float32 overflows in deep networks).
    Scoring once instead of n times prunes whole layers at high sparsity.

    Tokens are not in the paper, and there are no ones among them. Integer and boolean inputs (token
    ids, an attention mask), and inputs by name that end in "mask", are therefore those of the first
    training example; gradients are then averaged over replicas. R is not linear in each weight
    where there are LayerNorm and attention, and the paper's guarantee that no layer is emptied
    does not hold: in a GPT at initialisation next to nothing flows through the softmax, so that
    the query and key weights go first, all of them at 90 %, and attention becomes uniform.
    """

    def resume(self) -> None:
        """Keep nothing: the masks are chosen once, in `start`."""

    def start(self) -> None:
        """Score and prune in rounds; set the masks once, at the end."""
        probe = self.probe(torch.float64)
        probe.model.eval()
        with torch.no_grad():
            for tensor in (*probe.model.parameters(), *probe.model.buffers()):
                # An attention mask kept as a buffer has -inf where nothing is attended to.
                if tensor.is_floating_point() and bool(tensor.isfinite().all()):
                    tensor.abs_()
        example = self.examples.first(1)
        inputs = _ones(example)
        # Replicas may hold different tokens, and must choose the same masks.
        tokens = not all(tensor.is_floating_point() for tensor in tensors_of(example))
        gradients = probe.mean_gradients if tokens else probe.gradients
        active = {layer.name: layer.mask for layer in self.layers}
        total = sum(mask.numel() for mask in active.values())
        density = 1 - self.target_total() / total
        for number in range(1, self.options.iterations + 1):
            masks = active
            self.charge(3.0, {n: count_true(m) / m.numel() for n, m in masks.items()})
            with torch.enable_grad(), probe.recurrent():
                flow = gradients(logits_of(probe.outputs(inputs)).sum())
            scores: dict[str, Tensor] = {
                name: (weight.detach() * flow[name]).abs() for name, weight in probe.weights.items()
            }
            active = self.pruned(masks, scores, self._fraction(number, density))
            with torch.no_grad():
                for name, weight in probe.weights.items():
                    weight.mul_(active[name])
        for layer in self.layers:
            self.set_mask(layer, active[layer.name])

    def _fraction(self, number: int, density: float) -> float:
        """Return the fraction of all zeros that are there after round `number`; 1 at the end."""
        rounds = self.options.iterations
        if number == rounds or density >= 1:
            return 1.0
        return float((1 - density ** (number / rounds)) / (1 - density))

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the masks do not change after they were chosen."""
        return unchanging(setup)

    def scoring_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of all rounds of scoring, each of one example."""
        size = sum(setup.sizes.values())
        fewest, most = (1 - zeros / size for zeros in reversed(setup.final.in_network))
        cost = setup.forward(Zeros.none(setup.shapes))
        for number in range(1, self.options.iterations):
            low, high = (
                setup.forward(self.zeros_when_pruned(self._fraction(number, density), setup.final))
                for density in (fewest, most)
            )
            cost += FlopsBounds(low.least, high.most)
        return cost.times(3.0)


def _ones(example: Tensors) -> Tensors:
    """Return an example with ones in place of floating-point inputs, but not of masks by name."""

    def replaced(tensor: Tensor, name: str = "") -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        mask = name.endswith("mask")
        return tensor.double() if mask else torch.ones_like(tensor, dtype=torch.float64)

    if isinstance(example, Mapping):
        return {name: replaced(tensor, name) for name, tensor in example.items()}
    return map_tensors(replaced, example)
