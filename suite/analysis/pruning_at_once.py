"""Which way round a reading ranks connections: half of a network is pruned by it at once."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from suite.analysis.signal_recorder import LayerReadings
from suite.core.seeds import derive_seed
from suite.evaluation.scores import evaluate
from suite.resonance.readings import READINGS
from suite.results.signal_measures import pruned
from suite.sparsity.layers import PrunableWeight
from suite.training.loop import Training

DRAWS = 5
"""Prunings at random that are averaged."""


def keep_highest(scores: Tensor, among: Tensor, generator: torch.Generator) -> Tensor:
    """Return what is left, boolean [n], when half of the connections `among` are pruned.

    The floor(m/2) with the lowest scores go, of m connections; equal scores are in random order.
    Connections that are not `among` (boolean [n]) stay as they are.
    """
    places = among.nonzero().flatten()
    places = places[torch.randperm(len(places), generator=generator).to(places.device)]
    order = scores[places].sort(stable=True).indices
    keep = torch.ones_like(among)
    keep[places[order[: len(places) // 2]]] = False
    return keep


def accuracies(training: Training, readings: Mapping[str, LayerReadings]) -> dict[str, float]:
    """Return the accuracy that is left after half of every layer is pruned at once, by metric.

    Half of the connections that are active and have a signal are pruned, by each mean reading
    (keeping the highest, or the lowest), by |w|, and at random; the others stay. The network is
    then as it was.
    """
    layers = training.sparsifier.layers
    split = training.data.test if testing(training) else training.data.validation
    among = {
        layer.name: layer.mask.flatten() & readings[layer.name].means["rms"].isfinite()
        for layer in layers
    }

    def left(scores: Mapping[str, Tensor], number: int = 0) -> float:
        with _pruned(layers):
            for layer in layers:
                seed = derive_seed(training.context.trial.seed, "prune", layer.name, number)
                random = torch.Generator().manual_seed(seed)
                keep = keep_highest(scores[layer.name], among[layer.name], random)
                layer.parameter.detach().mul_(keep.view(layer.shape))
            return float(evaluate(training.model, split).fraction)

    found = {}
    for name in READINGS:
        means = {layer: read.means[name] for layer, read in readings.items()}
        found[pruned(name, "high")] = left(means)
        found[pruned(name, "low")] = left({layer: -values for layer, values in means.items()})
    equal = {layer.name: torch.zeros(layer.size, device=layer.device) for layer in layers}
    found[pruned("random")] = statistics.fmean(left(equal, draw) for draw in range(DRAWS))
    found[pruned("magnitude")] = left({x.name: x.values.flatten().abs() for x in layers})
    return found


def testing(training: Training) -> bool:
    """Return whether the trial may read the test split."""
    return training.context.trial.evaluate == "test"


@contextmanager
def _pruned(layers: Sequence[PrunableWeight]) -> Iterator[None]:
    """Put the weights back in the end."""
    before = [layer.parameter.detach().clone() for layer in layers]
    try:
        yield
    finally:
        for layer, values in zip(layers, before, strict=True):
            layer.parameter.detach().copy_(values)
