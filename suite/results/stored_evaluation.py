"""Measurements of a trial's stored weights, made after the trial; stored beside the record."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, StrictInt, model_validator

from suite.core.errors import InvalidInput
from suite.results.metadata_store import (
    EVALUATIONS,
    FORMATS,
    DamagedDocument,
    document_path,
    load_document,
    save_document,
    validated,
)
from suite.results.metrics import out_of_range
from suite.results.record import Record
from suite.results.store import Store

SCHEMA_VERSION = FORMATS[EVALUATIONS].schema_version
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

    schema_version: StrictInt = SCHEMA_VERSION
    key: str
    model: str
    device: Literal["cpu", "cuda"]
    threads: int
    metrics: dict[str, float]
    latency: dict[str, float]
    absent: dict[str, str]
    timing: dict[str, float | str]
    environment: dict[str, Any]

    @model_validator(mode="after")
    def _possible(self) -> "Evaluation":
        for name, value in self.metrics.items():
            if reason := out_of_range(name, value):
                raise ValueError(reason)
        for name, seconds in self.latency.items():
            if seconds <= 0:
                raise ValueError(f"{name} is {seconds:g} seconds: a latency is above 0")
        return self

    @property
    def document(self) -> str:
        """The name of its document: the trial and the device, of which each has one."""
        return evaluation_name(self.key, self.device)


def save_evaluation(store: Store, evaluation: Evaluation) -> None:
    """Store an evaluation, or replace an older one on the same kind of device.

    Raises:
        StoreUnusable: it cannot be written.
    """
    save_document(store, EVALUATIONS, evaluation.document, evaluation.model_dump(mode="json"))


def remove_evaluation(store: Store, evaluation: Evaluation) -> None:
    """Remove an evaluation, if it is there.

    Raises:
        StoreUnusable: it cannot be removed.
    """
    store.backend.remove_shared(document_path(EVALUATIONS, evaluation.document))


def load_evaluations(
    store: Store, record: Record
) -> tuple[list[Evaluation], list[DamagedDocument]]:
    """Return the evaluations of a trial's current weights, and those that are damaged."""
    found, damaged = read_evaluations(store, record.key)
    return present(found, record), damaged


def present(evaluations: Iterable[Evaluation], record: Record) -> list[Evaluation]:
    """Return the evaluations of a trial's current weights; those of replaced ones are left out."""
    current = (record.key, record.digests.get("model"))
    return [one for one in evaluations if (one.key, one.model) == current]


def read_evaluations(store: Store, key: str) -> tuple[list[Evaluation], list[DamagedDocument]]:
    """Return a trial's evaluations, whichever weights they measured, and those that are damaged."""
    evaluations, damaged = [], []
    for device in DEVICES:
        name = evaluation_name(key, device)
        try:
            content = load_document(store, EVALUATIONS, name)
            if content is not None:
                evaluations.append(parse_evaluation(store, name, content))
        except InvalidInput as error:
            damaged.append(DamagedDocument(document_path(EVALUATIONS, name), error))
    return evaluations, damaged


def parse_evaluation(store: Store, name: str, content: dict[str, Any]) -> Evaluation:
    """Return the evaluation that a document holds.

    Raises:
        Unreadable: it is none, or that of another trial or device.
    """
    return validated(Evaluation, store, EVALUATIONS, name, content, lambda one: one.document)


def evaluation_name(key: str, device: str) -> str:
    """Return the name of the document of a trial's evaluation on a kind of device."""
    return f"{key}-{device}"
