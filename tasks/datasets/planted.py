"""Data with known connectivity: a random sparse teacher network labels random inputs."""

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from suite.core.seeds import derive_seed
from tasks.data import Arrays
from tasks.task import Dataset

CHANCE_DRAWS = 10


def load(dataset: Dataset) -> Arrays:
    """Return inputs from N(0, 1) and the teacher's classes.

    The options `hidden` and `connections` define the teacher: its hidden units, and the fan-in of
    each layer's units. It is the same in every trial.
    """
    rng = np.random.default_rng(derive_seed(dataset.name, "inputs"))
    drawn = rng.standard_normal((dataset.train + dataset.test, *dataset.shape), np.float32)
    x = torch.from_numpy(drawn)
    outputs = x.double()
    layers = teacher(dataset)
    for number, weight in enumerate(layers):
        outputs = outputs @ weight.T
        if number < len(layers) - 1:
            outputs = outputs.relu()
    # Standardised, so that all classes are about equally frequent and biases alone learn nothing.
    outputs = outputs - outputs.mean(0)
    y = (outputs / outputs.std(0)).argmax(1)
    cut = dataset.train
    return Arrays(x[:cut], y[:cut], x[cut:], y[cut:])


def teacher(dataset: Dataset) -> list[Tensor]:
    """Return the teacher's weights, float64 [outputs, inputs] per layer, zero where unconnected.

    The fan-in of every unit is its layer's entry in the option `connections`. Weights are between
    ±1 and ±2 (divided by √fan-in), so that none is too weak to matter.
    """
    sizes = [dataset.shape[0], *dataset.options["hidden"], dataset.classes]
    layers = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        generator = torch.Generator().manual_seed(derive_seed(dataset.name, "teacher", number))
        fan_in = dataset.options["connections"][number]
        order = torch.rand(outputs, inputs, generator=generator).argsort(1)
        size = 1 + torch.rand(outputs, inputs, generator=generator, dtype=torch.float64)
        sign = torch.randint(0, 2, (outputs, inputs), generator=generator) * 2 - 1
        layers.append(size * sign * (order < fan_in) / fan_in**0.5)
    return layers


def recovered(dataset: Dataset, masks: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how much of the teacher's connectivity the masks recover.

    `recovered_precision` is the fraction of the masks' connections that the teacher has,
    `recovered_recall` the fraction of the teacher's connections that the masks have, over all
    layers; `recovered_chance` is the mean precision of `CHANCE_DRAWS` random masks with the same
    counts. Hidden units are interchangeable, so they are first matched with the teacher's, layer by
    layer, for the largest overlap; random masks are matched too. Empty if the masks do not have the
    teacher's shapes.
    """
    true = [weight != 0 for weight in teacher(dataset)]
    learned = [mask.cpu() for mask in masks.values()]
    if [mask.shape for mask in learned] != [mask.shape for mask in true]:
        return {}
    generator = torch.Generator().manual_seed(derive_seed(dataset.name, "chance"))
    chance = []
    for _ in range(CHANCE_DRAWS):
        orders = [torch.rand(m.numel(), generator=generator).argsort() for m in learned]
        random = [(o < m.sum()).view(m.shape) for o, m in zip(orders, learned, strict=True)]
        chance.append(_overlap(random, true))
    kept = max(1, sum(int(mask.sum()) for mask in learned))
    overlap = _overlap(learned, true)
    return {
        "recovered_precision": overlap / kept,
        "recovered_recall": overlap / sum(int(mask.sum()) for mask in true),
        "recovered_chance": sum(chance) / len(chance) / kept,
    }


def _overlap(learned: list[Tensor], true: list[Tensor]) -> int:
    """Return the number of connections that agree after matching units with the teacher's.

    Starting from the inputs, a layer's units are matched by the (already matched) inputs that they
    share, and in the last hidden layer also by the outputs that read them.
    """
    total = 0
    inputs = np.arange(learned[0].shape[1])
    for number, (mask, target) in enumerate(zip(learned, true, strict=True)):
        ours = mask.double().numpy()[:, inputs]
        theirs = target.double().numpy()
        if number == len(learned) - 1:
            total += int((ours * theirs).sum())
            break
        agreement = theirs @ ours.T
        if number == len(learned) - 2:
            agreement += true[-1].double().numpy().T @ learned[-1].double().numpy()
        matched = linear_sum_assignment(agreement, maximize=True)[1]
        total += int((ours[matched] * theirs).sum())
        inputs = matched
    return total
