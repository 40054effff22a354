"""The record of a trial: leaderboards and tables are made from records alone."""

import json
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError, model_validator

from suite.config import Trial
from suite.errors import InvalidInput

SCHEMA_VERSION = 1


class LayerRecord(BaseModel):
    """One prunable weight at the end: its shape, its zeros, its dense forward FLOPs per example."""

    model_config = ConfigDict(extra="forbid")

    name: str
    shape: tuple[int, ...]
    zeros: int
    flops: float

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


class Record(BaseModel):
    """Everything a trial has to say. All times are in `timing`; the rest repeats exactly.

    Attributes:
        configuration: every setting with its value, and the revisions (`Trial.resolved`).
        metrics: by name; accuracies as shares of 1.
        layers: the prunable weights.
        flops: forward operations per example (dense, sparse) and all of training.
        timing: seconds, and when; peak memory in bytes.
        environment: versions and hardware.
        data: dataset checksum and sizes of the splits.
        digests: SHA-256 of the final weights and masks.
        notes: what a reader must know (no validation split, for instance).
        error: type and one-line message of a failure.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: StrictInt = SCHEMA_VERSION
    key: str
    status: Literal["done", "failed"]
    trial: dict[str, Any]
    configuration: dict[str, Any]
    metrics: dict[str, float] = {}
    layers: list[LayerRecord] = []
    flops: dict[str, float] = {}
    timing: dict[str, float | str | None] = {}
    environment: dict[str, Any] = {}
    data: dict[str, Any] = {}
    digests: dict[str, str] = {}
    notes: list[str] = []
    error: dict[str, str] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Record":
        """Refuse what no trial leaves: readers rely on these."""
        missing = set(Trial.model_fields) - set(self.trial)
        if self.status == "done":
            missing |= {"test_accuracy"} - set(self.metrics)
            missing |= {"training", "inference", "inference_dense"} - set(self.flops)
        if missing:
            raise ValueError(f"the record lacks {', '.join(sorted(missing))}")
        return self

    @property
    def sparsity(self) -> float:
        """Realised share of zeros among the prunable weights."""
        size = sum(layer.size for layer in self.layers)
        return sum(layer.zeros for layer in self.layers) / size if size else 0.0

    def to_json(self) -> bytes:
        """Return the record as JSON; a NaN or an infinity raises ValueError."""
        return to_json(self.model_dump())

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Record":
        """Read a record.

        Raises:
            InvalidInput: it is not JSON, not a record, or written by a newer schema.
        """
        try:
            content = json.loads(data, parse_constant=_refuse_constant)
            version = content.get("schema_version") if isinstance(content, dict) else None
            if isinstance(version, int) and version > SCHEMA_VERSION:
                raise InvalidInput(
                    f"{where} has schema version {content['schema_version']}, this program reads "
                    f"up to {SCHEMA_VERSION}: update resonance-bench"
                )
            return cls.model_validate(content)
        except (ValueError, ValidationError, RecursionError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(
                f"{where} is not a record ({type(error).__name__}): delete its folder and run the "
                "trial again"
            ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that a record may hold")


def failed(trial: Trial, error: BaseException) -> Record:
    """Return the record of a trial that could not be finished."""
    message = (str(error).splitlines() or [""])[0]
    return Record(
        key=trial.key,
        status="failed",
        trial=trial.model_dump(),
        configuration=trial.resolved(),
        error={"type": type(error).__name__, "message": message},
    )


def to_json(content: Any) -> bytes:
    """Return `content` as readable JSON bytes; a NaN or an infinity raises ValueError."""
    return (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
