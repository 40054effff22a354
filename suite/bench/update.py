"""One connectivity update of each method of the registry against one ``torch.topk``."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import on_threads
from suite.bench.turns import ratios
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.dense_weights import DenseWeights
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier

SIDE, BLOCKS, BAR = 3164, 5, 3.0
"""A layer of 10 M weights, whose inputs divide into groups of 4, for N:M patterns."""

STEPS = 200
SPARSITIES = (0.9, 0.8, 0.75, 0.5)
"""Tried in this order until the method accepts one; N:M patterns need their own."""

OFTEN = {"steps": 10, "gradients": 8}
"""By unit: the value of a whole-numbered hyperparameter whose default is larger."""

NO_BAR = {
    "chts": "products of the mask with itself, O(in·out·(in + out))",
    "resonance": "a window of gradients is read: `detector` has its bar",
}
"""Methods, or families of methods, whose update is more than a ranking."""


def run(
    methods: Sequence[str] | None = None, side: int = SIDE, blocks: int = BLOCKS
) -> Iterator[Measurement]:
    """Yield the ratio of every method that updates while a network trains, on `side`² weights.

    Those that choose masks before or after training, or between its rounds, have no figure, nor
    those that need examples. Gradients are random tensors. An update is what a step with one adds:
    `update_connectivity`, and `after_step`, where methods with dense weights choose those that the
    forward pass uses.
    """
    with on_threads(1):
        for method in methods or [method.name for method in registry.methods()]:
            found = _of(method, side, blocks)
            if found is not None:
                yield found


def _of(method: str, side: int, blocks: int) -> Measurement | None:
    declared = registry.methods()[method]
    sparsifier = planned(method) if declared.zeros else None
    due = None if sparsifier is None else _first_update(sparsifier)
    if sparsifier is None or due is None:
        return None
    model = nn.Linear(side, side, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    try:
        sparsifier.attach(model, optimizer)
    except InvalidInput:  # it needs examples
        return None
    for step in range(1, due):  # what the update will read of earlier steps
        _backward(sparsifier, model, step)
    update = functools.partial(_update, sparsifier, model, due)
    scores = torch.randn(side * side).abs()
    dropped = int(0.3 * (1 - sparsifier.plan.sparsity) * len(scores))

    def peer() -> None:
        torch.randn_like(model.weight)  # what the other side spends on its gradient
        torch.topk(scores, dropped)

    why = NO_BAR.get(method, NO_BAR.get(declared.family, ""))
    what = f"update of {method}, {side**2:,} weights at {sparsifier.plan.sparsity:.0%} / torch.topk"
    note = f"1 thread; no bar: {why}" if why else "1 thread"
    return Measurement.of(what, ratios(update, peer, blocks), "×", None if why else Bar(BAR), note)


def planned(method: str) -> Sparsifier | None:
    """Return a method that is not attached and updates often; None if it accepts no sparsity."""
    declared = registry.methods()[method]
    given: dict[str, Any] = {
        one.name: OFTEN[one.unit]
        for one in declared.hyperparameters
        if one.type is int
        and one.unit in OFTEN
        and isinstance(one.default, int)
        and one.default > OFTEN[one.unit]
    }
    if any(one.name == "uniform_dense" for one in declared.hyperparameters):
        given["uniform_dense"] = "none"
    for sparsity in SPARSITIES:
        plan = Plan(steps=STEPS, sparsity=sparsity, seed=0, steps_per_epoch=10, validates=True)
        try:
            return make_sparsifier(declared, plan, declared.resolve(given))
        except InvalidInput:
            continue
    return None


def _first_update(sparsifier: Sparsifier) -> int | None:
    if not sparsifier.is_dynamic:
        return None
    due = next(filter(sparsifier.is_update, range(1, STEPS + 1)), None)
    # Masks that follow dense weights do so at every step, be there an update or not.
    return 1 if due is None and isinstance(sparsifier, DenseWeights) else due


def _backward(sparsifier: Sparsifier, model: nn.Linear, step: int) -> None:
    sparsifier.before_step(step)
    model.weight.grad = torch.randn_like(model.weight)
    sparsifier.read_gradients(step)


def _update(sparsifier: Sparsifier, model: nn.Linear, step: int) -> None:
    _backward(sparsifier, model, step)
    sparsifier.update_connectivity(step)
    sparsifier.after_step(step)
