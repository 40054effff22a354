"""The protocol of SET's published logs (Mocanu et al., tutorial at IJCAI 2019).

Three networks on 2,000 images of Fashion-MNIST, 400 epochs each: fully connected, sparse with
fixed random connections, and SET. The random stream is the original's (NumPy's legacy stream,
seeded with the trial's seed), so the logs can be compared epoch by epoch.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from suite.core.custom_trainer import Trainer
from suite.core.errors import Interrupted
from suite.evaluation.measure import Measurements
from suite.evaluation.scores import class_counts, counted
from suite.experiments.trial_config import Trial
from suite.reproduce.set_2019_network import (
    DenseLayer,
    Descent,
    Floats,
    Layer,
    Network,
    Random,
    SparseLayer,
)
from suite.results.counts import Counts
from suite.results.record import LayerRecord
from suite.training.checkpoint import Checkpointer
from suite.training.curves import Curves
from suite.training.environment import Stopwatch
from suite.training.outcome import Outcome, make_outcome
from tasks.loading import load_arrays
from tasks.task import Dataset

TRAINER = Trainer(
    "set_2019",
    "Mocanu et al., tutorial at IJCAI 2019; Mocanu et al. 2018, arXiv:1707.04780",
    summary="squared errors of sigmoid outputs, dropout 0.2 that is not scaled up, weight decay "
    "beside the learning rate; sparse layers of 13·(inputs + outputs) random draws. "
    "The published dense network has learning_rate=0.001, which is not the task's default",
    implementation=":train",
    tasks=("fashion_mnist_2000/mlp_1000",),
    methods={"dense": (), "static": (), "set": ("drop_fraction",)},
    recipe=("epochs", "batch_size", "learning_rate", "momentum"),
    sparsity=0.9708,  # what 13·(inputs + outputs) draws leave empty, on average
)

EPSILON = 13
DECAY = 2e-4
DROPOUT = 0.2


@dataclass(frozen=True)
class Examples:
    """A split in the network's layout: inputs [features, n] in [0, 1], one-hot targets."""

    x: Floats
    y: Floats

    @classmethod
    def of(cls, x: Tensor, y: Tensor, classes: int) -> "Examples":
        """Return the examples of images [n, …] of bytes and labels [n]."""
        flat = x.flatten(1).numpy().astype(np.float64) / 255
        return cls(np.ascontiguousarray(flat.T), np.eye(classes)[:, y.numpy()])

    def score(self, network: Network) -> tuple[float, float]:
        """Return the mean squared error over all outputs, and the accuracy."""
        outputs = network.outputs(self.x)
        right = outputs.argmax(0) == self.y.argmax(0)
        return float(np.mean((outputs - self.y) ** 2)), float(right.mean())

    def count(self, network: Network) -> tuple[Counts, bytes]:
        """Return the counted predictions, and which are right, packed to bits."""
        guess, true = (
            torch.from_numpy(each.argmax(0)) for each in (network.outputs(self.x), self.y)
        )
        _, confusion = class_counts(guess, true, len(self.y))
        assert confusion is not None  # ten classes
        return counted(confusion), np.packbits((guess == true).numpy()).tobytes()


def train(
    trial: Trial,
    progress: Callable[[int], None] = lambda steps: None,
    checkpointer: Checkpointer | None = None,
) -> Outcome:
    """Train as published and return the outcome.

    The accuracy is that after the last epoch. As in the published logs both splits are evaluated
    after each epoch; no choice depends on them. No checkpoints are taken.

    Raises:
        InvalidInput: the data cannot be found.
        Interrupted: the checkpointer was asked to stop.
    """
    stopwatch = Stopwatch(torch.device("cpu"))
    task, dataset = trial.task_declaration, trial.dataset_declaration
    configuration = trial.resolved()
    recipe, options = configuration["recipe"], configuration["hyperparameters"]
    epochs, batch_size, rate, momentum = (float(recipe[name]) for name in TRAINER.recipe)
    arrays, checksum = load_arrays(dataset)
    examples = Examples.of(arrays.train_x, arrays.train_y, dataset.classes)
    held_out = Examples.of(arrays.test_x, arrays.test_y, dataset.classes)
    sizes = [len(examples.x), *task.model_options["hidden"], dataset.classes]
    steps = examples.x.shape[1] // int(batch_size)
    curves, seconds = Curves(), []
    with threadpool_limits(trial.threads):
        random = np.random.RandomState(trial.seed)
        network = Network(_layers(trial, sizes, random), Descent(rate, momentum, DECAY), DROPOUT)
        for epoch in range(1, int(epochs) + 1):
            if checkpointer is not None and checkpointer.stopping():
                raise Interrupted(f"stopped before epoch {epoch}; no checkpoint is kept")
            before = time.perf_counter()
            _epoch(network, examples, int(batch_size), random)
            seconds.append(time.perf_counter() - before)
            for split, name in ((examples, "train"), (held_out, "test")):
                loss, accuracy = split.score(network)
                curves.add(epoch * steps, f"{name}_loss", loss)
                curves.add(epoch * steps, f"{name}_accuracy", accuracy)
            if options and epoch < epochs:
                for layer in network.layers:
                    layer.evolve(options["drop_fraction"], random)
            progress(steps)
        counts, bits = held_out.count(network)
    layers = _layer_records(network)
    dense = sum(layer.flops for layer in layers)
    connected = sum(2.0 * (layer.size - layer.zeros) for layer in layers)
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return make_outcome(
        trial,
        measures=Measurements(
            {name: curves.last(name) for name in names}, counts={"test": counts}, correct_bits=bits
        ),
        layers=layers,
        flops={
            "inference_dense": dense,
            "inference": connected,
            "training": 3 * connected * steps * batch_size * epochs,
        },
        timing=stopwatch.timing([epoch / steps for epoch in seconds]),
        data={"checksum": checksum, "train": dataset.train, "validation": 0, "test": dataset.test},
        tensors=_tensors(network, dataset),
        curves=curves,
        notes=[
            f"trained by {TRAINER.name}: {TRAINER.summary}",
            "the curves hold the test split after every epoch, as the published logs do; nothing "
            "was chosen by it",
        ],
    )


def _layers(trial: Trial, sizes: Sequence[int], random: Random) -> list[Layer]:
    """Draw the initial weights, layer by layer."""
    pairs = itertools.pairwise(sizes)
    if trial.method_declaration.dense:
        return [DenseLayer(*pair, random) for pair in pairs]
    return [SparseLayer(*pair, EPSILON, random) for pair in pairs]


def _epoch(network: Network, examples: Examples, batch_size: int, random: Random) -> None:
    """Train once on all examples, in a new order."""
    order = np.arange(examples.x.shape[1])
    random.shuffle(order)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        batch = order[start : start + batch_size]
        network.step(np.ascontiguousarray(examples.x[:, batch]), examples.y[:, batch], random)


def _layer_records(network: Network) -> list[LayerRecord]:
    """Return the layers' records, with the layer names of the task's own network."""
    return [
        LayerRecord(
            name=str(2 * number + 1),
            shape=layer.shape[::-1],
            zeros=math.prod(layer.shape) - int(layer.mask.sum()),
            flops=2.0 * math.prod(layer.shape),
        )
        for number, layer in enumerate(network.layers)
    ]


def _tensors(network: Network, dataset: Dataset) -> dict[str, Tensor]:
    """Return weights and masks for the task's own network, which then makes the same predictions.

    That network takes standardised inputs, has no dropout and returns logits. So the first layer's
    weights and biases absorb the standardisation, the others' the factor 1 − dropout.
    """
    (mean,), (std,) = dataset.mean, dataset.std
    tensors = {}
    for number, (layer, bias) in enumerate(zip(network.layers, network.biases, strict=True)):
        name, weights = str(2 * number + 1), layer.weights.T
        if number == 0:
            weights, bias = std * weights, bias + mean * weights.sum(1)
        else:
            weights, bias = (1 - DROPOUT) * weights, (1 - DROPOUT) * bias
        parts = {f"model/{name}.weight": weights, f"model/{name}.bias": bias}
        parts = {key: value.astype(np.float32) for key, value in parts.items()}
        for key, value in (parts | {f"mask/{name}": layer.mask.T}).items():
            tensors[key] = torch.from_numpy(np.ascontiguousarray(value))
    return tensors
