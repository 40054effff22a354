"""Records as trials would leave them, made without training."""

import contextlib
from collections.abc import Iterator
from typing import Any

from suite.core.declarations import Declared
from suite.experiments.trial_config import Trial
from suite.results.counts import Counts
from suite.results.record import LayerRecord, Record


def make_trial(method: str = "static", **given: Any) -> Trial:
    """Return a trial on digits; sparse methods at 0.9."""
    given.setdefault("sparsity", 0.0 if method == "dense" else 0.9)
    return Trial.make(**{"task": "digits/mlp", "method": method} | given)


def done(trial: Trial, accuracy: float = 0.9, training: float = 100.0) -> Record:
    """Return the record of a finished trial."""
    size = 1000
    return Record(
        key=trial.key,
        status="done",
        trial=trial.model_dump(mode="json"),
        configuration=trial.resolved(),
        metrics={f"{trial.evaluate}_accuracy": accuracy}
        | ({"test_nll": 0.3} if trial.evaluate == "test" else {}),
        layers=[
            LayerRecord(name="1", shape=(10, 100), zeros=int(trial.sparsity * size), flops=2000.0)
        ],
        flops={
            "inference_dense": 2000.0,
            "inference": 200.0,
            "training": training,
            "scoring": 0.0,
            "method": 0.0,
        },
        timing={"started": "2025-01-01T00:00:00+00:00", "seconds": 1.5, "peak_memory_bytes": None},
        environment={"torch": "2.11"},
        data=data_of(trial),
        digests={"model": "0" * 64},
        notes=["trained on all training data"],
    )


def data_of(trial: Trial) -> dict[str, Any]:
    """Return what a record says of its data, as the trial's dataset is declared."""
    dataset = trial.dataset_declaration
    train = dataset.training_examples(
        trial.task_declaration.resolve_recipe(trial.recipe).validation
    )
    return {
        "checksum": dataset.checksum or "0123456789abcdef" * 4,
        "train": train,
        "validation": dataset.train - train,
        "test": dataset.test,
    }


def with_counts(record: Record, classes: int = 10) -> Record:
    """Return a record with the counts that its accuracy implies."""
    split = record.trial.get("evaluate", "test")
    total = record.data[split]
    right = round(record.metrics[f"{split}_accuracy"] * total)
    cells = [cell for cell in ((0, 0, right), (0, 1, total - right)) if cell[2]]
    return record.model_copy(update={"counts": {split: Counts.of_cells(cells, classes)}})


def done_real(trial: Trial, r2: float = 0.4, rmse: float = 50.0) -> Record:
    """Return the record of a finished trial on real targets, which ranks by R²."""
    of_labels = done(trial)
    metrics = {f"{trial.evaluate}_r2": r2, f"{trial.evaluate}_rmse": rmse}
    return of_labels.model_copy(update={"metric": "r2", "metrics": metrics})


@contextlib.contextmanager
def revised(declared: Declared, revision: int) -> Iterator[None]:
    """Give a declaration, which is shared by all of this process, another revision for a while."""
    before = declared.revision
    object.__setattr__(declared, "revision", revision)
    try:
        yield
    finally:
        object.__setattr__(declared, "revision", before)
