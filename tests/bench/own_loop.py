"""What `sparsify` adds to a step of a bare training loop, all checks included."""

import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from tasks.models.mlp import mlp
from tests.bench.measure import ratios, report

PERIOD, BATCH, BLOCKS = 100, 128, 15
CONFIGURATIONS = [
    ("RigL, ΔT = 100", "rigl", {"update_every": PERIOD}, 1.03),
    ("static", "static", {}, None),
]


def run() -> bool:
    """Print the step time against the same loop, dense, on LeNet-300-100."""
    torch.set_num_threads(1)
    met = []
    for name, method, options, bar in CONFIGURATIONS:
        sparse, dense = _loop(method, options), _loop(None, {})
        values = ratios(sparse, dense, BLOCKS)
        met.append(report(f"bare loop with sparsify / without: {name}", values, bar))
    return all(met)


def _loop(method: str | None, options: dict):
    """Return a function that trains one period, with its one update if there is a method."""
    model: nn.Module = mlp((1, 28, 28), 10, hidden=(300, 100))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    batches = [(torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))) for _ in range(4)]
    if method is not None:
        sparsify(model, optimizer, method, sparsity=0.9, steps=10**7, **options)

    def period() -> None:
        for step in range(PERIOD):
            x, y = batches[step % 4]
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    return period
