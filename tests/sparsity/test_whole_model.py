import pytest
import torch
from torch import nn

from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES, LINEAR_AND_CONV
from suite.sparsity.storage.execution import Execution
from suite.sparsity.whole_model import uncovered, whole_model_sparsity
from tests.sparsity.networks import Sequences
from tests.support.helpers import OPTIMIZERS, attach, make

PLAN = Plan(steps=10, sparsity=0.9, seed=0, steps_per_epoch=10)


def held_by(model: nn.Module, coverage=LINEAR_AND_CONV, execution: str = "masked"):
    made = make("static", PLAN)
    storage = Execution(execution)
    attach(made, model, OPTIMIZERS["sgd"](model), coverage=coverage, storage=storage)
    return made.layers


def test_every_trained_weight_that_is_not_held_is_named_with_its_share():
    model = Sequences()
    missed = uncovered(model, held_by(model))
    total = 2 * (384 + 240 + 60) + 500
    assert [(w.path, w.kind, w.size) for w in missed.weights] == [
        ("rnn.weight_ih_l0", "LSTM", 384),
        ("rnn.weight_ih_l0_reverse", "LSTM", 384),
        ("attention.in_proj_weight", "MultiheadAttention", 300),
        ("rnn.weight_hh_l0", "LSTM", 240),
        ("rnn.weight_hh_l0_reverse", "LSTM", 240),
        ("rnn.weight_hr_l0", "LSTM", 60),
        ("rnn.weight_hr_l0_reverse", "LSTM", 60),
    ]
    assert missed.weights[0].share == 384 / total
    assert missed.share == pytest.approx((total - 200) / total)
    assert missed
    text = str(missed)
    assert text.startswith(
        "89.3 % of the trained weights stay dense: rnn.weight_ih_l0 (LSTM, 20.6 %), "
    )
    assert "and 2 more (6.4 %); prune them with include=[...], or list them in exclude=" in text
    assert "\n" not in text


def test_nothing_is_missing_where_everything_is_held():
    model = Sequences()
    missed = uncovered(model, held_by(model, ALL_MATRICES))
    assert not missed
    assert (missed.weights, missed.share, str(missed)) == ((), 0, "")


def test_what_is_excluded_frozen_tied_or_a_vector_is_not_missing():
    model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 9), nn.Embedding(4, 6))
    model[1].weight = model[0].weight
    model.gain = nn.Parameter(torch.ones(6, 1, 1))
    model.table = nn.Parameter(torch.ones(6, 2))
    model.places = nn.Parameter(torch.ones(3, 6), requires_grad=False)
    layers = held_by(nn.Sequential(model[1]))
    assert [w.path for w in uncovered(model, layers).weights] == ["2.weight", "table"]
    assert [w.path for w in uncovered(model, layers, ("2",)).weights] == ["table"]
    assert not uncovered(model, layers, ("tab*", "Embedding", "gone"))


def test_the_original_of_an_excluded_parametrized_weight_is_not_missing():
    weight_norm = nn.utils.parametrizations.weight_norm
    model = nn.Sequential(weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    layers = held_by(nn.Sequential(model[1]))
    assert [w.path for w in uncovered(model, layers).weights] == [
        "0.parametrizations.weight.original1"
    ]
    assert not uncovered(model, layers, ("0",))


def test_a_head_exchanged_after_attach_is_missing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    layers = held_by(model)
    assert not uncovered(model, layers)
    model[1] = nn.Linear(64, 20)
    assert [(w.path, w.share) for w in uncovered(model, layers).weights] == [("1.weight", 1)]
    assert whole_model_sparsity(model) == 0


@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_zeros_of_the_whole_model_are_counted_in_any_storage(execution):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Linear(10, 10), nn.Bilinear(4, 4, 5))
    model[3].requires_grad_(False)
    model.vector = nn.Parameter(torch.zeros(50))
    model.tied = model[3]
    layers = held_by(model, execution=execution)
    assert sum(layer.size - layer.active for layer in layers) == 666  # of 740
    assert whole_model_sparsity(model) == 666 / (740 + 80)
    with torch.no_grad():
        layers[0].parameter.flatten()[layers[0].parameter.flatten().nonzero()[0]] = 0
    assert whole_model_sparsity(model) == 667 / (740 + 80)


def test_a_model_without_weights_has_no_zeros():
    assert whole_model_sparsity(nn.BatchNorm1d(3)) == 0
