"""Checks that a record from others must pass before it is shown: cheap, without torch.

`resonance leaderboard check` makes the same checks, and also recomputes the zeros of every layer
and the FLOPs from the model.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

from leaderboard.bundles.possible_values import possible_values
from leaderboard.bundles.stated_values import stated_values
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.record_check import (
    COUNTED,
    DATA,
    KEY,
    LAYERS,
    POSSIBLE,
    STATED,
    TOTAL,
    Check,
    problems_of,
)


def record_problems(record: Record) -> Iterator[str]:
    """Yield the problems of a record; its value ranges were checked when it was read."""
    yield from problems_of(record_checks(record))


def record_checks(record: Record) -> Iterator[Check]:
    """Yield what each check of a record found."""
    trial, problems = _trial(record)
    yield Check(KEY, tuple(problems))
    yield Check(STATED, tuple(stated_values(record)))
    if record.status == "failed":
        for name in (TOTAL, DATA, POSSIBLE, COUNTED, LAYERS):
            yield Check(name, skipped="the trial failed")
        return
    yield _total(record, trial)
    yield from possible_values(record)


def _trial(record: Record) -> tuple[Trial | None, list[str]]:
    """Return a record's trial, None where it is not known here, and what is wrong with its key."""
    problems = ["it has no checksums"] if record.integrity is None else []
    if (key := record.settings_key) != record.key:
        problems.append(f"its key is not the hash of its configuration ({key or 'none'})")
    try:
        trial = Trial.make(**record.trial)
        recipe = trial.task_declaration.resolve_recipe(trial.recipe)
        if recipe.batch_size % trial.processes:
            problems.append(
                f"{trial.processes} processes cannot share batches of {recipe.batch_size} evenly"
            )
        return trial, problems
    except InvalidInput as error:
        if _is_known(record):  # otherwise its settings cannot be checked
            problems.append(f"its settings are not valid: {error}")
        return None, problems


def _is_known(record: Record) -> bool:
    task, method = record.trial["task"], record.trial["method"]
    return task in registry.tasks() and method in registry.methods()


def _total(record: Record, trial: Trial | None) -> Check:
    """Compare the zeros with the target sparsity, which they may miss by one per layer.

    Layers that `uniform` or a pattern leaves dense do not count. Under `custom`, the sparsities of
    layers may miss that of the network by a thousandth of the weights. A constant fan-in may have
    up to one zero more per neuron.
    """
    if trial is None:
        own = _of_own_method(record)
        return Check(TOTAL, own, skipped="" if own else "its method or task is not known here")
    method = trial.method_declaration
    if registry.replaces_training(trial.trainer):
        return Check(TOTAL, skipped="a trainer of its own: the number of zeros may be random")
    if record.configuration.get("method_revision") != method.revision:
        return Check(TOTAL, skipped="another revision of the method")
    if not method.zeros:
        return Check(TOTAL, skipped="its sparsity is none of weights")
    options = method.resolve(trial.hyperparameters)
    distribution, pattern = options.get("distribution"), options.get("pattern", "none")
    if options.get("redistribution", "none") != "none" and distribution == "uniform":
        return Check(TOTAL, skipped="layers that are dense are not known: weights move between all")
    by_layer = distribution == "uniform" or pattern != "none"
    layers = [layer for layer in record.layers if layer.zeros or not by_layer]
    size, zeros = sum(layer.size for layer in layers), sum(layer.zeros for layer in layers)
    target = math.floor(Fraction(str(trial.sparsity)) * size)
    slack = len(layers) + (size // 1000 if distribution == "custom" else 0)
    neurons = [layer.shape[0] for layer in layers if layer.shape]
    more = sum(neurons) if method.constant_fan_in else 0
    if not -slack <= zeros - target <= slack + more or (trial.sparsity and not layers):
        words = f"not {target:,} (sparsity {trial.sparsity:g})"
        return Check(TOTAL, (f"{zeros:,} zeros among {size:,} weights, {words}",))
    return Check(TOTAL)


def _of_own_method(record: Record) -> tuple[str, ...]:
    """Return what the zeros of a method cannot be that is not known here, by what it declares."""
    method = record.declared.method if record.declared else None
    if method is None or record.trial.get("trainer"):
        return ()
    zeros, sparsity = sum(layer.zeros for layer in record.layers), record.trial["sparsity"]
    if method.dense and (zeros or sparsity):
        return (f"{zeros:,} zeros at sparsity {sparsity:g} of a method that is declared dense",)
    least = min((layer.size for layer in record.layers), default=0)
    if method.zeros and not zeros and math.floor(Fraction(str(sparsity)) * least):
        return (f"no weight is zero at sparsity {sparsity:g}",)
    return ()
