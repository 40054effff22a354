"""A method in a custom training loop, driven by the optimizer's hooks."""

import os
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.discovery import load
from suite.core.errors import InvalidInput, TrialFailed
from suite.experiments import registry
from suite.sparsity.layers import count_zeros, nonzero_outside_mask
from suite.sparsity.modules import unwrap
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import find_prunable
from suite.sparsity.rounds import TrainingProgress
from suite.sparsity.scoring import Examples, Loss, averaged
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution


def attach(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    method: str,
    sparsity: float,
    steps: int,
    seed: int,
    steps_per_epoch: int | None,
    examples: tuple[Tensor, Tensor] | None,
    loss: Loss,
    hyperparameters: Mapping[str, Any],
    execution: str = "masked",
) -> "Handle":
    """Attach a method to `model` and `optimizer`; arguments as for `suite.sparsify`."""
    registry.use_plugins(os.environ.get("RESONANCE_PLUGINS", "").split())
    declared = registry.methods()[method]
    _check_numbers(sparsity, steps, seed, steps_per_epoch)
    plan = Plan(
        steps=steps,
        sparsity=0.0 if declared.dense else sparsity,
        seed=seed,
        steps_per_epoch=steps_per_epoch or 0,
        validates=True,
    )
    options = declared.resolve(hyperparameters)
    if options.get("replace_step"):
        raise InvalidInput(
            "replace_step=true: an optimizer's step cannot be skipped from its own hooks; leave "
            "it off, or train with `resonance run`"
        )
    storage = Execution(execution)
    sparsifier: Sparsifier = load(declared.implementation, declared.origin)(plan, options)
    if type(sparsifier).width is not Sparsifier.width:
        raise InvalidInput(
            f"{method} trains a narrower model, which cannot be built from yours: build it "
            "yourself, or train with `resonance run`"
        )
    if any(sparsifier.reinitializes(number) for number in range(1, sparsifier.rounds)):
        raise InvalidInput(
            f"{method} with these options draws new initial weights, which needs the function that "
            "builds the model: train with `resonance run`"
        )
    pool = None if examples is None else Examples(*examples, loss, seed)
    return Handle(sparsifier, model, optimizer, pool, storage)


def _check_numbers(sparsity: Any, steps: Any, seed: Any, steps_per_epoch: Any) -> None:
    """Check that these are numbers of the right kind."""
    if not isinstance(sparsity, Real) or not 0 <= float(sparsity) < 1:
        raise InvalidInput(f"sparsity={sparsity!r} is not usable: give a number in [0, 1)")
    if not _is_whole(steps) or steps < 1:
        raise InvalidInput(f"steps={steps!r} is not usable: give the number of optimizer steps")
    if not _is_whole(seed):
        raise InvalidInput(f"seed={seed!r} is not usable: give a whole number")
    if steps_per_epoch is not None and (not _is_whole(steps_per_epoch) or steps_per_epoch < 0):
        raise InvalidInput(
            f"steps_per_epoch={steps_per_epoch!r} is not usable: give the number of optimizer "
            "steps in an epoch"
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


class Handle:
    """A method at work in a custom training loop.

    It counts the optimizer's steps. Gradients are read as ``optimizer.step()`` finds them:
    accumulated over micro-batches, reduced across replicas, unscaled by a GradScaler; a step that
    the scaler skips is not counted.

    ``optimizer.step()`` raises `TrialFailed` where an update finds weights or gradients that are
    not finite, and after the last step where weights outside the masks are not 0, or NaN.
    """

    def __init__(
        self,
        sparsifier: Sparsifier,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        examples: Examples | None = None,
        storage: Execution | None = None,
    ) -> None:
        self.sparsifier = sparsifier
        self.model = model
        self.optimizer = optimizer
        self._progress = TrainingProgress()
        self._in_rounds = False
        _check_optimizer(model, optimizer)
        sparsifier.attach(model, optimizer, examples=examples, storage=storage)
        sparsifier.before_step(1)
        self._progress.advance_to(0, sparsifier, model)
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def step(self) -> int:
        """The optimizer's last step in the current round, counted from 1; 0 before the first."""
        return self._progress.step

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that are outside the masks and 0 now."""
        size = sum(layer.size for layer in self.sparsifier.layers)
        return sum(count_zeros(layer) for layer in self.sparsifier.layers) / size

    def masks(self) -> dict[str, Tensor]:
        """Return the boolean mask of every prunable weight, by layer name."""
        return {layer.name: layer.mask for layer in self.sparsifier.layers}

    def validated(self, score: float) -> None:
        """Give the method a validation score in points (per cent of accuracy); higher is better.

        Under data-parallel training every replica calls it, and the mean counts.
        """
        mean = averaged({"score": torch.tensor(score, dtype=torch.float64)})["score"]
        self.sparsifier.after_validation(self.step, float(mean))

    def rounds(self) -> Iterator[int]:
        """Yield once per round of training: once for most methods, often for lottery tickets.

        Put the whole training into the body of a ``for``. Between two rounds the method prunes,
        weights and buffers are rewound, and the optimizer's state is cleared; the loop must reset
        the learning rate itself. A round starts after step `step`: the rewind step, or the last
        step done if the training was loaded by `load_state_dict`.
        """
        self._in_rounds = True
        yield self._progress.round
        while self._progress.round + 1 < self.sparsifier.rounds:
            self._progress.next_round(self.sparsifier, self.model)
            self.optimizer.state.clear()
            self.sparsifier.restart(self.optimizer)
            self.sparsifier.before_step(self.step + 1)
            yield self._progress.round

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume, beside the model's and the optimizer's own state."""
        return {
            "step": self._progress.step,
            "round": self._progress.round,
            "rewind": self._progress.rewind_weights,
            "sparsifier": self.sparsifier.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`, after the model's and the optimizer's were loaded."""
        self._progress = TrainingProgress(state["round"], state["step"], dict(state["rewind"]))
        self.sparsifier.load_state_dict(state["sparsifier"])
        self.sparsifier.before_step(self.step + 1)

    def detach(self) -> None:
        """Detach from the optimizer: weights keep their values and are no longer masked.

        Sparse (CSR) layers become ordinary Linear layers again, with dense weights.
        """
        self.sparsifier.execution.release()
        for hook in self._hooks:
            hook.remove()

    def _before_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(given is not None for given in (*args[1:], *kwargs.values())):
            raise InvalidInput(
                f"{type(optimizer).__name__}.step was given a closure, which computes gradients "
                "after they would be masked; call backward() before step()"
            )
        if getattr(optimizer, "found_inf", None) is not None:
            raise InvalidInput(
                f"a fused {type(optimizer).__name__} unscales gradients, and skips steps, "
                "inside its step, where a hook sees neither; build it with fused=False"
            )
        self._progress.begin_step()
        plan, rounds = self.sparsifier.plan, self.sparsifier.rounds
        if self.step > plan.steps and rounds > 1 and not self._in_rounds:
            raise InvalidInput(
                f"this method trains in {rounds} rounds of {plan.steps} steps: put the training "
                "into `for _ in sparsifier.rounds():`"
            )
        self.sparsifier.after_backward(self.step)

    def _after_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.sparsifier.after_step(self.step)
        if self.step == self.sparsifier.plan.steps and (
            dense := nonzero_outside_mask(self.sparsifier.layers)
        ):
            raise TrialFailed(f"after the last step, {self.step}, {dense[0]}")
        self.sparsifier.before_step(self.step + 1)
        self._progress.advance_to(self.step, self.sparsifier, self.model)


def _check_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for weight in find_prunable(unwrap(model)):
        if id(weight.parameter) not in trained:
            raise InvalidInput(
                f"layer '{weight.name}': its weight is not among the optimizer's parameters; give "
                "the optimizer that trains it, or freeze it with requires_grad_(False)"
            )
