"""What the callbacks for other frameworks share: arguments kept until training starts, scores."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import nn

import suite
from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.own_loop.handle import Handle
from suite.sparsity.layers import nonzero_outside_mask


class Unit(StrEnum):
    """What a validation score is measured in."""

    FRACTION = "fraction"
    """Of 1."""
    POINTS = "points"
    """Per cent."""


@dataclass(frozen=True)
class Deferred:
    """A call of `suite.sparsify` that is made once the model and its optimizers exist.

    Attributes:
        method: its name.
        steps: how many optimizer steps there will be; None leaves it to the trainer.
        steps_per_epoch: None leaves it to the trainer as well.
        arguments: the other arguments of `suite.sparsify`, hyperparameters included.

    Raises:
        InvalidInput: one of the arguments is for the callback to give.
    """

    method: str
    steps: int | None = None
    steps_per_epoch: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("model", "optimizer", "state"):
            if name in self.arguments:
                raise InvalidInput(
                    f"{name}= is not for the callback: it takes model, optimizers and saved state "
                    "from the trainer when training starts"
                )

    def attach(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        planned: "Planned",
        saved: Mapping[str, Any] | None,
    ) -> Handle:
        """Call `suite.sparsify`; `saved` is a handle's state, or None for a new training.

        The method is scheduled for the number of steps given, else saved, else planned by the
        trainer.

        Raises:
            InvalidInput: an argument cannot be used, or the number of steps is not known.
        """
        steps = self.steps
        if steps is None and saved is not None:
            steps = saved["sparsifier"]["configuration"]["steps"]
            if planned.steps is not None and planned.steps != steps:
                warnings.warn(
                    f"the saved state is of a training of {steps} steps, this trainer plans "
                    f"{planned.steps}: the method stays scheduled for {steps}; to reschedule it, "
                    "call handle.extend(steps=…)",
                    SparsityWarning,
                    stacklevel=2,
                )
        if steps is None:
            steps = planned.steps
        if steps is None:
            raise InvalidInput(
                "the trainer does not know how many optimizer steps there will be: give "
                "SparsifyCallback(steps=…)"
            )
        per_epoch = self.steps_per_epoch
        handle = suite.sparsify(
            model,
            optimizers[0] if len(optimizers) == 1 else list(optimizers),
            self.method,
            steps=steps,
            steps_per_epoch=planned.steps_per_epoch if per_epoch is None else per_epoch,
            state=saved,
            **self.arguments,
        )
        if handle.sparsifier.rounds > 1:
            rounds = handle.sparsifier.rounds
            handle.detach()
            raise InvalidInput(
                f"{self.method} trains {rounds} times from the start, which a callback cannot "
                "make a trainer do: use `for _ in handle.rounds():` in a loop of your own"
            )
        return handle


@dataclass(frozen=True)
class Planned:
    """What a trainer knows of the training ahead; None where it does not.

    Attributes:
        steps: optimizer steps in all.
        steps_per_epoch: optimizer steps of one pass over the training data.
    """

    steps: int | None
    steps_per_epoch: int | None


def checked_unit(unit: str) -> Unit:
    """Return the unit of this name.

    Raises:
        InvalidInput: there is none.
    """
    if unit in list(Unit):
        return Unit(unit)
    raise InvalidInput(f"unit={unit!r} is not known: give 'fraction' (of 1) or 'points' (per cent)")


def in_points(name: str, value: Any, unit: Unit) -> float:
    """Return a validation score in points (per cent).

    Raises:
        InvalidInput: it is no fraction although the unit says so.
        TrialFailed: it is not finite.
    """
    score = float(value)
    if not math.isfinite(score):
        raise TrialFailed(f"{name}={score}: the validation score is not finite")
    if unit is Unit.POINTS:
        return score
    if not 0 <= score <= 1:
        raise InvalidInput(
            f"{name}={score:g} is no fraction of 1: give unit='points' if it is in per cent, and a "
            "score for which higher is better"
        )
    return 100.0 * score


def check_sparse(handle: Handle) -> None:
    """Check after training that the weights which the masks exclude are 0.

    Raises:
        TrialFailed: some are not: another callback has replaced the weights, for instance.
    """
    if dense := nonzero_outside_mask(handle.sparsifier.layers):
        raise TrialFailed(
            f"after training, {dense[0]}: something has written other weights into the model (an "
            "average of weights?); use handle.average() for averages"
        )
