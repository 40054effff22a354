"""Compares a record's layers, zeros and FLOPs with what its configuration implies."""

import functools
import math
from typing import NamedTuple

from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.sparsity.flops import ForwardFlops
from suite.sparsity.sparsifier import Sparsifier
from suite.training.context import TrialContext, total_steps
from suite.training.network import count_parameters, network_of

TOLERANCE = 1e-6
"""Relative difference of FLOPs that a different order of summation may make."""


class Recomputed(NamedTuple):
    """Optimizer steps of a trial (all rounds), and the errors found in its record."""

    steps: int
    problems: list[str]


def recompute(record: Record) -> Recomputed:
    """Recompute what needs neither training nor data: layers, exact zeros, FLOPs.

    Raises:
        InvalidInput: the trial's task or method is unknown, or its settings are no longer valid.
    """
    trial = Trial.make(**record.trial)
    context = TrialContext.of(trial)
    sparsifier = context.make_sparsifier()
    steps = total_steps(sparsifier)
    if record.status == "failed":
        return Recomputed(steps, [])
    width = sparsifier.width(functools.partial(count_parameters, context))
    network, whole = network_of(trial.task, width), network_of(trial.task)
    shapes = {layer.name: layer.shape for layer in record.layers}
    if shapes != network.shapes or len(shapes) != len(record.layers):
        differing = [name for name, _ in shapes.items() ^ network.shapes.items()] or list(shapes)
        problem = f"the layers are not those of {trial.task}: see layer {min(differing)}"
        return Recomputed(steps, [problem])
    problems = [
        # A trainer draws connections as in its publication, where their number is not exact.
        *([] if trial.trainer else _off_target(record, sparsifier)),
        *_off_forward(record, network.forward, whole.forward),
        *_off_training(record, sparsifier, steps * context.recipe.batch_size),
    ]
    return Recomputed(steps, problems)


def _off_target(record: Record, sparsifier: Sparsifier) -> list[str]:
    """Return where zeros are off their target by more than one weight: per layer, or in total."""
    shapes = {layer.name: layer.shape for layer in record.layers}
    zeros = {layer.name: layer.zeros for layer in record.layers}
    errors = sparsifier.off_target(zeros, shapes, tolerance=1)
    return errors if sparsifier.is_global else [f"layer {error}" for error in errors]


def _off_forward(record: Record, network: ForwardFlops, whole: ForwardFlops) -> list[str]:
    layers, flops = record.layers, record.flops
    pairs = {f"layer {layer.name}": (layer.flops, network.layers[layer.name]) for layer in layers}
    sparse = network.at({layer.name: 1 - layer.zeros / layer.size for layer in layers})
    pairs["inference"] = (flops["inference"], sparse)
    pairs["inference_dense"] = (flops["inference_dense"], whole.dense)
    return [
        f"{name}: {recorded:g} FLOPs, not {expected:g}"
        for name, (recorded, expected) in pairs.items()
        if not math.isclose(recorded, expected, rel_tol=TOLERANCE)
    ]


def _off_training(record: Record, sparsifier: Sparsifier, examples: int) -> list[str]:
    """Return an error if the training FLOPs are too few; without zeros they are known exactly.

    If each layer has its own target, no step has fewer connections than the last one.
    """
    least = 3 * record.flops["inference"] * examples
    recorded = record.flops["training"]
    if not any(layer.zeros for layer in record.layers):
        if not math.isclose(recorded, least, rel_tol=TOLERANCE):
            return [f"training: {recorded:g} FLOPs, not {least:g}"]
    elif not sparsifier.is_global and recorded < least * (1 - TOLERANCE):
        return [f"training: {recorded:g} FLOPs, fewer than the final masks take: {least:g}"]
    return []
