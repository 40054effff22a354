"""The outcome of a trial: its record and the files beside it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from suite.evaluation.measure import Measurements
from suite.experiments.trial_config import Trial
from suite.results.correct_bits import CORRECT_BITS, MAX_BYTES, bits_problem
from suite.results.counts import check_counts, confusion_problem
from suite.results.record import ACCURACY, Declarations, LayerRecord, Record, to_json
from suite.training.curves import Curves
from suite.training.environment import environment
from tasks.model_factory import libraries

KEEP_WEIGHTS_BELOW = 50 * 2**20
MAX_SHOWN = 3
"""Modules that a note names; the record has all of them."""
ONE_CLASS_PREDICTED = (
    "every test example is predicted as one and the same class: the network says nothing about its "
    "input"
)


@dataclass(frozen=True)
class Outcome:
    """A finished trial: its record, its curves, its weights and masks.

    `correct_bits` says which test examples it predicts rightly; empty if that is not known.
    """

    trial: Trial
    record: Record
    curves: Curves
    tensors: dict[str, Tensor]
    correct_bits: bytes = b""

    def files(self) -> dict[str, bytes]:
        """Return the files of the trial's folder by name."""
        files = {
            "trial.json": to_json(self.record.configuration),
            "record.json": self.record.to_json(),
            "curves.parquet": self.curves.to_parquet(),
        }
        if 0 < len(self.correct_bits) <= MAX_BYTES:
            files[CORRECT_BITS] = self.correct_bits
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        if size <= KEEP_WEIGHTS_BELOW and self.trial.evaluate == "test":
            files["model.safetensors"] = save(self.tensors, {"trial": self.trial.key})
        return files


def make_outcome(
    trial: Trial,
    *,
    measures: Measurements,
    layers: list[LayerRecord],
    flops: dict[str, float],
    timing: Mapping[str, float | str | None],
    data: Mapping[str, Any],
    tensors: dict[str, Tensor],
    curves: Curves,
    notes: list[str],
    metric: str = ACCURACY,
    steps: int = 0,
    no_update: str = "",
) -> Outcome:
    """Assemble the record of a finished trial, of the training loop or of a trainer.

    `steps` are those of all rounds, where they do not follow from the recipe alone. `metric` is
    what the task ranks by; a trainer that measures accuracy alone leaves it out. `no_update` says
    why a method that updates connectivity never did, and is a note as well. A
    trainer that does not count its predictions leaves out `counts` and `correct_bits` of
    `measures`.

    Raises:
        ValueError: the measures contradict each other.
    """
    check_counts(measures.counts, measures.metrics, data)
    bits, test = measures.correct_bits, measures.counts.get("test")
    problem = confusion_problem(measures.counts, measures.metrics)
    if not problem and bits:
        problem = bits_problem(bits, test) if test else f"{CORRECT_BITS} without counts"
    if problem:
        raise ValueError(problem)
    said = [*notes, no_update] if no_update and no_update not in notes else [*notes]
    if test is not None and test.one_class_predicted:
        said.append(ONE_CLASS_PREDICTED)
    record = Record(
        key=trial.key,
        status="done",
        trial=trial.model_dump(),
        configuration=trial.resolved(),
        metric=metric,
        metrics=measures.metrics,
        absent=measures.absent,
        counts=measures.counts,
        layers=layers,
        flops=flops,
        steps=steps,
        timing=dict(timing),
        environment=environment(torch.device(trial.device), libraries(trial.task_declaration)),
        data=dict(data),
        code=dict(trial.code.digests),
        declared=Declarations.of(trial),
        digests=digests(tensors),
        notes=said,
        no_update=no_update,
    )
    return Outcome(trial, record, curves, tensors, bits)


def with_unseen(outcome: Outcome, modules: Sequence[str]) -> Outcome:
    """Return an outcome whose record names modules that were imported at run time, if any were."""
    if not modules:
        return outcome
    shown = ", ".join(modules[:MAX_SHOWN]) + (", …" if len(modules) > MAX_SHOWN else "")
    note = (
        f"imported at run time: {shown}; results do not notice when it changes: import it with an "
        "import statement, from beside the plug-in or PYTHONPATH"
    )
    changes = {"unseen": list(modules), "notes": [*outcome.record.notes, note]}
    return replace(outcome, record=outcome.record.model_copy(update=changes))


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the SHA-256 of the weights and of the masks among a trial's tensors."""
    by_kind = {}
    for kind in ("model", "mask"):
        digest = hashlib.sha256()
        for name in sorted(name for name in tensors if name.startswith(f"{kind}/")):
            digest.update(name.encode())
            digest.update(tensors[name].flatten().view(torch.uint8).numpy().tobytes())
        by_kind[kind] = digest.hexdigest()
    return by_kind
