"""One connectivity update of a dynamic method against one ``torch.topk``."""

import torch
from torch import nn

from suite.core.discovery import load
from suite.experiments import registry
from suite.sparsity.plan import Plan
from tests.bench.measure import ratios, report

SIDE, BLOCKS = 3163, 5


def run() -> bool:
    """Print the ratio for RigL, SRigL, SET and SNFS on ten million weights at 90 % sparsity."""
    torch.set_num_threads(1)
    met = [_update(name, options) for name, options in METHODS.items()]
    return all(met)


METHODS = {
    "rigl": {"update_every": 100, "distribution": "uniform", "uniform_dense": "none"},
    "srigl": {"update_every": 100, "distribution": "uniform", "uniform_dense": "none"},
    "set": {"update_every": 100, "distribution": "uniform", "uniform_dense": "none"},
    "snfs": {"update_every": 100, "distribution": "uniform", "uniform_dense": "none"},
}


def _update(name: str, options: dict[str, object]) -> bool:
    model = nn.Linear(SIDE, SIDE, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    method = registry.methods()[name]
    plan = Plan(steps=10**6, sparsity=0.9, seed=0, steps_per_epoch=100)
    sparsifier = load(method.implementation, method.origin)(plan, method.resolve(options))
    sparsifier.attach(model, optimizer)
    model.weight.grad = torch.randn_like(model.weight)
    sparsifier.observe(1)
    layer = sparsifier.layers[0]
    dropped = int(0.3 * layer.active)
    scores = torch.randn(layer.size).abs()

    def update() -> None:
        model.weight.grad = torch.randn_like(model.weight)
        sparsifier.update(100)

    def peer() -> None:
        torch.randn_like(model.weight)  # what the other side spends on its gradient
        torch.topk(scores, dropped)

    values = ratios(update, peer, BLOCKS)
    return report(f"update of {name}, 10 M weights at 90 % / torch.topk", values, 3.0)
