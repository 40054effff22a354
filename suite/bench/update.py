"""One connectivity update of each method of the registry against one ``torch.topk``."""

import functools

import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.dense_weights import DenseWeights
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from tests.bench.measure import ratios, report
from tests.support.every_method import planned

SIDE, BLOCKS, BAR = 3164, 5, 3.0
"""A layer of 10 M weights, whose inputs divide into groups of 4, for N:M patterns."""
PLAN = Plan(steps=200, sparsity=0.9, seed=0, steps_per_epoch=10, validates=True)

NO_BAR = {
    "chts": "products of the mask with itself, O(in·out·(in + out))",
    "resonance": "a window of gradients is read: `detector` has its bar",
}
"""Methods, or families of methods, whose update is more than a ranking."""


def run() -> bool:
    """Print the ratio of every method that updates, on ten million weights; or why there is none.

    Gradients are random tensors. An update is what a step with one adds: `update_connectivity`,
    and `after_step`, where methods with dense weights choose those that the forward pass uses.
    """
    torch.set_num_threads(1)
    met = [_of(method.name) for method in registry.methods()]
    return all(met)


def _of(method: str) -> bool:
    if not registry.methods()[method].zeros:
        return _skip(method, "it leaves no zeros")
    declared = {one.name for one in registry.methods()[method].hyperparameters}
    options = {"uniform_dense": "none"} if "uniform_dense" in declared else {}
    sparsifier = planned(method, PLAN, options)
    due = _first_update(sparsifier)
    if due is None:
        return _skip(method, f"its masks are chosen {_when(sparsifier)}")
    model = nn.Linear(SIDE, SIDE, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    try:
        sparsifier.attach(model, optimizer)
    except InvalidInput as error:
        return _skip(method, str(error))
    for step in range(1, due):  # what the update will read of earlier steps
        _backward(sparsifier, model, step)
    update = functools.partial(_update, sparsifier, model, due)
    scores = torch.randn(SIDE * SIDE).abs()
    dropped = int(0.3 * (1 - sparsifier.plan.sparsity) * len(scores))

    def peer() -> None:
        torch.randn_like(model.weight)  # what the other side spends on its gradient
        torch.topk(scores, dropped)

    what = f"update of {method}, 10 M weights at {sparsifier.plan.sparsity:.0%} / torch.topk"
    if why := NO_BAR.get(method, NO_BAR.get(registry.methods()[method].family)):
        print(f"{method}: no bar, {why}")
    return report(what, ratios(update, peer, BLOCKS), None if why else BAR)


def _first_update(sparsifier: Sparsifier) -> int | None:
    if not sparsifier.is_dynamic:
        return None
    due = next(filter(sparsifier.is_update, range(1, PLAN.steps + 1)), None)
    # Masks that follow dense weights do so at every step, be there an update or not.
    return 1 if due is None and isinstance(sparsifier, DenseWeights) else due


def _when(sparsifier: Sparsifier) -> str:
    if sparsifier.rounds > 1:
        return "between rounds of training"
    finishes = type(sparsifier).finish is not Sparsifier.finish
    return "once, after training" if finishes else "before training"


def _backward(sparsifier: Sparsifier, model: nn.Linear, step: int) -> None:
    sparsifier.before_step(step)
    model.weight.grad = torch.randn_like(model.weight)
    sparsifier.read_gradients(step)


def _update(sparsifier: Sparsifier, model: nn.Linear, step: int) -> None:
    _backward(sparsifier, model, step)
    sparsifier.update_connectivity(step)
    sparsifier.after_step(step)


def _skip(method: str, why: str) -> bool:
    print(f"{'update of ' + method:<58} none: {why}", flush=True)
    return True
