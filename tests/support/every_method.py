"""What every method is tried with: settings derived from what it declares, and checks of the end.

Nothing here knows a method by name, so a new one is tried without an edit. A method that cannot
run somewhere says so itself (`assert_says_so`).
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.own_loop.handle import Handle
from suite.results.record_check import TRAINING
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.cost_bounds import Zeros
from suite.sparsity.distribution import Shapes
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.target_counts import TargetCounts
from suite.sparsity.training_cost import training_cost
from suite.training.context import TrialContext
from suite.training.cost_setup import cost_setup
from suite.training.network import count_parameters, network_of
from suite.training.outcome import Outcome
from suite.training.verify_record import recompute

METHODS = [method.name for method in registry.methods()]

OFTEN = {"steps": 10, "gradients": 8, "rounds": 10}
"""By unit: the value given to a whole-numbered hyperparameter whose default is larger."""

SPARSITIES = (0.9, 0.8, 0.75, 0.5, 0.36)
"""Tried in this order, until the method can be planned at one; N:M patterns need their own."""
MOST_ROUNDS = 3
"""Sparsities that take more rounds of training than this are not tried."""

POOL_PER_CLASS, CLASSES = 10, 10
"""Digits of each class that methods are given to score connections with."""


def quick_settings(method: str, pool: int | None = None) -> dict[str, Any]:
    """Return hyperparameters under which a method decides often in a short training.

    With `pool`, those that count examples, or examples per class, take this many examples.
    """
    found: dict[str, Any] = {}
    for one in registry.methods()[method].hyperparameters:
        if one.type is not int:
            continue
        often = OFTEN.get(one.unit)
        if often is not None and isinstance(one.default, int) and one.default > often:
            found[one.name] = often
        if one.unit == "examples" and pool is not None:
            found[one.name] = pool // CLASSES if "per_class" in one.name else pool
    return found


def planned(method: str, plan: Plan, options: Mapping[str, Any] | None = None) -> Sparsifier:
    """Return a method that is not attached, at the highest of `SPARSITIES` that it accepts.

    Those above the plan's are not tried.

    Raises:
        AssertionError: it accepts none, or refuses one without saying what it needs.
    """
    declared = registry.methods()[method]
    given = declared.resolve(quick_settings(method) | dict(options or {}))
    allowed = [sparsity for sparsity in SPARSITIES if sparsity <= plan.sparsity]
    for sparsity in (0.0,) if declared.dense else allowed:
        try:
            made = make_sparsifier(declared, replace(plan, sparsity=sparsity), given)
        except InvalidInput as error:
            assert_says_so(error, method)
            continue
        if made.rounds <= MOST_ROUNDS:
            return made
    raise AssertionError(f"{method} can be planned at none of {allowed}")


def case(
    method: str, task: str = "digits/mlp", sparsity: float = SPARSITIES[0], **given: Any
) -> Trial:
    """Return a short trial of a method, at the highest sparsity up to this one it accepts."""
    recipe = ({"epochs": 4} if task == "digits/mlp" else {}) | given.pop("recipe", {})
    settings = {"hyperparameters": quick_settings(method), "recipe": recipe}
    plan = TrialContext.of(Trial.make(task=task, method=method, **settings)).plan
    accepted = planned(method, replace(plan, sparsity=sparsity)).plan.sparsity
    return Trial.make(task=task, method=method, sparsity=accepted, **settings, **given)


def has_masks(method: str) -> bool:
    """Return whether a method leaves masks: it is not dense, nor merely a smaller network."""
    declared = registry.methods()[method]
    return declared.zeros and not declared.dense


def assert_says_so(error: InvalidInput, method: str, layers: tuple[str, ...] = ()) -> None:
    """Check that a refusal is one line that names method, setting or layer, and what to do."""
    text, declared = str(error), registry.methods()[method]
    assert "\n" not in text
    names = [method, declared.title, declared.implementation.rpartition(":")[2]]
    names += [f"{one.name}=" for one in declared.hyperparameters]
    names += [f"layer '{name}'" for name in layers] or ["layer '"]
    assert any(name in text for name in names), f"names neither method nor layer: {text}"
    assert any(mark in text for mark in (": ", "; ")), f"says not what to do: {text}"


def assert_kept(outcome: Outcome) -> None:
    """Check exact counts, zeros outside the masks, and the declared course of training FLOPs."""
    trial, record = outcome.trial, outcome.record
    assert record.status == "done"
    zeros = {layer.name: layer.zeros for layer in record.layers}
    shapes = {layer.name: layer.shape for layer in record.layers}
    sparsifier = TrialContext.of(trial).make_sparsifier()
    if has_masks(trial.method):
        assert sparsifier.off_target(zeros, shapes) == []
        _assert_total(sparsifier, trial.method, zeros, shapes)
    else:
        assert not any(zeros.values())
    for layer in record.layers:
        mask = outcome.tensors.get(f"mask/{layer.name}")
        if mask is None:
            assert layer.zeros == 0
            continue
        assert int((~mask).sum()) == layer.zeros
        weight = outcome.tensors[f"model/{layer.name}.weight"]
        assert not weight[~mask].any()
    found = recompute(record)
    assert found.problems == []
    (training,) = [check for check in found.checks if check.name == TRAINING]
    assert training.how in ("exact", "within bounds")  # the class declares what it costs
    _assert_forecast(outcome, sparsifier)
    losses = [row for row in outcome.curves.rows if row[2] == "train_loss"]
    assert found.steps == TrialContext.of(trial).plan.steps_per_epoch * len(losses)


def _assert_forecast(outcome: Outcome, sparsifier: Sparsifier) -> None:
    """Check that the cost was within the bounds that were known before training."""
    context = TrialContext.of(outcome.trial)
    width = sparsifier.width(functools.partial(count_parameters, context.task, context.dataset))
    network = network_of(outcome.trial.task, width)
    final = Zeros.none(network.shapes)
    if has_masks(outcome.trial.method):
        final = sparsifier.final_zeros(network.shapes)
    setup, paid = (
        cost_setup(network, context.dataset, context.recipe, final),
        outcome.record.flops,
    )
    for entry, (least, most) in (
        ("training", training_cost(sparsifier, setup)),
        ("scoring", sparsifier.scoring_cost(setup)),
        ("method", sparsifier.method_cost(setup)),
    ):
        assert least * (1 - 1e-9) <= paid[entry] <= most * (1 + 1e-9), entry
    assert sparsifier.method_cost(setup).is_exact
    if paid["method"] or not outcome.trial.hyperparameters:  # settings may leave out a product
        assert (paid["method"] > 0) == context.method.own_arithmetic


def _assert_total(
    sparsifier: Sparsifier, method: str, zeros: Mapping[str, int], shapes: Shapes
) -> None:
    """Check for floor(s·N) zeros: of the network, or, under `uniform`, of each sparse layer.

    A constant fan-in has fewer than one zero more for each neuron. A method that has counts of its
    own in another way, or a pattern, is not checked here.
    """
    own = any(
        getattr(type(sparsifier), name) is not getattr(TargetCounts, name)
        for name in ("off_target", "zeros_at", "target_zeros", "target_total")
    )
    constant_fan_in = getattr(registry.methods()[method], "constant_fan_in", False)
    distribution = getattr(sparsifier.options, "distribution", "erk")
    if sparsifier.pattern is not None or distribution == "custom" or (own and not constant_fan_in):
        return
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    exact = {name: _floor(sparsifier.plan.sparsity * size) for name, size in sizes.items()}
    if distribution == "uniform":
        assert all(count in (0, exact[name]) for name, count in zeros.items())
        return
    more = sum(zeros.values()) - _floor(sparsifier.plan.sparsity * sum(sizes.values()))
    if constant_fan_in:
        assert 0 <= more < sum(shape[0] for shape in shapes.values())
    else:
        assert more == 0


def _floor(product: float) -> int:
    """Return the floor of s·N, of which rounding may leave 89.999999 for 90."""
    return math.floor(round(product, 6))


def assert_zero_state(handle: Handle) -> None:
    """Check counts, and that weights and optimizer state outside the masks are 0."""
    sparsifier = handle.sparsifier
    assert sparsifier.sparsity_errors() == ""
    for layer in sparsifier.layers:
        assert not layer.values[~layer.mask].any(), layer.name
        for optimizer in sparsifier.optimizers:
            for name, value in optimizer.state.get(layer.parameter, {}).items():
                if isinstance(value, torch.Tensor) and value.shape == layer.mask.shape:
                    assert not value[~layer.mask].any(), f"{layer.name}: {name}"
    zeros = {layer.name: layer.size - layer.active for layer in sparsifier.layers}
    if has_masks(handle.method):
        _assert_total(sparsifier, handle.method, zeros, sparsifier.shapes)


def train_in_rounds(handle: Handle, take_step: Callable[[int], None], stop: int = 0) -> bool:
    """Train every round that is left; False if `stop` steps (0: no limit) were taken before.

    `take_step` is given the number of the step, from 1 in each round.
    """
    taken = 0
    for _ in handle.rounds():
        while handle.step < handle.steps:
            if stop and taken == stop:
                return False
            take_step(handle.step + 1)
            taken += 1
    return True
