"""The training loss: cross-entropy of labels and text, mean squared error of real targets.

The last dimension of outputs holds a logit per class, or a prediction per real target; all
dimensions before it (examples, positions in a text) count predictions.
"""

import functools
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from tasks.recipe import Recipe
from tasks.task import Dataset

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) → scalar."""


def flat(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs as [predictions, classes] and targets as [predictions]."""
    return outputs.flatten(0, -2), targets.flatten()


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean negative log-likelihood: outputs [b, …, classes], targets [b, …]."""
    return F.cross_entropy(*flat(outputs, targets), label_smoothing=label_smoothing)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error over examples and targets: both [b, targets], standardised."""
    return F.mse_loss(outputs, targets)


def training_loss(dataset: Dataset, recipe: Recipe) -> Loss:
    """Return the training loss."""
    if dataset.regression:
        return squared_error
    return functools.partial(cross_entropy, label_smoothing=recipe.label_smoothing)


def check_recipe(task: str, dataset: Dataset, recipe: Recipe) -> None:
    """Check that a recipe fits the dataset's targets.

    Raises:
        InvalidInput: labels are to be smoothed where there are none.
    """
    if dataset.regression and recipe.label_smoothing:
        raise InvalidInput(
            f"task {task}: label_smoothing={recipe.label_smoothing:g}: dataset {dataset.name} has "
            "real targets, not labels: give label_smoothing=0"
        )
