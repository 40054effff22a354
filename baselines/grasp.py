"""GraSP: pruning before training that preserves gradient flow."""

from collections.abc import Mapping

import torch
from torch import Tensor

from suite.core.declarations import Hyperparameter, Method
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.inputs import logits_of, tensors_of
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import Cost, Course, Finished, unchanging

METHOD = Method(
    "grasp",
    "Wang et al. 2020, arXiv:2002.07376",
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
    ),
    cost="3 f_S per step, and once 12 f_D for the scoring batch",
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

    def zeros_in_training(self, number: int, finished: Finished) -> Course:
        """Return that the masks do not change after they were chosen."""
        return unchanging(finished)

    def scoring_cost(self, finished: Finished) -> Cost:
        """Return the cost of the scoring batch; of a rare class it may hold fewer examples."""
        per_class, classes = self.options.examples_per_class, finished.classes
        least, most = classes, per_class * classes
        if finished.regression:
            least = most = REGRESSION_CLASSES * per_class
        least, most = min(least, finished.pool), min(most, finished.pool)
        return Cost(least, most).times(12.0 * finished.flops.dense)

    def _scores(self) -> tuple[Mapping[str, Tensor], int]:
        """Return θ ⊙ Hg, of which the lowest are removed, and the size of the batch."""
        probe = self.probe()
        probe.model.train()
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

        def loss() -> Tensor:
            return self.examples.loss_of(logits_of(probe.outputs(x)) / temperature, y)

        with torch.enable_grad(), probe.twice_differentiable():
            with probe.random():
                gradient = probe.mean_gradients(loss())
            with probe.random():
                again = probe.gradients(loss(), create_graph=True)
            product = torch.stack([(gradient[n] * again[n]).sum() for n in gradient]).sum()
            curvature = probe.mean_gradients(product)
        return {n: w.detach() * curvature[n] for n, w in probe.weights.items()}, len(
            tensors_of(x)[0]
        )
