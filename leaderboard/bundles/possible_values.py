"""Whether what a finished record says is possible: its data, its metrics, its layers.

Only what is certain is checked, without torch and without data: a figure that was made up but is
possible passes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from suite.core.code_files import is_own_origin
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import task_digest
from suite.results.counts import MAX_CLASSES, ClassTotals, confusion_problem
from suite.results.metrics import contradictions, passes
from suite.results.record import ACCURACY, LayerRecord, Record
from suite.results.record_check import COUNTED, DATA, LAYERS, POSSIBLE, Check
from suite.results.training_flops import parts_problem

TOLERANCE = 1e-4
"""How far a fraction times its number of predictions may be from a whole number."""
COUNTED_SINCE = 3
"""The schema version from which on records hold their counts."""
CHECKSUM_LENGTH = 64
FLOAT_BYTES, INDEX_BYTES = 4, 4
ENTRY = 160
"""Bytes that one more tensor takes in the header of a safetensors file, at most, beside its name"""


@dataclass(frozen=True)
class Declared:
    """What is declared here for a record's task; `unknown` says why nothing is.

    Attributes:
        dataset: of the task, a `tasks.task.Dataset`.
        validation: the fraction held out; None if the recipe is not that of the task.
        own_trainer: whether a trainer of the user's own measured it.
        unknown: why the dataset cannot be compared.
        metric: what the task ranks by; empty if it is not known, or a trainer measures another.
    """

    dataset: Any
    validation: float | None
    own_trainer: bool
    unknown: str = ""
    metric: str = ""

    @classmethod
    def of(cls, record: Record) -> "Declared":
        """Return what the registry has for a record's task."""
        name, trainer = record.trial["task"], record.trial.get("trainer", "")
        trainers = registry.trainers()
        own = bool(trainer) and (trainer not in trainers or is_own_origin(trainers[trainer].origin))
        if name not in registry.tasks():
            return cls(None, None, own, "its task is not known here")
        task = registry.tasks()[name]
        dataset = registry.datasets()[task.dataset]
        here = {"dataset_revision": dataset.revision, "task_digest": task_digest(task, dataset)}
        if any(record.configuration.get(name) != value for name, value in here.items()):
            return cls(None, None, own, "its task is another version than is here")
        replaced = registry.replaces_training(trainer)
        metric = "" if replaced else task.metric
        try:
            validation = task.resolve_recipe(record.trial["recipe"]).validation
        except InvalidInput:
            return cls(dataset, None, own, metric=metric)
        return cls(dataset, None if replaced else validation, own, metric=metric)

    def predictions(self, record: Record, split: str) -> int | None:
        """Return how many predictions a split takes; None if that is not known."""
        size = record.data.get(split)
        if self.dataset is not None and split == "test":
            size = self.dataset.test
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            return None
        if self.dataset is not None:
            return size * (self.dataset.shape[0] if self.dataset.kind == "text" else 1)
        return None if f"{split}_bits_per_character" in record.metrics else size


def possible_values(record: Record) -> Iterator[Check]:
    """Yield the checks of a finished record."""
    declared = Declared.of(record)
    yield _data(record, declared)
    if declared.own_trainer:
        for name in (POSSIBLE, COUNTED, LAYERS):
            yield Check(name, skipped="measured by a trainer of the user's own")
        return
    classes = declared.dataset.classes if declared.dataset is not None else None
    single = declared.dataset is not None and record.declared is None
    constant = _constant_accuracy(record, declared)
    together = [
        *contradictions(record.metrics, classes, single=single, constant=constant),
        *_splits(record),
    ]
    older = record.schema_version < COUNTED_SINCE and record.metric == ACCURACY  # as all once did
    if record.no_update and record.metrics.get("mask_churn"):
        together.append("it says that connectivity was never updated, and mask_churn was measured")
    if declared.metric not in ("", record.metric) and not older:
        together.append(f"it is ranked by {record.metric}, its task by {declared.metric}")
    if problem := parts_problem(record.flops):
        together.append(problem)
    yield Check(POSSIBLE, tuple(together))
    yield _counted(record, declared)
    yield Check(LAYERS, tuple(_layers(record)))


# ------------------------------------------------------------------ data


def _data(record: Record, declared: Declared) -> Check:
    data, dataset = record.data, declared.dataset
    problems = []
    checksum = data.get("checksum")
    usual = isinstance(checksum, str) and len(checksum) == CHECKSUM_LENGTH
    if not usual or set(str(checksum)) in ({"0"}, {"f"}):
        problems.append(f"the data's checksum is {checksum!r:.80}: no SHA-256 of data")
    for split in ("train", "validation", "test"):
        least = 0 if split == "validation" else 1
        size = data.get(split)
        if not isinstance(size, int) or isinstance(size, bool) or size < least:
            problems.append(f"data: {split} is {size!r:.40}, not a number of examples")
    if declared.own_trainer:
        return Check(DATA, skipped="loaded by a trainer of the user's own")
    if dataset is None or problems:
        return Check(DATA, tuple(problems), skipped="" if problems else declared.unknown)
    expected: dict[str, Any] = {"test": dataset.test}
    if dataset.checksum:
        expected["checksum"] = dataset.checksum
    if dataset.fingerprint:
        expected["fingerprint"] = dataset.fingerprint
    if declared.validation is not None:
        expected["train"] = dataset.training_examples(declared.validation)
        expected["validation"] = dataset.train - expected["train"]
    problems = [
        f"data: {name} is {data.get(name)!r:.80}, {value!r:.80} by dataset {dataset.name}"
        for name, value in expected.items()
        if data.get(name) != value
    ]
    how = "with checksum" if dataset.checksum else "sizes (no checksum is declared)"
    return Check(DATA, tuple(problems), how=how)


# ------------------------------------------------------------------ metrics


def _constant_accuracy(record: Record, declared: Declared) -> float | None:
    """Return the accuracy of predicting the most frequent test class; None if it is not known.

    The classes of the suite's own datasets are about equally frequent: what a constant prediction
    reaches there is within the bounds that `contradictions` allows, also without counts.
    """
    counts = record.counts.get("test")
    if counts is not None and counts.confusion and not counts.problem:
        return max(ClassTotals.of(counts).occurring) / counts.total
    own = record.declared is not None and record.declared.task is not None
    return None if own or declared.dataset is None else 0.0


def _splits(record: Record) -> Iterator[str]:
    """Yield metrics of a split that was not evaluated."""
    if record.trial.get("evaluate", "test") != "test":
        names = [name for name in record.metrics if name.startswith("test_")]
        if names:
            yield f"{names[0]} of a trial that does not read the test split"
    if record.data.get("validation") == 0:
        names = [name for name in record.metrics if name.startswith("validation_")]
        if names:
            yield f"{names[0]} of a trial without a validation split"


def _counted(record: Record, declared: Declared) -> Check:
    """Compare metrics with integers: those of the record, or those that there must have been."""
    dataset = declared.dataset
    if dataset is not None and dataset.regression:
        return Check(COUNTED, skipped="the targets are real numbers")
    problems = []
    if problem := confusion_problem(record.counts, record.metrics):
        problems.append(problem)
    sizes: dict[str, int | None] = {}
    for split in ("test", "validation"):
        sizes[split] = declared.predictions(record, split)
        measured = f"{split}_accuracy" in record.metrics
        problems += _split_counts(record, declared, split, sizes[split] if measured else None)
    compared = 0
    for name, value in record.metrics.items():
        of = passes(name)
        number = None if of is None else sizes[of[0]]
        if of is None or number is None:
            continue
        compared += 1
        count = value * number * of[1]
        if abs(count - round(count)) >= TOLERANCE:
            predictions = f"{number:,} predictions" + (f" in {of[1]} passes" if of[1] > 1 else "")
            problems.append(f"{name} is {value!r}, no whole number of {predictions}")
    if problems or compared:
        return Check(COUNTED, tuple(problems), how="with counts" if record.counts else "k/n")
    return Check(COUNTED, skipped="how many predictions there are is not known")


def _split_counts(
    record: Record, declared: Declared, split: str, predictions: int | None
) -> Iterator[str]:
    counts, dataset = record.counts.get(split), declared.dataset  # type: ignore[call-overload]
    if counts is None:
        if predictions is not None and dataset and record.schema_version >= COUNTED_SINCE:
            yield f"it has no counts of the {split} split, which its schema version holds"
        return
    if predictions is not None and counts.total != predictions:
        yield f"counts.{split} has {counts.total:,} predictions, not {predictions:,}"
    if f"{split}_accuracy" not in record.metrics:
        yield f"counts.{split} without {split}_accuracy"
    if dataset is None:
        return
    classes = dataset.classes if dataset.kind != "text" and dataset.classes <= MAX_CLASSES else 0
    if len(counts.confusion) != classes:
        yield f"counts.{split} has a confusion matrix of {len(counts.confusion)}, not {classes}"


# ------------------------------------------------------------------ layers


def _layers(record: Record) -> Iterator[str]:
    for layer in record.layers:
        yield from _units(layer)
    yield from _active(record)
    metrics, layers = record.metrics, [layer for layer in record.layers if layer.units]
    if layers:
        units = sum(layer.units or 0 for layer in layers)
        unconnected = sum(layer.unconnected_units or 0 for layer in layers)
        yield from _follows(metrics, "unconnected_units", unconnected / units)
        collapsed = sum(layer.zeros == layer.size for layer in layers)
        yield from _follows(metrics, "collapsed_layers", collapsed)
    watched = [layer for layer in layers if layer.silent_units is not None]
    if watched:
        silent = sum(layer.silent_units or 0 for layer in watched)
        units = sum(layer.units or 0 for layer in watched)
        yield from _follows(metrics, "silent_units", silent / units)
    if record.declared is None:  # the suite's own networks are in single precision
        yield from _bytes(record)


def _active(record: Record) -> Iterator[str]:
    """Yield where weights that are not zero at the end are said never to have been active."""
    explored, active = record.metrics.get("exploration_rate"), 1 - record.sparsity
    if record.layers and explored is not None and explored < active * (1 - 1e-9):
        yield f"exploration_rate is {explored:.6g}: {active:.6g} of all weights are active at last"


def _follows(metrics: dict[str, float], name: str, value: float) -> Iterator[str]:
    if name in metrics and not math.isclose(metrics[name], value, rel_tol=1e-9):
        yield f"{name} is {metrics[name]:.6g}, its layers give {value:.6g}"


def _units(layer: LayerRecord) -> Iterator[str]:
    """Yield what a layer's numbers of units cannot be; each unit has as many weights."""
    units, unconnected, silent = layer.units, layer.unconnected_units, layer.silent_units
    if units is None:
        return
    where = f"layer {layer.name}"
    if units < 1 or layer.size % units:
        yield f"{where}: {units} units of {layer.size:,} weights"
        return
    if not 0 <= (silent or 0) <= units:
        yield f"{where}: {silent} of {units} units cannot be silent"
    if unconnected is None:
        return
    active, inputs = layer.size - layer.zeros, layer.size // units
    least = max(0, units - active)
    most = units - math.ceil(active / inputs)
    if not least <= unconnected <= most:
        yield (
            f"{where}: {unconnected} of {units} units are not connected; with {active:,} active "
            f"weights it is {least} to {most}"
        )


def _bytes(record: Record) -> Iterator[str]:
    """Yield what sizes on disk, and the formats of layers, cannot be."""
    saved = slack = 0
    for layer in record.layers:
        if layer.storage is None or len(layer.shape) < 2:
            return
        sizes = _sizes(layer)
        if sizes[layer.storage] > min(sizes.values()):
            best = min(sizes, key=lambda name: sizes[name])
            yield f"layer {layer.name}: stored as {layer.storage}, {best} is smaller"
        saved += sizes["dense"] - sizes[layer.storage]
        slack += 3 * (ENTRY + len(layer.name))
    metrics = record.metrics
    if record.layers and {"dense_bytes", "sparse_bytes"} <= metrics.keys():
        off = metrics["dense_bytes"] - metrics["sparse_bytes"] - saved
        if abs(off) > slack:
            yield (
                f"sparse_bytes is {metrics['sparse_bytes']:,.0f}: its layers save {saved:,} of "
                f"dense_bytes, {metrics['dense_bytes']:,.0f}"
            )


def _sizes(layer: LayerRecord) -> dict[str, int]:
    """Return the bytes of a layer's weights in each format (`suite.evaluation.model_size`)."""
    size, rows = layer.size, layer.shape[0]
    columns = size // rows
    values = FLOAT_BYTES * (size - layer.zeros)
    width = 1 if columns <= 2**8 else 2 if columns <= 2**16 else INDEX_BYTES
    return {
        "dense": FLOAT_BYTES * size,
        "bitmap": values + math.ceil(size / 8),
        "csr": values + INDEX_BYTES * (rows + 1) + width * (size - layer.zeros),
    }
