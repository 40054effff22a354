"""Measurements of a trial's stored weights, made after the trial; stored beside the record."""

import contextlib
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictInt, ValidationError

from suite.core.errors import InvalidInput
from suite.results.record import Record, to_json
from suite.results.store import Store

SCHEMA_VERSION = 1
DEVICES: tuple[Literal["cpu", "cuda"], ...] = ("cpu", "cuda")


class Evaluation(BaseModel, extra="forbid", allow_inf_nan=False):
    """The results of `resonance evaluate` on one kind of device.

    Attributes:
        key: of the trial.
        model: SHA-256 of the weights that were measured (`Record.digests`).
        metrics: by name, as in a record; these repeat exactly.
        latency: median seconds by name: dense_1 is dense, a batch of one.
        absent: why something was not measured.
        timing: when, and how long it took.
        environment: versions and hardware.
    """

    schema_version: StrictInt = Field(default=SCHEMA_VERSION, le=SCHEMA_VERSION)
    key: str
    model: str
    device: Literal["cpu", "cuda"]
    threads: int
    metrics: dict[str, float]
    latency: dict[str, float]
    absent: dict[str, str]
    timing: dict[str, float | str]
    environment: dict[str, Any]


def save_evaluation(store: Store, evaluation: Evaluation) -> None:
    """Store an evaluation, or replace an older one on the same kind of device.

    Raises:
        StoreUnusable: it cannot be written.
    """
    name = _name(evaluation.key, evaluation.device)
    store.backend.save_shared(name, to_json(evaluation.model_dump()))


def remove_evaluation(store: Store, evaluation: Evaluation) -> None:
    """Remove an evaluation, if it is there.

    Raises:
        StoreUnusable: it cannot be removed.
    """
    store.backend.remove_shared(_name(evaluation.key, evaluation.device))


def load_evaluations(store: Store, record: Record) -> list[Evaluation]:
    """Return the evaluations of a trial's current weights; raises as `read_evaluations`."""
    return present(read_evaluations(store, record.key), record)


def present(evaluations: Iterable[Evaluation], record: Record) -> list[Evaluation]:
    """Return the evaluations of a trial's current weights; those of replaced ones are left out."""
    current = (record.key, record.digests.get("model"))
    return [one for one in evaluations if (one.key, one.model) == current]


def read_evaluations(store: Store, key: str) -> list[Evaluation]:
    """Return the evaluations of a trial, whichever weights they measured.

    Raises:
        InvalidInput: one is damaged, or written by a newer program.
    """
    evaluations = []
    for device in DEVICES:
        name = _name(key, device)
        with contextlib.suppress(FileNotFoundError):
            content = store.backend.load_shared(name)
            try:
                evaluations.append(Evaluation.model_validate_json(content))
            except ValidationError as error:
                raise InvalidInput(
                    f"{store.location}/{name} is not an evaluation that this program can read: "
                    "delete it and run `resonance evaluate` again"
                ) from error
    return evaluations


def _name(key: str, device: str) -> str:
    return f"evaluations/{key}-{device}.json"
