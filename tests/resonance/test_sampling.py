"""How often and of how many candidates gradients are recorded, at no more than RigL's cost."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.resonance.sampling import affordable, auto_record_every, check_sampling
from suite.sparsity.plan import Plan
from suite.sparsity.training_cost import training_cost
from suite.training.context import TrialContext
from suite.training.cost_setup import cost_setup
from suite.training.network import network_of
from tests.support.helpers import make

MLPS = ("digits/mlp", "planted/mlp", "fashion_mnist/lenet_300_100", "mnist/lenet_300_100")


@pytest.mark.parametrize(("sparsity", "every"), [(0.98, 10), (0.95, 22), (0.9, 45), (0.8, 100)])
def test_the_interval_is_the_least_that_costs_no_more_than_rigl(sparsity, every):
    assert auto_record_every(4.0, 100, sparsity) == every


@pytest.mark.parametrize("interval", [1, 7, 10, 33, 100, 1000])
@pytest.mark.parametrize("ratio", ["0.5", "1", "4", "30"])
def test_it_is_the_first_that_meets_the_inequality_in_exact_arithmetic(ratio, interval):
    for sparsity in ("0.5", "0.8", "0.9", "0.95", "0.98", "0.995"):
        s, wanted = Fraction(sparsity), Fraction(ratio)
        bound = (1 / (1 - s) - 1) / (interval + 1)
        looked_at = min(wanted, 1 / (1 - s) - 1)
        possible = [r for r in range(10, interval + 1) if looked_at / r <= bound]
        expected = possible[0] if possible else interval
        assert auto_record_every(float(ratio), interval, float(sparsity)) == expected
        found = affordable(float(ratio), interval, float(sparsity)).ratio
        assert found == pytest.approx(float(min(wanted, bound * interval)))
        assert found / expected <= float(bound) * (1 + 1e-9)


def test_fewer_candidates_where_even_an_interval_as_long_as_a_period_is_too_dear():
    sampled = make("resonance_sampled", Plan(1000, 0.8, 0, 100), update_every=100)
    assert sampled.effective_options()["record_every"] == 100
    assert sampled.effective_options()["candidate_ratio"] == pytest.approx(400 / 101)
    assert sampled.growth_candidates.ratio == pytest.approx(400 / 101)


def test_a_network_without_zeros_has_no_candidates_to_pay_for():
    sampled = make("resonance_sampled", Plan(1000, 0.0, 0, 100), update_every=100)
    assert sampled.growth_candidates.gradients(50, 50) == 50


@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95, 0.98])
@pytest.mark.parametrize("task", MLPS)
def test_a_training_costs_no_more_than_rigls(task, sparsity):
    cost = {}
    for method in ("rigl", "resonance_sampled"):
        context = TrialContext.of(Trial.make(task=task, method=method, sparsity=sparsity))
        sparsifier, network = context.make_sparsifier(), network_of(task, 1.0)
        final = sparsifier.final_zeros(network.shapes)
        setup = cost_setup(network, context.dataset, context.recipe, final)
        cost[method] = training_cost(sparsifier, setup)
        assert cost[method].is_exact
    assert 0.95 * cost["rigl"].most < cost["resonance_sampled"].most <= cost["rigl"].most


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"record_every": 21}, "record_every=21 records nothing"),
        ({"candidate_ratio": 0}, "record_every=auto follows from candidate_ratio"),
        ({"candidate_ratio": 0, "record_every": 1}, "draw=activity says how candidates are drawn"),
    ],
)
@pytest.mark.parametrize("method", ["resonance_sampled", "resonance_regrow"])
def test_options_that_contradict_each_other_are_refused(method, options, words):
    with pytest.raises(InvalidInput, match=words) as error:
        make(method, **options)
    assert "\n" not in str(error.value)
    assert ": give " in str(error.value)


def test_options_that_fit_are_taken():
    check_sampling(SimpleNamespace(record_every=5, candidate_ratio=0.0, draw="uniform"), 5)
    check_sampling(SimpleNamespace(record_every="auto", candidate_ratio=1.0, draw="uniform"), 5)
