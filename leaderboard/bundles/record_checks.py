"""Checks that a record from others must pass before it is shown: cheap, without torch.

`resonance leaderboard check` applies the same checks, and also recomputes the zeros of every layer
and the FLOPs from the model.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record


def record_problems(record: Record) -> Iterator[str]:
    """Yield the problems of a record; its value ranges were checked when it was read."""
    if record.integrity is None:
        yield "it has no checksums"
    if (key := record.settings_key) != record.key:
        yield f"its key is not the hash of its configuration ({key or 'none'})"
    try:
        trial = Trial.make(**record.trial)
    except InvalidInput as error:
        if _is_known(record):  # otherwise its settings cannot be checked
            yield f"its settings are not valid: {error}"
        return
    if record.status == "done":
        yield from _off_target(record, trial)


def _is_known(record: Record) -> bool:
    task, method = record.trial["task"], record.trial["method"]
    return task in registry.tasks() and method in registry.methods()


def _off_target(record: Record, trial: Trial) -> Iterator[str]:
    """Yield a problem if the zeros miss the target sparsity by more than one weight per layer.

    Layers that `uniform` or a pattern leaves dense do not count. Under `custom`, the sparsities of
    layers may miss that of the network by a thousandth of the weights.
    """
    method = trial.method_declaration
    older = record.configuration.get("method_revision") != method.revision
    if trial.trainer or not method.zeros or older:
        return
    options = method.resolve(trial.hyperparameters)
    distribution, pattern = options.get("distribution"), options.get("pattern", "none")
    by_layer = distribution == "uniform" or pattern != "none"
    layers = [layer for layer in record.layers if layer.zeros or not by_layer]
    size, zeros = sum(layer.size for layer in layers), sum(layer.zeros for layer in layers)
    target = math.floor(Fraction(str(trial.sparsity)) * size)
    slack = len(layers) + (size // 1000 if distribution == "custom" else 0)
    if abs(zeros - target) > slack or (trial.sparsity and not layers):
        words = f"not {target:,} (sparsity {trial.sparsity:g})"
        yield f"{zeros:,} zeros among {size:,} weights, {words}"
