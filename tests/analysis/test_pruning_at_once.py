"""Half of a layer is pruned at once, exactly, and the network is put back."""

import pytest
import torch

from suite.analysis.pruning_at_once import accuracies, keep_highest
from suite.analysis.signal_recorder import LayerReadings
from suite.evaluation.scores import evaluate
from suite.resonance.readings import READINGS
from suite.results.signal_measures import pruned
from suite.training.context import TrialContext
from suite.training.setup import prepare
from tests.support.helpers import trial


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [7, 8, 101])
def test_half_of_those_among_go_and_they_are_the_lowest(n):
    scores = torch.rand(n, generator=generator(1))
    among = torch.rand(n, generator=generator(2)) < 0.7
    keep = keep_highest(scores, among, generator())
    assert bool(keep[~among].all())
    assert int((~keep).sum()) == int(among.sum()) // 2
    assert float(scores[~keep].max()) < float(scores[keep & among].min())


def test_equal_scores_go_at_random_and_not_by_place():
    among = torch.ones(1000, dtype=torch.bool)
    first, second = (keep_highest(torch.zeros(1000), among, generator(s)) for s in (0, 1))
    assert int(first.sum()) == 500
    assert 150 < int((~first[:500]).sum()) < 350
    assert not torch.equal(first, second)
    assert torch.equal(first, keep_highest(torch.zeros(1000), among, generator(0)))


def test_a_single_connection_stays():
    assert keep_highest(torch.zeros(1), torch.ones(1) > 0, generator()).tolist() == [True]


def test_accuracies_are_those_of_pruned_copies_and_the_network_stays_as_it_is():
    training = prepare(TrialContext.of(trial("static", sparsity=0.5)))
    random = generator(3)
    readings = {}
    for layer in training.sparsifier.layers:
        values = torch.rand(layer.size, generator=random)
        values[:5] = torch.nan
        means = dict.fromkeys(READINGS, values)
        readings[layer.name] = LayerReadings(32, torch.arange(2), {}, means, values)
    before = [layer.values.clone() for layer in training.sparsifier.layers]
    found = accuracies(training, readings)
    for layer, values in zip(training.sparsifier.layers, before, strict=True):
        assert torch.equal(layer.values, values)
    assert len(found) == 2 * len(READINGS) + 2
    with torch.no_grad():
        for layer in training.sparsifier.layers:  # by sorting, one after the other
            values = readings[layer.name].means["rms"]
            active = [i for i in range(5, layer.size) if layer.mask.flatten()[i]]
            lowest = sorted(active, key=lambda i: float(values[i]))[: len(active) // 2]
            layer.parameter.view(-1)[lowest] = 0
    expected = evaluate(training.model, training.data.test).fraction
    assert found[pruned("rms", "high")] == expected
