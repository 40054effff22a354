"""One connectivity update of a dynamic method against one ``torch.topk``."""

import torch
from torch import nn

from suite.core.discovery import load
from suite.experiments import registry
from suite.sparsity.plan import Plan
from tests.bench.measure import ratios, report

SIDE, BLOCKS = 3163, 5


def run() -> bool:
    """Print the ratio for each method on ten million weights at 90 % sparsity."""
    torch.set_num_threads(1)
    met = [_update(name, *given) for name, given in METHODS.items()]
    return all(met)


EVEN: dict[str, object] = {"distribution": "uniform", "uniform_dense": "none"}
METHODS: dict[str, tuple[dict[str, object], tuple[int, ...]]] = {
    **{name: (EVEN | {"update_every": 100}, (100,)) for name in ("rigl", "set", "snfs", "gse")},
    **{name: (EVEN | {"update_every": 100}, (100,)) for name in ("rigl_itop", "set_itop")},
    "mest": (EVEN | {"gradient_weight": 0.1}, (31_250,)),
    "acdc": ({}, (100_000, 150_000)),
}
"""Options of each method, and the steps whose updates are measured together: of AC/DC that which
prunes, and that which turns training dense again."""


def _update(name: str, options: dict[str, object], steps: tuple[int, ...]) -> bool:
    model = nn.Linear(SIDE, SIDE, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    method = registry.methods()[name]
    plan = Plan(steps=10**6, sparsity=0.9, seed=0, steps_per_epoch=100)
    sparsifier = load(method.implementation, method.origin)(plan, method.resolve(options))
    sparsifier.attach(model, optimizer)
    model.weight.grad = torch.randn_like(model.weight)
    sparsifier.observe(1)
    layer = sparsifier.layers[0]
    dropped = int(0.03 * layer.size)
    scores = torch.randn(layer.size).abs()

    def update() -> None:
        model.weight.grad = torch.randn_like(model.weight)
        for step in steps:
            sparsifier.update(step)

    def peer() -> None:
        torch.randn_like(model.weight)  # what the other side spends on its gradient
        torch.topk(scores, dropped)

    values = ratios(update, peer, BLOCKS)
    return report(f"update of {name}, 10 M weights at 90 % / torch.topk", values, 3.0)
