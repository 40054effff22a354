"""What tests of methods use to look at one update, and to repeat it slowly."""

import torch

from suite.sparsity.plan import Plan
from tests.support.helpers import OPTIMIZERS, PLAN, attach, conv_net, fit, make


def attached(method: str, plan: Plan = PLAN, **options):
    """Return a small network, its optimizer and the method, attached to both."""
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, plan, **options)
    attach(sparsifier, model, optimizer)
    return model, optimizer, sparsifier


def watch_update(method: str, step: int, **options):
    """Return per layer (mask, values, gradient before; mask after) of the update at `step`."""
    model, optimizer, sparsifier = attached(method, **options)
    fit(model, optimizer, sparsifier, stop=step - 1)
    update, seen = sparsifier.update, {}

    def watched(at: int) -> None:
        before = {
            layer.name: (layer.mask.clone(), layer.values.clone(), layer.dense_gradient.clone())
            for layer in sparsifier.layers
        }
        update(at)
        for layer in sparsifier.layers:
            seen[layer.name] = (*before[layer.name], layer.mask)

    sparsifier.update = watched  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier, start=step - 1, stop=step)
    return seen


def indices(mask: torch.Tensor) -> set[int]:
    """Return the flat indices of what a mask holds."""
    return set(mask.flatten().nonzero().flatten().tolist())


def by(scores: torch.Tensor, among: set[int], count: int, *, largest: bool) -> set[int]:
    """Return the first `count` of `among` by score, ties by index."""
    flat = scores.flatten().tolist()
    sign = -1 if largest else 1
    return set(sorted(among, key=lambda i: (sign * flat[i], i))[:count])
