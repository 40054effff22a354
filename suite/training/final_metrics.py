"""The metrics of a trial: measured once, on the final weights."""

import math
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from suite.core.discovery import load
from suite.core.errors import TrialFailed
from suite.evaluation.measure import TRAINING_PASSES, Measurements, measure
from suite.evaluation.scores import Scores, evaluate, first_non_finite, rounded_accuracy
from suite.results.counts import CountedSplit
from suite.results.metrics import METRIC_NAME, out_of_range
from suite.training.loop import Training
from suite.training.network import coverage_of
from tasks.data import Split
from tasks.task import Dataset

ROUNDING_BITS = (8, 4)


def measure_final(training: Training) -> Measurements:
    """Return every metric of a trained network; accuracies by corruption go to the curves.

    A trial with ``evaluate="validation"`` does not read the test split.

    Raises:
        TrialFailed: the loss on a split is not finite.
    """
    found = Measurements()
    testing = training.context.trial.evaluate == "test"
    if testing:
        _add_test(found, training)
    if len(training.data.validation):
        scores = _scores(training, training.data.validation, "validation")
        _count(found, scores, "validation")
        found.metrics |= {f"validation_{name}": value for name, value in scores.validation.items()}
    found.metrics["train_loss"] = training.curves.last("train_loss")
    sizes = {layer.name: layer.size for layer in training.sparsifier.layers}
    if (churn := training.curves.churn(sizes)) is not None:
        found.metrics["mask_churn"] = churn
    found.metrics |= _of_method(training, found.metrics)
    if not testing:
        return replace(found, layers={name: {} for name in sizes})
    extra = measure(
        training.model,
        {layer.name: layer.mask for layer in training.sparsifier.layers},
        training.context.dataset,
        training.data.test,
        # One round only, so that methods of many rounds have the same metrics as others.
        TRAINING_PASSES * training.steps * training.context.recipe.batch_size,
    )
    for kind, accuracy in extra.corruption.items():
        training.curves.add(training.steps, f"corruption_{kind}", accuracy)
    return replace(
        extra,
        metrics=found.metrics | extra.metrics,
        absent=not_applicable(training.context.dataset) | extra.absent,
        counts=found.counts,
        correct_bits=found.correct_bits,
    )


def _of_method(training: Training, taken: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that the method adds to those that are `taken`.

    Raises:
        TrialFailed: a name or a value that a record cannot hold.
    """
    metrics = training.sparsifier.metrics()
    if problem := own_metrics_problem(metrics, taken):
        raise TrialFailed(f"method {training.context.method.name}: metrics(): {problem}")
    return metrics


def own_metrics_problem(metrics: Any, taken: Container[str]) -> str:
    """Return why a record cannot hold what a method's `metrics` returned; or ""."""
    if not isinstance(metrics, Mapping):
        return f"returns {type(metrics).__name__}: return a dictionary of numbers by name"
    for name, value in metrics.items():
        if not isinstance(name, str) or not METRIC_NAME.fullmatch(name):
            return f"the name {name!r:.120} is not usable: give lower-case letters, digits and _"
        if name in taken:
            return f"the name {name!r} is that of a metric that the suite measures: give another"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} is of type {type(value).__name__}: give a number, float(…)"
        if not math.isfinite(value):
            return f"{name} is {value}: give a finite number, or leave it out"
        if reason := out_of_range(name, value):
            return reason
    return ""


def _add_test(found: Measurements, training: Training) -> None:
    """Add what is measured on the test split."""
    model, data, task = training.model, training.data, training.context.task
    test = _scores(training, data.test, "test")
    _count(found, test, "test")
    found.correct_bits = test.correct_bits
    found.metrics |= {f"test_{name}": value for name, value in test.metrics.items()}
    bits = sorted({*ROUNDING_BITS, *training.sparsifier.rounding_bits}, reverse=True)
    rounded = rounded_accuracy(model, data.test, bits, coverage_of(task))
    name = "test_r2" if training.context.dataset.regression else "test_accuracy"
    found.metrics |= {f"{name}_{number}bit": value for number, value in rounded.items()}
    if task.compare:
        masks = {layer.name: layer.mask for layer in training.sparsifier.layers}
        found.metrics |= load(task.compare, task.origin)(training.context.dataset, masks)


def _count(found: Measurements, scores: Scores, split: CountedSplit) -> None:
    if scores.counts is not None:
        found.counts[split] = scores.counts


def not_applicable(dataset: Dataset) -> dict[str, str]:
    """Return why a task's test results lack a metric that others have, by metric."""
    if dataset.regression:
        reason = "not applicable: the targets are real numbers, not classes"
        absent = dict.fromkeys(("test_nll", "test_ece"), reason)
        if dataset.classes > 1:
            absent["test_rmse"] = f"{dataset.classes} targets, each in its own unit"
        return absent
    if dataset.kind == "text":
        reason = "not measured for text"
        return dict.fromkeys(("test_balanced_accuracy", "test_macro_f1"), reason)
    return {}


def _scores(training: Training, split: Split, name: str) -> Scores:
    scores = evaluate(training.model, split)
    if not math.isfinite(scores.loss):
        seed = training.context.trial.seed
        layer = first_non_finite(training.model, split.pool(1, seed).x)
        raise TrialFailed(
            f"the trained network's {name} loss is {scores.loss}, first in layer '{layer}': "
            "training diverged at its end"
        )
    return scores
