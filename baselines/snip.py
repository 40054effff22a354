"""SNIP: pruning before training by connection sensitivity."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import GLOBALLY
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup, unchanging
from suite.sparsity.inputs import Tensors, tensors_of
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "snip",
    "Lee et al. 2019, arXiv:1810.02340",
    revision=2,
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
        Hyperparameter(
            "mode",
            str,
            "eval",
            "how norms and dropout work while connections are scored: as in evaluation, with the "
            "running statistics of norms (at initialisation, mean 0 and variance 1), or as in "
            "training, with those of the batch",
            choices=("eval", "train"),
            source="namhoonlee/snip-public, prune.py: is_train=False; later papers score in "
            "training mode",
            search=Search(choices=("eval",)),
        ),
        Hyperparameter(
            "fresh_weights",
            bool,
            False,
            "train from newly drawn weights, and not from those that were scored",
            source="namhoonlee/snip-public, model.py: true",
            search=Search(choices=(False,)),
        ),
    ),
    equation=r"m = \operatorname{Top}_{(1-s)N}({|w \odot \nabla L|})",
    cost="3 f_S per step, and once 3 f_D for the scoring batch",
    differences=(
        Difference(
            "batch_size",
            "128",
            "100",
            "the paper's for CIFAR; 100 is that for MNIST",
        ),
        Difference(
            "fresh_weights",
            "false",
            "true",
            "as other methods before training: the weights that were scored are trained",
        ),
        Difference(
            "biases",
            "neither ranked nor pruned",
            "ranked and pruned together with weights",
            "sparsity is that of the weights, as for every method",
        ),
        Difference(
            "number of weights kept",
            "N − floor(s · N)",
            "round((1 − s) · N)",
            "one rounding for all methods",
        ),
    ),
)


class Snip(Sparsifier):
    """Keep the connections with the largest |∂L/∂w ⊙ w| on one batch, at initialisation.

    The paper's sensitivity of a connection, |∂L/∂c| at c = 1, is |∂L/∂w · w|; its normalisation
    does not change the ranking. The batch is evaluated on a copy of the network, in evaluation mode
    as in the authors' code (``mode=eval``). Many later implementations score in training mode
    (``mode=train``), which gives other masks where there is batch norm: at high sparsity it may
    prune whole layers, where evaluation mode prunes none of them entirely. The authors rank biases
    together with weights, and train from newly drawn ones (``fresh_weights``, which needs the
    function that builds the model); here only weights are ranked.
    """

    def reinitializes(self, number: int) -> bool:
        """Return whether training starts from other weights than were scored."""
        return bool(self.options.fresh_weights)

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

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the masks do not change after they were chosen."""
        return unchanging(setup)

    def scoring_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of the scoring batch."""
        count = min(self.options.batch_size, setup.pool)
        cost = 3.0 * count * setup.flops.dense
        return FlopsBounds(cost, cost)

    def _sensitivity(self, x: Tensors, y: Tensors | None) -> Mapping[str, Tensor]:
        probe = self.probe()
        probe.model.train(self.options.mode == "train")
        with torch.enable_grad(), probe.random(), probe.recurrent():
            gradients = probe.mean_gradients(self.examples.loss_of(probe.outputs(x), y))
        scores: dict[str, Any] = {}
        for name, weight in probe.weights.items():
            scores[name] = (gradients[name] * weight.detach()).abs()
        return scores
