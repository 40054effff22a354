"""What tests of methods use to look at one update, and to repeat it slowly."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from suite.sparsity.activity_draw import Activity, active_places
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from tests.support.helpers import OPTIMIZERS, PLAN, attach, conv_net, fit, make


def attached(method: str, plan: Plan = PLAN, **options):
    """Return a small network, its optimizer and the method, attached to both."""
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, plan, **options)
    attach(sparsifier, model, optimizer)
    return model, optimizer, sparsifier


def active_empty(
    mask: Tensor, count: int, activity: Activity, generator: torch.Generator
) -> Tensor:
    """Return `active_places` as a boolean mask, of the shape of `mask`."""
    empty = torch.zeros(mask.numel(), dtype=torch.bool)
    empty[active_places(mask, count, activity, generator)] = True
    return empty.view(mask.shape)


class WithSpare(nn.Module):
    """A network with a layer that no pass reaches, `spare`."""

    def __init__(self, used: nn.Module) -> None:
        super().__init__()
        self.used = used
        self.spare = nn.Linear(40, 32)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the used part says."""
        return self.used(x)


def grown_places(sparsifier: Sparsifier, train: Callable[[int], None]) -> dict[str, int]:
    """Train to the end and return by layer how many weights were active that had just not been.

    `train` takes the step of a given number.
    """
    grown = {layer.name: 0 for layer in sparsifier.layers}
    before = {layer.name: layer.mask.clone() for layer in sparsifier.layers}
    for step in range(1, sparsifier.plan.steps + 1):
        train(step)
        for layer in sparsifier.layers:
            grown[layer.name] += int((layer.mask & ~before[layer.name]).sum())
            before[layer.name] = layer.mask.clone()
    return grown


def check_spare_stays(method: str, plan: Plan = PLAN, **options) -> Sparsifier:
    """Check that a method leaves a layer alone that no pass reaches, and grows in another.

    Returns the method at the end of training.
    """
    model = WithSpare(conv_net())
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, plan, **options)
    sparsifier.attach(model, optimizer)
    spare = next(layer for layer in sparsifier.layers if layer.name == "spare")
    first = spare.mask.clone()
    grown = grown_places(
        sparsifier, lambda step: fit(model, optimizer, sparsifier, start=step - 1, stop=step)
    )
    assert torch.equal(spare.mask, first)
    assert 0 < spare.active < spare.size
    assert grown["used.6"] > 0
    assert grown["spare"] == 0
    return sparsifier


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
