"""The base class of every method: it decides which weights are connected while a model trains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.core.hyperparameters import ADDED_LATER
from suite.core.seeds import derive_seed
from suite.sparsity.candidates import Candidates
from suite.sparsity.cost_bounds import Course, FlopsBounds, TrainingSetup
from suite.sparsity.layer_masks import LayerMasks
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import unwrap
from suite.sparsity.nonfinite import name_nonfinite_layer
from suite.sparsity.plan import CostAccount, Plan, Recorder
from suite.sparsity.prunable import LINEAR_AND_CONV, Coverage, find_prunable
from suite.sparsity.scoring import Examples, Probe
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import MaskedWeight, optimizer_of

NO_UPDATE = "no update falls into these"
NO_MOVE = "no update of these"
"""How the two reasons begin why a training is not one of its method."""
"""How a method's note begins that says so."""


class Sparsifier(LayerMasks):
    """Decides which weights of a model are connected while it trains.

    A method overrides a few of: `start`, `observe`, `is_update`, `update`,
    `wants_dense_gradient`, `after_validation`, `end_round`, `finish`. Constructing one checks the
    options against the plan and needs no model. Steps are counted from 1 within a round.

    Within a step the order is: `before_step`, backward, `read_gradients` (observe, mask the
    gradients), clip, `update_connectivity`, optimizer step, `after_step`. So the gradient that is
    clipped is that of the weights there are, and a method sees dense gradients unclipped. A grown
    weight takes its first step in the next one.

    Attributes:
        rounds: how many times the model is trained from `rewind_step` to the end.
        rewind_step: the step that weights and buffers go back to after each round but the last.
        rounding_bits: further weight precisions at which the record states the accuracy.
        only_masked: why this method cannot run in CSR; empty if it can.
        adjusts_weights_at_end: whether `finish` gives the weights that stay other values, which
            make up for those that it prunes; an average of the steps before would lack them.
        update_reads_dense_gradients: whether `update` reads dense gradients, where the method wants
            any in that step; False if only `observe` does, which saves their copy.
        layers: the prunable weights in network order; empty before `attach`.
        optimizers: those that train the model, from `attach` on.
        execution: how the weights are stored, from `attach` on.
    """

    rounds: int = 1
    rewind_step: int = 0
    rounding_bits: tuple[int, ...] = ()
    only_masked: str = ""
    adjusts_weights_at_end: bool = False
    update_reads_dense_gradients: bool = True

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.execution = Execution()
        self.optimizers: tuple[torch.optim.Optimizer, ...] = ()
        self._model: nn.Module | None = None
        self._examples: Examples | None = None

    # ------------------------------------------------------------------ what a method overrides

    def width(self, parameters: Callable[[float], tuple[int, int]]) -> float:
        """Return the factor on the widths of the model to be built; 1 leaves it as it is.

        `parameters` returns the number of parameters, and of prunable ones, of the model at a
        width.
        """
        return 1.0

    def reinitializes(self, number: int) -> bool:
        """Return whether round `number` (from 0) starts from newly drawn weights.

        They take the place of those that the masks of round 0 were chosen on, or of rewound ones.
        """
        return False

    def start(self) -> None:
        """Choose the initial masks; the model has its initial weights."""

    def resume(self) -> None:
        """Prepare to continue from masks and a state that are loaded next, by default with `start`.

        `set_mask` has no effect meanwhile. A method whose `start` needs examples overrides this.
        """
        self.start()

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks, by layer name, in place of `start`.

        A method that can overrides this, with `keep_counts_of` or `prune_on_from`; InvalidInput
        by default.
        """
        raise InvalidInput(
            f"masks: {type(self).__name__} chooses its first masks itself; those that draw them "
            "at random (static, set, rigl, …) or prune by magnitude can start from given ones"
        )

    def raise_sparsity(self, step: int) -> None:
        """Continue after `step` towards a target that was raised (`continue_as`).

        A method that can overrides this, with `keep_pruned`; it prunes now if no update will.
        InvalidInput by default.
        """
        raise InvalidInput(
            f"extend(sparsity=…): {type(self).__name__} cannot raise its sparsity midway: leave "
            "sparsity out, or use a method that can, such as rigl or magnitude"
        )

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether `observe` or `update` reads dense gradients at `step`."""
        return False

    def observe(self, step: int) -> None:
        """Read the dense gradients of a step, unscaled and not yet masked."""

    def is_update(self, step: int) -> bool:
        """Return whether `update` is due at `step`."""
        return False

    def replaces_step(self, step: int) -> bool:
        """Return whether this step's optimizer step is skipped."""
        return False

    def update(self, step: int) -> None:
        """Update the connectivity, through `set_mask`."""

    def after_validation(self, step: int, score: float) -> None:
        """Take a validation score, in points (per cent of accuracy); higher is better."""

    def end_round(self, number: int) -> None:
        """Choose the masks of the next round; the model holds the weights trained in this one."""

    def finish(self) -> None:
        """Take the last decisions, after the last step and before the network is evaluated.

        Called once, in the last round, with the weights as they were trained.
        """

    def metrics(self) -> dict[str, float]:
        """Return what the method adds to a record's metrics, by name; called after `finish`."""
        rate = self._exploration.rate({layer.name: layer.size for layer in self.layers})
        return {} if rate is None else {"exploration_rate": rate}

    def method_state(self) -> dict[str, Any]:
        """Return a method's state beside its masks: tensors, numbers, texts, dicts of them."""
        return {}

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""

    def effective_options(self) -> Mapping[str, object]:
        """Return option → its effect in this training, equal for values that have the same effect.

        Options that are not in it take effect as given.
        """
        return {}

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return which zeros the masks may have during round `number` (from 0) of a training.

        Called without a model, to compute what a training costs: a finished one, of which
        `setup.final` holds the exact zeros, or one to come, of which it holds what the targets say
        (`final_zeros`). A class that changes when or how much is pruned declares it again: it is
        not inherited (`declares_cost`).
        """
        raise NotImplementedError

    def scoring_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return what the method charges for scoring beside its steps (`charge`), in FLOPs."""
        return FlopsBounds(0.0, 0.0)

    def method_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return what the method charges for its own arithmetic (`charge_method`), in FLOPs."""
        return FlopsBounds(0.0, 0.0)

    # ------------------------------------------------------------------ what a training loop calls

    def attach(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        *,
        examples: Examples | None = None,
        recorder: Recorder | None = None,
        flops: CostAccount | None = None,
        storage: Execution | None = None,
        masks: Mapping[str, Tensor] | None = None,
        resume: bool = False,
        coverage: Coverage = LINEAR_AND_CONV,
        redraw: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Find the prunable weights of `model` and choose the initial masks.

        Args:
            model: the model to train.
            optimizer: the optimizer that trains it, or several that train parts of it.
            examples: needed by methods that score connections before training.
            recorder: receives what the method reports of its decisions.
            flops: is charged for scoring passes and for the method's own arithmetic.
            storage: how weights are stored; masked if left out.
            masks: by layer name, to start from in place of the method's own.
            resume: `load_state_dict` follows: no masks are chosen that need examples.
            coverage: which weights are prunable.
            redraw: returns newly drawn initial weights, for a method that does not train those that
                it chooses its first masks on (`reinitializes`).

        Raises:
            InvalidInput: nothing to prune, a target that the distribution cannot meet, no
                examples where the method needs them, an execution that is not possible, or a
                layer that has another method.
            TrialFailed: weights or gradients that are not finite cannot be ranked.
        """
        self._recorder, self._flops = recorder, flops
        self.execution = storage or self.execution
        self._model, self._examples = unwrap(model), examples
        self.optimizers = _as_tuple(optimizer)
        found = find_prunable(self._model, coverage)
        weights = [
            MaskedWeight(
                prunable,
                optimizer_of(prunable.parameter, self.optimizers) or self.optimizers[0],
            )
            for prunable in found
        ]
        self.layers = self.execution.wrap(model, self.optimizers, weights, self.only_masked)
        self.target_total()  # raises where the target cannot be met
        with name_nonfinite_layer(self.layers, 0, examples):
            if resume:
                self._resume()
            elif masks is not None:
                self.start_from(masks)
            else:
                self.start()
        if self.reinitializes(0) and not resume:
            assert redraw is not None
            self._model.load_state_dict(redraw())
            self.restart(self.optimizers)
        self.execution.switch_storage(self._is_finished)
        self.execution.claim_layers()

    def restart(self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]) -> None:
        """Continue with new optimizers, or with weights that the caller has replaced."""
        self.optimizers = _as_tuple(optimizer)
        for layer in self.layers:
            layer.bind(self.optimizers)
        self.execution.switch_storage(self._is_finished)  # masks may have changed between rounds

    def continue_as(self, plan: Plan, options: Mapping[str, Any], step: int) -> "Sparsifier":
        """Return this method under another plan, attached to the same layers.

        Masks and the method's state are carried over; this object is not to be used any more. A
        plan of fewer steps must leave room for what is still to be pruned (`next_update`).

        Args:
            plan: with at least `step` steps and at least the sparsity of this plan.
            options: of the method.
            step: the last step done.

        Raises:
            InvalidInput: the method cannot raise its sparsity, or a new target cannot be met.
        """
        new = type(self)(plan, options)
        new._flops = self._flops
        new.execution, new.layers = self.execution, self.layers
        new._model, new._examples = self._model, self._examples
        new.optimizers, new._exploration = self.optimizers, self._exploration
        if plan.sparsity == self.plan.sparsity:
            new.hold_zeros(self.held_zeros)
        explored = self._exploration.state()
        new._resume()
        new.load_method_state(self.method_state())
        new._exploration.load(explored)  # a method may have set the masks that there are anew
        new._recorder = self._recorder  # only now, for the same reason
        if plan.sparsity > self.plan.sparsity:
            with name_nonfinite_layer(self.layers, step):
                new.raise_sparsity(step)
        return new

    def _resume(self) -> None:
        self._is_resuming = True
        self.resume()
        self._is_resuming = False

    def before_step(self, step: int) -> None:
        """Prepare for the backward pass of `step`: whether dense gradients will be read.

        Without this call sparse layers save the inputs of dense gradients at every step.
        """
        self.execution.prepare_backward(self.wants_dense_gradient(step))

    def after_backward(self, step: int) -> bool:
        """`read_gradients` and `update_connectivity`, for loops in which nothing comes between."""
        self.read_gradients(step)
        return self.update_connectivity(step)

    def read_gradients(self, step: int) -> None:
        """Observe the gradients and mask them; call it with unscaled gradients, before clipping.

        Raises:
            InvalidInput: weights were loaded since that are not as sparse as the masks.
        """
        self.execution.check_loaded()
        if type(self).observe is not Sparsifier.observe:
            with torch.no_grad():
                self.observe(step)
        is_update = self.is_update(step)
        if is_update and self.wants_dense_gradient(step):
            if self.update_reads_dense_gradients:
                self.execution.keep_dense_gradients()
            else:
                self.execution.withhold_dense_gradients()
        self.execution.mask_gradients(before_update=is_update)

    def update_connectivity(self, step: int) -> bool:
        """Update connectivity where due; call it before the optimizer step.

        Returns True where the optimizer step is to be skipped.

        Raises:
            TrialFailed: weights or gradients that are not finite cannot be ranked.
        """
        if self.is_update(step):
            with torch.no_grad(), name_nonfinite_layer(self.layers, step):
                self.update(step)
            self.execution.drop_dense_gradients()
            self.execution.switch_storage(self._is_finished)
            self.execution.mask_gradients()
        return self.replaces_step(step)

    def after_step(self, step: int) -> None:
        """Restore frozen weights, and zeros that an optimizer may have moved (`keeps_zeros`)."""
        self.execution.mask_moved()
        self.execution.restore_frozen()

    def end_training(self) -> None:
        """Let the method take its last decisions (`finish`); call it after the last step.

        Raises:
            TrialFailed: weights that are not finite cannot be ranked.
        """
        with torch.no_grad(), name_nonfinite_layer(self.layers, self.plan.steps):
            self.finish()
        self.execution.switch_storage(self._is_finished)

    def notes(self) -> list[str]:
        """Return notes for the record on how the method worked out in this training."""
        return []

    def surprises(self) -> list[str]:
        """Return the notes that a custom loop is warned of, when attached and at the end."""
        return self.notes()

    @property
    def declares_cost(self) -> bool:
        """Whether the class itself says what zeros its masks may have (`zeros_in_training`)."""
        return "zeros_in_training" in vars(type(self))

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all rounds; a round after the first begins at `rewind_step`."""
        return self.rounds * self.plan.steps - (self.rounds - 1) * self.rewind_step

    @property
    def is_dynamic(self) -> bool:
        """Whether the method updates connectivity while the network trains."""
        return type(self).update is not Sparsifier.update

    @property
    def growth_candidates(self) -> Candidates:
        """Whose gradients growth looks at, where it reads dense ones."""
        return Candidates(getattr(self.options, "candidate_ratio", 0.0))

    @property
    def attached_model(self) -> nn.Module:
        """The model, without its wrappers; there from `attach` on."""
        assert self._model is not None
        return self._model

    def module_of(self, layer: PrunableWeight) -> nn.Module:
        """Return the module that holds a layer's weight; call it once attached."""
        return self.attached_model.get_submodule(layer.path.rpartition(".")[0])

    def is_idle(self) -> bool:
        """Return whether this method updates connectivity, but at no step of this training."""
        if not self.is_dynamic:
            return False
        return not any(map(self.is_update, range(1, self.plan.steps + 1)))

    def idle_reason(self) -> str:
        """Return why this method, if it is idle, updates no connectivity; empty if it is not."""
        if not self.is_idle():
            return ""
        said = (note for note in self.notes() if note.startswith(NO_UPDATE))
        return next(said, f"{NO_UPDATE} {self.plan.steps} steps: the first masks stay")

    def unchanged_reason(self, *, moved: bool) -> str:
        """Return why a training, which is over, is not one of this method; empty if it is.

        A method that updates connectivity had no update in it, or none that moved a connection:
        where a drop fraction of few active weights is less than one, for instance. A network of
        sparsity 0 has none to move.

        Args:
            moved: whether any connection was dropped or grown after the first masks.
        """
        if reason := self.idle_reason():
            return reason
        updates = type(self).update is not Sparsifier.update
        if moved or not updates or all(w.active == w.size for w in self.layers):
            return ""
        return (
            f"{NO_MOVE} {self.plan.steps} steps moved a connection: the first masks stay; train "
            "for more steps, or change more weights at an update"
        )

    def next_update(self, step: int) -> int | None:
        """Return the first step after `step` at which `update` is due; None if there is none."""
        return next(filter(self.is_update, range(step + 1, self.plan.steps + 1)), None)

    def last_update(self) -> int:
        """Return the last step at which `update` is due; 0 if there is none."""
        return next(filter(self.is_update, range(self.plan.steps, 0, -1)), 0)

    def keeps_masks(self, step: int) -> bool:
        """Return whether the masks that there are after `step` stay until training is over."""
        return self.next_update(step) is None

    @property
    def is_fixed(self) -> bool:
        """Whether masks stay, and no dense gradients are read, whatever plan follows."""
        return not self.is_dynamic

    @property
    def has_final_zeros(self) -> bool:
        """Whether every layer, or the network, has as many zeros as it will have at the end."""
        return all(map(self._is_finished, self.layers))

    def options_in_steps(self) -> Mapping[str, Any]:
        """Return the options with which a training goes on under another number of steps.

        What ``auto`` has chosen in steps, and counts on from there, stays as it is.
        """
        return vars(self.options)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to resume in new objects, bit for bit.

        As with torch's own state dicts, tensors are the live ones: copy them to keep them.
        """
        masks = {layer.name: layer.mask for layer in self.layers}
        state = {"configuration": self._configuration(), "masks": masks} | self.execution.state()
        state["exploration"] = self._exploration.state()
        if self.held_zeros is not None:
            state["given_zeros"] = dict(self.held_zeros)
        return state | {"extra": self.method_state()}

    def check_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that `load_state_dict` can restore a state.

        Raises:
            InvalidInput: it was saved under other settings or for other layers.
        """
        saved, own = dict(state["configuration"]), self._configuration()
        for name, value in ADDED_LATER.items():
            if name in own:
                saved.setdefault(name, value)
        saved.setdefault("steps_per_epoch", own.get("steps_per_epoch"))
        for name in {**own, **saved}:  # the method first
            if saved.get(name) != own.get(name):
                raise InvalidInput(
                    f"the saved state has {name}={saved.get(name)!r}, this method has "
                    f"{own.get(name)!r}: resume with the settings it was saved under"
                )
        masks = state["masks"]
        if {name: mask.shape for name, mask in masks.items()} != self.shapes:
            raise InvalidInput(
                "the saved masks belong to a model with other layers: they are of "
                f"{', '.join(masks)}, this model has {', '.join(self.shapes)}; a layer that was "
                "frozen midway is frozen after sparsify"
            )
        self.execution.check_state(state.get("sparse", {}))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`; call it after `attach`, on the same architecture.

        Raises:
            InvalidInput: it was saved under other settings or for other layers.
        """
        self.check_state_dict(state)
        masks = state["masks"]
        self.execution.load(masks, state.get("sparse", {}))
        self.hold_zeros(state.get("given_zeros"))
        try:
            self.load_method_state(state["extra"])
        except KeyError as error:
            raise InvalidInput(
                f"the saved state of {type(self).__name__} has no {error}: method_state must "
                "return all that load_method_state reads"
            ) from error
        if "exploration" in state:  # older states lack it
            self._exploration.load(state["exploration"])  # last: the method may have set masks

    def _configuration(self) -> dict[str, Any]:
        plan = {"sparsity": self.plan.sparsity, "steps": self.plan.steps, "seed": self.plan.seed}
        if "epoch" in vars(self.options).values():  # updates once an epoch
            plan["steps_per_epoch"] = self.plan.steps_per_epoch
        return {"method": type(self).__name__} | plan | vars(self.options)

    # ------------------------------------------------------------------ helpers for methods

    @property
    def examples(self) -> Examples:
        """Training examples to score connections with.

        Raises:
            InvalidInput: none were given.
        """
        if self._examples is None:
            raise InvalidInput(
                f"{type(self).__name__} scores connections with training examples: give "
                "it some, sparsify(..., examples=(x, y))"
            )
        return self._examples

    def probe(self, dtype: torch.dtype | None = None) -> Probe:
        """Return a copy of the model to differentiate; call it from `start`."""
        seed = derive_seed(self.plan.seed, "probe")
        first = next(self.attached_model.parameters())
        return Probe(self.attached_model, self.layers, seed, dtype or first.dtype)


def _as_tuple(
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
) -> tuple[torch.optim.Optimizer, ...]:
    """Return one optimizer, or several, as a tuple."""
    return (optimizer,) if isinstance(optimizer, torch.optim.Optimizer) else tuple(optimizer)
