"""The loss that methods differentiate where a user gives none."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.sparsity.inputs import describe, logits_of

IGNORED = -100
"""The target that `F.cross_entropy` leaves out, torch's default."""


def cross_entropy(outputs: Any, targets: Any) -> Tensor:
    """Return the mean cross-entropy of a model's outputs.

    Logits [n, classes] with labels [n]; [n, …, classes] (a text) or [n, classes, …] (an image) with
    labels [n, …]; or any of torch's shapes with probabilities in place of labels. The logits may be
    the model's outputs or among them (`logits_of`).

    Raises:
        InvalidInput: shapes that do not fit or fit in two ways, targets that are neither labels
            nor probabilities, or labels outside the classes.
    """
    logits = logits_of(outputs)
    if not isinstance(targets, Tensor):
        raise _unfit(logits, targets, "targets must be one tensor")
    if targets.is_floating_point():
        _check_probabilities(logits, targets)
        return F.cross_entropy(logits, targets)
    logits = _classes_second(logits, targets)
    classes, labels = logits.shape[1], targets.long()
    used = labels[labels != IGNORED]
    if classes < 2:
        raise _unfit(logits, targets, "one output is no choice between classes")
    if len(used) and not 0 <= int(used.min()) <= int(used.max()) < classes:
        raise _unfit(
            logits,
            targets,
            f"labels must be from 0 to {classes - 1}, not {int(used.min())} to {int(used.max())}",
        )
    return F.cross_entropy(logits, labels)


def model_loss(outputs: Any, targets: Any) -> Tensor:
    """Return the loss that a model computes itself, or the cross-entropy if it returns none.

    It is the outputs' attribute or key ``loss``, or the first of a tuple if that is one number.
    """
    found: Any = outputs.get("loss") if isinstance(outputs, Mapping) else None
    if found is None and not isinstance(outputs, Tensor):
        found = getattr(outputs, "loss", None)
    if found is None and isinstance(outputs, tuple | list) and outputs:
        first = outputs[0]
        found = first if isinstance(first, Tensor) and first.ndim == 0 else None
    if isinstance(found, Tensor):
        return found
    if targets is None:
        raise InvalidInput(
            f"the model returns no loss ({describe(outputs)}) and the examples have no 'labels': "
            "give a dict with 'labels', or a pair (inputs, targets)"
        )
    return cross_entropy(outputs, targets)


def _classes_second(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logits as [n, classes, …], the shape that `F.cross_entropy` takes."""
    last = logits.ndim >= 2 and logits.shape[:-1] == targets.shape
    second = logits.ndim >= 2 and logits.shape[:1] + logits.shape[2:] == targets.shape
    if last and second and logits.ndim == 3:
        raise _unfit(logits, targets, "the second or the last dimension may be the classes'")
    if second:  # of images whose sides are the number of classes, too: torch's own convention
        return logits
    if last:
        return logits.movedim(-1, 1)
    raise _unfit(logits, targets, "they do not fit")


def _check_probabilities(logits: Tensor, targets: Tensor) -> None:
    """Check that floating-point targets are a probability per class."""
    if logits.ndim >= 2 and logits.shape == targets.shape and logits.shape[1] > 1:
        sums = targets.sum(1)
        near = torch.isclose(sums, torch.ones_like(sums), atol=1e-2)
        if bool((targets >= 0).all() & near.all()):
            return
    raise _unfit(logits, targets, "floating-point targets are not probabilities of the classes")


def _unfit(logits: Tensor, targets: Any, why: str) -> InvalidInput:
    return InvalidInput(
        f"cross-entropy of outputs {describe(logits)} and targets {describe(targets)}: {why}; give "
        "loss=, a function of (outputs, targets)"
    )
