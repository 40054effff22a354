"""GraSP: pruning before training that preserves gradient flow."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, unchanging
from suite.sparsity.inputs import Tensors, logits_of, map_tensors, tensors_of
from suite.sparsity.scoring import Probe
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "grasp",
    "Wang et al. 2020, arXiv:2002.07376",
    revision=2,
    title="GraSP",
    summary="prunes before training the weights that hinder gradient flow",
    implementation="Grasp",
    family="before training",
    hyperparameters=(
        *GLOBALLY,
        Hyperparameter(
            "examples_per_class",
            int,
            10,
            "examples of each class in the batch that connections are scored on; for real targets "
            "the batch has ten times as many",
            low=1,
            unit="examples",
            source="Wang et al. 2020, §5.1: ten times the number of classes, balanced",
        ),
        Hyperparameter(
            "temperature",
            float,
            200.0,
            "divisor of the logits; not used for real targets",
            low=1.0,
            source="Wang et al. 2020, the authors' code: T = 200",
        ),
        Hyperparameter(
            "reinitialize_linear",
            bool,
            True,
            "score Linear layers with other weights than they are trained from, drawn for this "
            "from Xavier's normal distribution",
            source="alecwangcq/GraSP, pruner/GraSP.py: reinit=True; not in the paper",
            search=Search(choices=(True,)),
        ),
        Hyperparameter(
            "halves",
            bool,
            True,
            "score the batch, sorted by class, in two halves, and add up their gradients: each has "
            "half of the classes, and its own batch statistics in norms",
            source="alecwangcq/GraSP, pruner/GraSP.py: always; not in the paper",
            search=Search(choices=(True,)),
        ),
    ),
    equation=(
        r"m = \operatorname{Bottom}_{(1-s)N}(-w \odot H g), "
        r"\quad g = \nabla L, \quad H = \nabla^2 L"
    ),
    cost="3 f_S per step, and once 12 f_D for the scoring batch",
    differences=(
        Difference(
            "examples",
            "as they are in the dataset",
            "randomly cropped and flipped, as for training",
            "masks do not depend on draws of the augmentation",
        ),
        Difference(
            "ties with the threshold",
            "by index",
            "kept",
            "exact counts",
        ),
    ),
)

REGRESSION_CLASSES = 10
"""Where targets are real numbers, the batch is as large as that of so many classes."""


class Grasp(Sparsifier):
    """Remove the connections with the highest −θ ⊙ Hg, g the gradient and H the Hessian.

    Removing weight i changes the squared norm of the gradient by about −2·θ_i·(Hg)_i, so removing
    the highest-scoring connections increases it. The loss is that of logits / T on a class-balanced
    batch, in training mode. The score keeps its sign (using |θ ⊙ Hg| is another method). Of a model
    that computes its own loss, the cross-entropy of its logits / T is taken instead. Where targets
    are real numbers, the batch is drawn at random, and outputs are not divided by T: predictions
    have no temperature.

    As in the authors' code, and not in the paper, Linear layers are given other weights on the
    network's copy that is scored (``reinitialize_linear``), drawn from N(0, 2 / (inputs + outputs))
    (Glorot & Bengio 2010, eq. 16), and both g and Hg are sums over the two halves of the batch
    (``halves``): Hg = Σ ∂/∂θ (g · ∂L_half/∂θ) with g = Σ ∂L_half/∂θ.
    """

    def resume(self) -> None:
        """Keep nothing: the masks are chosen once, in `start`."""

    def start(self) -> None:
        """Score once and prune."""
        scores, count = self._scores()
        active = {layer.name: layer.mask for layer in self.layers}
        masks = self.pruned(active, scores, 1.0)
        # Forward and backward for g; the same again with a graph, and backward through it.
        self.charge(12.0 * count, dict.fromkeys(masks, 1.0))
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name])

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the masks do not change after they were chosen."""
        return unchanging(setup)

    def scoring_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of the scoring batch; of a rare class it may hold fewer examples."""
        per_class, classes = self.options.examples_per_class, setup.classes
        least, most = classes, per_class * classes
        if setup.regression:
            least = most = REGRESSION_CLASSES * per_class
        least, most = min(least, setup.pool), min(most, setup.pool)
        return FlopsBounds(least, most).times(12.0 * setup.flops.dense)

    def _scores(self) -> tuple[Mapping[str, Tensor], int]:
        """Return θ ⊙ Hg, of which the lowest are removed, and the size of the batch."""
        probe = self.probe()
        probe.model.train()
        if self.options.reinitialize_linear:
            self._reinitialize_linear(probe)
        with torch.no_grad(), probe.random():
            outputs = probe.outputs(self.examples.first(2))
        logits = logits_of(outputs)
        if logits.ndim != 2:
            raise InvalidInput(
                f"grasp needs a class-balanced batch and outputs [examples, classes], not "
                f"{tuple(logits.shape)}: choose another method"
            )
        if logits is not outputs and not self.examples.loss_takes_logits:
            raise InvalidInput(
                f"grasp divides the logits by its temperature, but loss= is given all of the "
                f"model's outputs ({type(outputs).__name__}): leave loss out, which is then the "
                "cross-entropy, or choose another method"
            )
        temperature, per_class = self.options.temperature, self.options.examples_per_class
        if self.examples.real_targets:
            temperature = 1.0
            x, y = self.examples.batch(REGRESSION_CLASSES * per_class)
        else:
            x, y = self.examples.balanced(per_class, logits.shape[1])

        count = len(tensors_of(x)[0])
        parts = [(x, y)]
        if self.options.halves and count > 1:
            parts = [_slice(x, y, slice(count // 2)), _slice(x, y, slice(count // 2, None))]

        def loss(inputs: Tensors, targets: Tensors | None) -> Tensor:
            return self.examples.loss_of(logits_of(probe.outputs(inputs)) / temperature, targets)

        with torch.enable_grad(), probe.twice_differentiable():
            with probe.random():
                gradient = _summed([probe.mean_gradients(loss(*part)) for part in parts])
            curvatures = []
            with probe.random():
                for part in parts:
                    again = probe.gradients(loss(*part), create_graph=True)
                    product = torch.stack([(gradient[n] * again[n]).sum() for n in gradient]).sum()
                    curvatures.append(probe.mean_gradients(product))
        curvature = _summed(curvatures)
        return {n: w.detach() * curvature[n] for n, w in probe.weights.items()}, count

    @torch.no_grad()
    def _reinitialize_linear(self, probe: Probe) -> None:
        for layer in self.layers:
            module = probe.model.get_submodule(layer.path.rpartition(".")[0])
            if isinstance(module, nn.Linear):
                generator = self.generator(layer, "scored weights")
                nn.init.xavier_normal_(probe.weights[layer.name], generator=generator)


def _slice(x: Tensors, y: Tensors | None, part: slice) -> tuple[Tensors, Tensors | None]:
    """Return a part of a batch."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor[part]

    return map_tensors(cut, x), None if y is None else map_tensors(cut, y)


def _summed(gradients: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the sum of gradients by layer."""
    return {
        name: sum((g[name] for g in gradients[1:]), first) for name, first in gradients[0].items()
    }
