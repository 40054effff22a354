"""SNIP: pruning before training by connection sensitivity."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.declarations import Hyperparameter, Method
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.inputs import Tensors, tensors_of
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import Cost, Course, Finished, unchanging

METHOD = Method(
    "snip",
    "Lee et al. 2019, arXiv:1810.02340",
    title="SNIP",
    summary="prunes before training the weights to which the loss of one batch is least sensitive",
    implementation="Snip",
    family="before training",
    hyperparameters=(
        *GLOBALLY,
        Hyperparameter(
            "batch_size",
            int,
            128,
            "examples of the batch that connections are scored on",
            low=1,
            unit="examples",
            source="Lee et al. 2019, §5: the training batch size, 100 on MNIST and 128 on CIFAR",
        ),
    ),
    cost="3 f_S per step, and once 3 f_D for the scoring batch",
)


class Snip(Sparsifier):
    """Keep the connections with the largest |∂L/∂w ⊙ w| on one batch, at initialisation.

    The paper's sensitivity of a connection, |∂L/∂c| at c = 1, is |∂L/∂w · w|; its normalisation
    does not change the ranking. The batch is evaluated in training mode (batch statistics of
    norms), on a copy, so that running statistics do not change (some implementations change them).
    """

    def resume(self) -> None:
        """Keep nothing: the masks are chosen once, in `start`."""

    def start(self) -> None:
        """Score once and prune."""
        x, y = self.examples.batch(self.options.batch_size)
        scores = self._sensitivity(x, y)
        active = {layer.name: layer.mask for layer in self.layers}
        masks = self.pruned(active, scores, 1.0)
        self.charge(3.0 * len(tensors_of(x)[0]), dict.fromkeys(masks, 1.0))
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name])

    def zeros_in_training(self, number: int, finished: Finished) -> Course:
        """Return that the masks do not change after they were chosen."""
        return unchanging(finished)

    def scoring_cost(self, finished: Finished) -> Cost:
        """Return the cost of the scoring batch."""
        count = min(self.options.batch_size, finished.pool)
        cost = 3.0 * count * finished.flops.dense
        return Cost(cost, cost)

    def _sensitivity(self, x: Tensors, y: Tensors | None) -> Mapping[str, Tensor]:
        probe = self.probe()
        probe.model.train()
        with torch.enable_grad(), probe.random():
            gradients = probe.mean_gradients(self.examples.loss_of(probe.outputs(x), y))
        scores: dict[str, Any] = {}
        for name, weight in probe.weights.items():
            scores[name] = (gradients[name] * weight.detach()).abs()
        return scores
