"""The base class of every method: it decides which weights are connected while a model trains."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import InvalidInput
from suite.seeds import derive_seed
from suite.sparsity.distribution import global_zeros, layer_zeros
from suite.sparsity.layers import (
    PrunableWeight,
    find_prunable,
    mask_gradients,
    mask_weights,
    match_layers,
    restore_held,
)
from suite.sparsity.masks import keep_active, keep_top_global, random_mask
from suite.sparsity.optimizer import keeps_zeros

Report = Callable[[int, str, float | Sequence[float], str | None], None]
"""Receives (step, series, value or values, layer): what a method has to tell of a decision."""


@dataclass(frozen=True)
class Plan:
    """What a method may know of the training it steers.

    Attributes:
        steps: optimizer steps of one round of training.
        sparsity: target share of zeros among the prunable weights, in [0, 1).
        seed: the trial's seed, from which the method derives its own random streams.
        steps_per_epoch: optimizer steps of one pass over the training data; 0 if not known.
        validates: whether `after_validation` will be called.
    """

    steps: int
    sparsity: float
    seed: int
    steps_per_epoch: int
    validates: bool = False


class Sparsifier:
    """Decides which weights of a model are connected while it trains.

    A method overrides a few of: `start`, `observe`, `is_update`, `update`,
    `wants_dense_gradient`, `after_validation`, `end_round`. Constructing one checks the options
    against the plan and needs no model. Steps are counted from 1 within a round.

    Within a step the order is: backward, `after_backward` (observe, update, mask the gradients),
    clip, optimizer step, `after_step`. Connectivity is updated before the optimizer steps, while
    the gradients are still dense; what is grown takes its first step in the step after.

    Attributes:
        rounds: how many times the model is trained from `rewind_step` to the end.
        rewind_step: the step that weights and buffers go back to after each round but the last.
        rounding_bits: further weight precisions at which the record states the accuracy.
    """

    rounds: int = 1
    rewind_step: int = 0
    rounding_bits: tuple[int, ...] = ()

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        self.plan = plan
        self.options = SimpleNamespace(**options)
        self.report: Report = lambda step, series, value, layer: None
        self.layers: list[PrunableWeight] = []
        self._masks_weights = False

    # ------------------------------------------------------------------ what a method overrides

    def start(self) -> None:
        """Choose the masks to begin with; the model has its initial weights."""

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether `observe` or `update` will read dense gradients at `step`."""
        return False

    def observe(self, step: int) -> None:
        """See the dense gradients of a step, unscaled and not yet masked."""

    def is_update(self, step: int) -> bool:
        """Return whether `update` is due at `step`."""
        return False

    def replaces_step(self, step: int) -> bool:
        """Return whether this step's optimizer step is to be left out."""
        return False

    def update(self, step: int) -> None:
        """Decide connectivity anew, through `set_mask`."""

    def after_validation(self, step: int, score: float) -> None:
        """Hear a validation score, in points (per cent of accuracy); higher is better."""

    def end_round(self, number: int) -> None:
        """Choose the masks of the next round; the model holds the weights trained in this one."""

    def extra_state(self) -> dict[str, Any]:
        """Return what a method keeps beside its masks: tensors, numbers, texts, dicts of them."""
        return {}

    def load_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `extra_state` gave."""

    # ------------------------------------------------------------------ what a training loop calls

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Find the prunable weights of `model` and choose the masks to begin with.

        Raises:
            InvalidInput: nothing to prune, or a target that the distribution cannot meet.
        """
        self.layers = list(find_prunable(model, optimizer))
        self._masks_weights = not keeps_zeros(optimizer)
        self.target_total()  # raises where the target cannot be met
        self.start()

    def restart(self, optimizer: torch.optim.Optimizer) -> None:
        """Go on with weights that were replaced from outside and a new optimizer."""
        self._masks_weights = not keeps_zeros(optimizer)
        for layer in self.layers:
            layer.bind(optimizer)

    @torch.no_grad()
    def after_backward(self, step: int) -> bool:
        """Observe the gradients, update connectivity where due, mask the gradients.

        Call it with unscaled gradients, before the optimizer step. Returns True where the
        optimizer step is to be left out.
        """
        self.observe(step)
        if self.is_update(step):
            self.update(step)
        mask_gradients(self.layers)
        return self.replaces_step(step)

    def after_step(self, step: int) -> None:
        """Put back what the optimizer may not change: held weights, zeros under untested ones."""
        if self._masks_weights:
            mask_weights(self.layers)
        restore_held(self.layers)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on in fresh objects, bit by bit.

        As with torch's own state dicts, tensors are the live ones: copy them to keep them.
        """
        masks = {layer.name: layer.mask for layer in self.layers}
        return {"configuration": self._configuration(), "masks": masks, "extra": self.extra_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back a `state_dict`; call it after `attach`, on the same architecture.

        Raises:
            InvalidInput: it was saved under other settings or for other layers.
        """
        saved, here = state["configuration"], self._configuration()
        for name in {**here, **saved}:  # the method first
            if saved.get(name) != here.get(name):
                raise InvalidInput(
                    f"the saved state has {name}={saved.get(name)!r}, this method has "
                    f"{here.get(name)!r}: go on with the settings it was saved under"
                )
        masks = state["masks"]
        if set(masks) != {layer.name for layer in self.layers}:
            raise InvalidInput("the saved masks belong to a model with other layers")
        for layer in self.layers:
            layer.set_mask(masks[layer.name].to(layer.device))
        self.load_extra_state(state["extra"])

    def _configuration(self) -> dict[str, Any]:
        plan = {"sparsity": self.plan.sparsity, "steps": self.plan.steps, "seed": self.plan.seed}
        return {"method": type(self).__name__} | plan | vars(self.options)

    # ------------------------------------------------------------------ targets

    @property
    def is_global(self) -> bool:
        """Whether one exact count holds for the whole network instead of one per layer."""
        return getattr(self.options, "distribution", "erk") == "global"

    @property
    def candidates(self) -> list[PrunableWeight]:
        """The layers that may be pruned: all but those kept dense."""
        dense = self._dense_names()
        return [layer for layer in self.layers if layer.name not in dense]

    def target_zeros(self) -> dict[str, int]:
        """Return how many weights of each layer are zero in the end (per-layer methods)."""
        return layer_zeros(
            {layer.name: layer.shape for layer in self.layers},
            self.plan.sparsity,
            getattr(self.options, "distribution", "erk"),
            dense=self._dense_names(),
            uniform_dense=getattr(self.options, "uniform_dense", "first"),
        )

    def target_total(self) -> int:
        """Return how many weights of the network are zero in the end."""
        if not self.is_global:
            return sum(self.target_zeros().values())
        shapes = {layer.name: layer.shape for layer in self.layers}
        return global_zeros(shapes, self.plan.sparsity, dense=self._dense_names())

    def missed_target(self) -> str:
        """Return what is off the target now, in words; empty where the counts are exact."""
        zeros = {layer.name: layer.size - layer.active for layer in self.layers}
        if self.is_global:
            target = self.target_total()
            found = sum(zeros.values())
            return "" if found == target else f"{found} zeros in all, not {target}"
        wrong = [
            f"{name}: {zeros[name]} zeros, not {target}"
            for name, target in self.target_zeros().items()
            if zeros[name] != target
        ]
        return "; ".join(wrong)

    def _dense_names(self) -> set[str]:
        names = [layer.name for layer in self.layers]
        return match_layers(names, getattr(self.options, "dense_layers", ()))

    # ------------------------------------------------------------------ helpers for methods

    def set_mask(self, layer: PrunableWeight, mask: Tensor, step: int = 0) -> None:
        """Give a layer its new mask and report what changed."""
        before = layer.mask
        grown = int((mask & ~before).sum())
        dropped = grown + layer.active  # and, once the mask is set, minus what is active then
        layer.set_mask(mask)
        self.report(step, "dropped", dropped - layer.active, layer.name)
        self.report(step, "grown", grown, layer.name)
        self.report(step, "density", layer.active / layer.size, layer.name)

    def draw_masks(self) -> None:
        """Give every layer a random mask with its exact count: how sparse training starts."""
        zeros = self.target_zeros()
        for layer in self.layers:
            active = layer.size - zeros[layer.name]
            self.set_mask(layer, random_mask(layer.shape, active, self.generator(layer, "initial")))

    def prune_smallest(self, share: float, step: int) -> None:
        """Prune the smallest |w| until `share` (0 to 1) of the target number of zeros is reached.

        Per layer, or over the whole network for a global distribution. Masks are monotone: a
        pruned weight is 0 and stays pruned, whatever the ties.
        """
        if self.is_global:
            layers = self.candidates
            keep = sum(layer.size for layer in layers) - int(share * self.target_total())
            scores = [layer.values.abs().masked_fill(~layer.mask, -torch.inf) for layer in layers]
            masks = keep_top_global(scores, keep)
        else:
            layers = self.layers
            zeros = self.target_zeros()
            masks = [
                keep_active(
                    layer.mask.flatten(),
                    layer.values.abs().flatten(),
                    layer.size - int(share * zeros[layer.name]),
                ).view(layer.shape)
                for layer in layers
            ]
        for layer, mask in zip(layers, masks, strict=True):
            self.set_mask(layer, mask, step)

    def generator(self, layer: PrunableWeight, purpose: str, step: int = 0) -> torch.Generator:
        """Return a random stream of its own for (seed, layer, purpose, step).

        It is made anew for each use, so there is no generator state to save or to get wrong.
        """
        seed = derive_seed(self.plan.seed, layer.name, purpose, step)
        return torch.Generator(layer.device).manual_seed(seed)

    def step_at(self, share: float) -> int:
        """Return the step at a share of training, rounded down."""
        return math.floor(share * self.plan.steps + 1e-9)
