"""SET's published logs, epoch by epoch."""

import csv
import functools
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from suite.core.errors import Interrupted, InvalidInput
from suite.experiments import registry
from suite.experiments.study import load_study
from suite.experiments.trial_config import Trial
from suite.reproduce.set_2019 import train
from suite.reproduce.set_2019_network import DenseLayer, Descent, Network, SparseLayer
from suite.training.outcome import Outcome
from tasks.loading import load_data
from tasks.model_factory import make_model

LOGS = Path(__file__).parents[1] / "golden" / "set_2019_logs.csv"
SERIES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
DESCENT = Descent(rate=0.05, momentum=0.9, decay=2e-4)


def trial(method: str, epochs: int, **given) -> Trial:
    recipe = {"epochs": epochs} | ({"learning_rate": 0.001} if method == "dense" else {})
    return Trial.make(
        task="fashion_mnist_2000/mlp_1000",
        method=method,
        sparsity=0.0 if method == "dense" else 0.9708,
        trainer="set_2019",
        recipe=recipe,
        **given,
    )


@functools.cache
def trained(method: str, epochs: int) -> Outcome:
    return train(trial(method, epochs))


def published_log(method: str) -> list[dict[str, str]]:
    with LOGS.open() as file:
        return [row for row in csv.DictReader(file) if row["method"] == method]


@pytest.mark.usefixtures("fashion_mnist")
@pytest.mark.parametrize(("method", "epochs"), [("dense", 1), ("static", 2), ("set", 2)])
def test_the_first_epochs_agree_with_the_published_log_to_six_decimals(method, epochs):
    outcome = trained(method, epochs)
    curves = pl.read_parquet(io.BytesIO(outcome.curves.to_parquet()))
    for row in published_log(method)[:epochs]:
        step = 50 * int(row["epoch"])
        for name in SERIES:
            here = curves.filter((pl.col("step") == step) & (pl.col("series") == name))["value"]
            assert here.to_list() == pytest.approx([float(row[name])], abs=1e-6), (row, name)
    record = outcome.record
    assert record.metrics["test_accuracy"] == float(
        published_log(method)[epochs - 1]["test_accuracy"]
    )
    ones = sum(layer.size - layer.zeros for layer in record.layers)
    assert record.flops["training"] == 3 * 2 * ones * 2000 * epochs
    assert record.sparsity == pytest.approx(trial(method, 1).sparsity, abs=1e-4)
    assert set(record.configuration["recipe"]) == {
        "epochs", "batch_size", "learning_rate", "momentum",
    }  # fmt: skip


@pytest.mark.usefixtures("fashion_mnist")
def test_the_weights_kept_predict_what_the_record_says_in_the_task_s_own_network():
    outcome = trained("set", 2)
    dataset = registry.datasets()["fashion_mnist_2000"]
    model = make_model(registry.tasks()["fashion_mnist_2000/mlp_1000"], dataset)
    weights = {n.removeprefix("model/"): t for n, t in outcome.tensors.items() if "model/" in n}
    model.load_state_dict(weights)
    test = load_data(dataset, 0.0, torch.device("cpu")).test
    right = (model(test.x).argmax(1) == test.y).double().mean()
    assert float(right) == pytest.approx(outcome.record.metrics["test_accuracy"])
    for name, mask in outcome.tensors.items():
        if name.startswith("mask/"):
            weight = outcome.tensors[f"model/{name.removeprefix('mask/')}.weight"]
            assert not weight[~mask].any()
            assert weight[mask].all()


@pytest.mark.usefixtures("fashion_mnist")
def test_it_stops_between_epochs_when_it_is_asked_to():
    class Checkpointer:
        def __init__(self) -> None:
            self.asked = iter([False, True])

        def stopping(self) -> bool:
            return next(self.asked)

    steps: list[int] = []
    with pytest.raises(Interrupted, match="before epoch 2"):
        train(trial("static", 400), steps.append, Checkpointer())  # type: ignore[arg-type]
    assert steps == [50]


def test_a_later_draw_at_the_same_place_replaces_the_earlier():
    layer = SparseLayer(3, 2, 50, np.random.RandomState(1))
    assert len(layer.places) == 6
    random = np.random.RandomState(1)
    last = {}
    for _ in range(250):
        value = random.randn() / 10
        last[random.randint(0, 3), random.randint(0, 2)] = value
    assert {place: layer.weights[place] for place in last} == last


def test_evolution_replaces_three_tenths_on_each_side_of_zero_and_keeps_the_strongest():
    layer = SparseLayer(60, 40, 5, np.random.RandomState(0))
    before, mask = layer.weights, layer.mask
    count, positive = int(mask.sum()), np.sort(before[before > 0])
    layer.evolve(0.3, np.random.RandomState(1))
    after = layer.weights
    assert int(layer.mask.sum()) == count
    kept = mask & (after == before)
    assert kept.sum() / count == pytest.approx(0.7, abs=0.02)
    assert after[before >= positive[int(0.35 * len(positive))]].all()
    assert not kept[(before > 0) & (before < positive[int(0.25 * len(positive))])].any()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_layer_moves_along_the_gradient_with_momentum_and_its_own_decay(kind):
    random = np.random.RandomState(0)
    layer = DenseLayer(5, 4, random) if kind == "dense" else SparseLayer(5, 4, 1, random)
    weights, mask, velocity = layer.weights.copy(), layer.mask, 0.0
    for _ in range(3):
        a, delta = random.randn(5, 8), random.randn(4, 8)
        gradient = a @ delta.T if kind == "dense" else a @ delta.T / 8 * mask
        velocity = 0.9 * velocity - 0.05 * gradient
        weights = weights + velocity - 2e-4 * weights
        layer.descend(a, delta, DESCENT)
        np.testing.assert_allclose(layer.weights, weights, atol=1e-12)
    np.testing.assert_allclose(layer.forward(a), weights.T @ a, atol=1e-12)
    np.testing.assert_allclose(layer.backward(delta), weights @ delta, atol=1e-12)


def test_when_nothing_is_dropped_z_shrinks_past_the_first_layer_its_bias_too():
    random = np.random.RandomState(0)
    network = Network([DenseLayer(3, 4, random), DenseLayer(4, 2, random)], DESCENT, 0.2)
    network.biases[1][:] = 0.5
    x = random.rand(3, 1)
    hidden = np.maximum(network.layers[0].weights.T @ x, 0)
    z = 0.8 * (network.layers[1].weights.T @ hidden + 0.5)
    np.testing.assert_allclose(network.outputs(x), 1 / (1 + np.exp(-z)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "rigl"}, ["unknown method 'rigl' of trainer set_2019", "set"]),
        ({"task": "digits/mlp"}, ["unknown task 'digits/mlp' of trainer set_2019"]),
        ({"sparsity": 0.9}, ["sparsity=0.9", "give 0.9708"]),
        ({"recipe": {"nesterov": True}}, ["recipe field nesterov", "does not use"]),
        ({"hyperparameters": {"update_every": 7}}, ["hyperparameter update_every"]),
        ({"trainer": "set_2091"}, ["unknown trainer 'set_2091'", "set_2019"]),
    ],
)
def test_a_setting_that_the_trainer_has_no_place_for_is_refused_in_one_line(change, words):
    given = {"task": "fashion_mnist_2000/mlp_1000", "method": "set", "sparsity": 0.9708}
    with pytest.raises(InvalidInput) as refused:
        Trial.make(**given | {"trainer": "set_2019"} | change)
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_a_trainer_is_part_of_the_key_and_absent_where_there_is_none():
    plain = Trial.make(task="digits/mlp", method="dense")
    assert "trainer" not in plain.model_dump()
    given = {"task": "fashion_mnist_2000/mlp_1000", "method": "set", "sparsity": 0.9708}
    usual, published = Trial.make(**given), Trial.make(**given, trainer="set_2019")
    assert usual.key != published.key
    assert Trial.make(**published.model_dump()).key == published.key
    assert "--trainer set_2019" in published.command()


def test_the_study_trains_the_dense_network_at_its_own_learning_rate():
    trials = load_study("set_fashion_mnist_2000").trials()
    assert len(trials) == 15
    assert {t.trainer for t in trials} == {"set_2019"}
    for one in trials:
        rate = one.task_declaration.resolve(one.recipe)["learning_rate"]
        assert rate == (0.001 if one.method == "dense" else 0.05)
