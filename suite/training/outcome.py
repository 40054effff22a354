"""The outcome of a trial: its record and the files beside it, whoever trained it."""

import datetime
import hashlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor

from suite.evaluation.measure import Measures
from suite.experiments.trial_config import Trial
from suite.results.record import LayerRecord, Record, to_json
from suite.training.curves import Curves
from suite.training.environment import PeakMemory, environment

KEEP_WEIGHTS_BELOW = 50 * 2**20


@dataclass(frozen=True)
class Outcome:
    """A finished trial: its record, its curves, its weights and masks."""

    trial: Trial
    record: Record
    curves: Curves
    tensors: dict[str, Tensor]

    def files(self) -> dict[str, bytes]:
        """Return the files of the trial's folder by name."""
        files = {
            "trial.json": to_json(self.trial.resolved()),
            "record.json": self.record.to_json(),
            "curves.parquet": self.curves.to_parquet(),
        }
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        if size <= KEEP_WEIGHTS_BELOW and self.trial.evaluate == "test":
            files["model.safetensors"] = save(self.tensors, {"trial": self.trial.key})
        return files


@dataclass(frozen=True)
class Cost:
    """FLOPs of a trial: a forward pass per example, dense and sparse, and all of training."""

    inference_dense: float
    inference: float
    training: float


class Stopwatch:
    """When a trial started, how long it took and how much memory; starts when constructed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started = datetime.datetime.now(datetime.UTC)
        self._began = time.perf_counter()
        self._memory = PeakMemory(device)

    def timing(
        self,
        seconds_per_step: Sequence[float],
        started: datetime.datetime | None = None,
        earlier: float = 0.0,
    ) -> dict[str, float | str | None]:
        """Return the record's timing.

        Args:
            seconds_per_step: of each epoch.
            started: when the first attempt started, where this one resumed it.
            earlier: seconds that earlier attempts took.
        """
        return {
            "started": (started or self._started).isoformat(timespec="seconds"),
            "seconds": earlier + time.perf_counter() - self._began,
            "seconds_per_step": statistics.median(seconds_per_step),
            "peak_memory_bytes": self._memory.read(),
        }


def make_outcome(
    trial: Trial,
    *,
    measures: Measures,
    layers: list[LayerRecord],
    cost: Cost,
    timing: Mapping[str, float | str | None],
    data: Mapping[str, int | str],
    tensors: dict[str, Tensor],
    curves: Curves,
    notes: list[str],
) -> Outcome:
    """Assemble the record of a finished trial, whatever trained it."""
    record = Record(
        key=trial.key,
        status="done",
        trial=trial.model_dump(),
        configuration=trial.resolved(),
        metrics=measures.metrics,
        absent=measures.absent,
        layers=layers,
        flops={
            "inference_dense": cost.inference_dense,
            "inference": cost.inference,
            "training": cost.training,
        },
        timing=dict(timing),
        environment=environment(torch.device(trial.device)),
        data=dict(data),
        digests=digests(tensors),
        notes=notes,
    )
    return Outcome(trial, record, curves, tensors)


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the SHA-256 of the weights and of the masks among a trial's tensors."""
    found = {}
    for kind in ("model", "mask"):
        digest = hashlib.sha256()
        for name in sorted(name for name in tensors if name.startswith(f"{kind}/")):
            digest.update(name.encode())
            digest.update(tensors[name].flatten().view(torch.uint8).numpy().tobytes())
        found[kind] = digest.hexdigest()
    return found
