"""Compares a record's layers, zeros and FLOPs with what its configuration implies."""

import functools
import math

from suite.core.code_files import is_own_origin
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.record_check import INFERENCE, TRAINING, ZEROS, Check, Recomputed
from suite.sparsity.flops import ForwardFlops
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import Finished, training_cost
from suite.training.context import TrialContext, total_steps
from suite.training.network import Network, count_parameters, network_of
from suite.training.setup import SCORING_POOL
from tasks.data import training_examples

TOLERANCE = 1e-6
"""Relative difference of FLOPs that a different order of summation may make."""
MOST_SCORING = 1000
"""Where a method does not declare what it charges for scoring, more than this many times the cost
of dense training is taken for a mistake."""


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
        names = (ZEROS, INFERENCE, TRAINING)
        return Recomputed(steps, tuple(Check(name, skipped="the trial failed") for name in names))
    width = sparsifier.width(functools.partial(count_parameters, context))
    network, whole = network_of(trial.task, width), network_of(trial.task)
    shapes = {layer.name: layer.shape for layer in record.layers}
    if shapes != network.shapes or len(shapes) != len(record.layers):
        differing = [name for name, _ in shapes.items() ^ network.shapes.items()] or list(shapes)
        problem = f"the layers are not those of {trial.task}: see layer {min(differing)}"
        others = (Check(name, skipped="other layers") for name in (INFERENCE, TRAINING))
        return Recomputed(steps, (Check(ZEROS, (problem,)), *others))
    return Recomputed(
        steps,
        (
            _zeros(record, sparsifier, trial),
            Check(INFERENCE, tuple(_off_forward(record, network.forward, whole.forward))),
            _training(record, sparsifier, context, network),
        ),
    )


def _zeros(record: Record, sparsifier: Sparsifier, trial: Trial) -> Check:
    """Compare zeros with their target, which they may miss by one: per layer, or in total."""
    if trial.trainer:  # it draws connections as in its publication
        return Check(ZEROS, skipped="a trainer of its own: the number of zeros may be random")
    shapes = {layer.name: layer.shape for layer in record.layers}
    zeros = {layer.name: layer.zeros for layer in record.layers}
    errors = sparsifier.off_target(zeros, shapes, tolerance=1)
    wrong = errors if sparsifier.is_global else [f"layer {error}" for error in errors]
    return Check(ZEROS, tuple(wrong), how="in all" if sparsifier.is_global else "by layer")


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


def _training(
    record: Record, sparsifier: Sparsifier, context: TrialContext, network: Network
) -> Check:
    """Compare training FLOPs with what the method's schedule allows."""
    trial, dataset = context.trial, context.dataset
    if record.configuration.get("method_revision") != context.method.revision:
        return Check(TRAINING, skipped="another revision of the method")
    if trial.trainer and is_own_origin(registry.trainers()[trial.trainer].origin):
        return Check(TRAINING, skipped="a trainer of the user's own")
    examples = training_examples(dataset, context.recipe.validation)
    finished = Finished(
        zeros={layer.name: layer.zeros for layer in record.layers},
        shapes=network.shapes,
        flops=network.forward,
        batch_size=context.recipe.batch_size,
        pool=min(examples, SCORING_POOL) if dataset.kind == "stream" else examples,
        classes=dataset.classes,
        regression=dataset.regression,
    )
    cost = training_cost(sparsifier, finished)
    recorded = record.flops["training"]
    most = cost.most if sparsifier.declares_cost else MOST_SCORING * cost.most
    if cost.least * (1 - TOLERANCE) <= recorded <= most * (1 + TOLERANCE):
        if not sparsifier.declares_cost:
            how = "above the least (the method declares no zeros_in_training)"
        else:
            how = "exact" if cost.is_exact else "within bounds"
        return Check(TRAINING, how=how)
    few = recorded < cost.least
    if cost.is_exact:
        words = f"not {cost.least:g}"
    elif few:
        words = f"fewer than its masks can have taken: {cost.least:g}"
    else:
        words = f"more than its masks can have taken: {most:g}"
    return Check(TRAINING, (f"training: {recorded:g} FLOPs, {words}",))
