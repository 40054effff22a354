"""The stored network of a finished trial: loaded again, or evaluated in full."""

import datetime
import time

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from suite.core.bounded_safetensors import InvalidTensors, metadata
from suite.core.errors import InvalidInput
from suite.evaluation.latency import BATCHES, measure_latency
from suite.evaluation.measure import measure
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation
from suite.training.context import TrialContext
from suite.training.environment import environment
from suite.training.loop import Training
from suite.training.outcome import digests
from suite.training.seeding import reproducible
from suite.training.setup import prepare

WEIGHTS = "model.safetensors"
ALONE = {"processes": 1, "execution": "masked"}
"""In one process and with dense weights, which is how they are stored."""


def evaluate_stored(
    store: Store, record: Record, device: str | None = None, threads: int | None = None
) -> Evaluation:
    """Return every metric of the weights that a finished trial stored; writes nothing.

    `device` and `threads` default to those of the trial.

    Raises:
        InvalidInput: there are no stored weights, they are not those of the record, or the task or
            method has changed since.
    """
    began, now = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    tensors = _weights(store, record)
    trial = _trial(record)
    changes = {"device": device, "threads": threads}
    given = {name: value for name, value in changes.items() if value is not None}
    trial = Trial.make(**trial.model_dump() | ALONE | given)
    with reproducible(torch.device(trial.device), trial.threads):
        training = _restored(trial, tensors, record)
        split, model = training.data.test, training.model
        masks = {name: mask.to(split.device) for name, mask in _part(tensors, "mask/").items()}
        measured = measure(model, masks, trial.dataset_declaration, split, everything=True)
        examples, _ = next(iter(split.batches(max(BATCHES))))
        latency = measure_latency(model, examples)
    return Evaluation(
        key=record.key,
        model=record.digests["model"],
        device=trial.device,
        threads=trial.threads,
        metrics=measured.metrics,
        latency=latency.seconds,
        absent=measured.absent | latency.absent,
        timing={
            "started": now.isoformat(timespec="seconds"),
            "seconds": time.perf_counter() - began,
        },
        environment=environment(split.device),
    )


def _trial(record: Record) -> Trial:
    """Return the record's trial, if its settings still have the same meaning."""
    trial = Trial.make(**record.trial)
    if trial.key != record.key:
        raise InvalidInput(
            f"trial {record.key}: its task or method has changed since; run it again: "
            f"{trial.command()}"
        )
    return trial


def _weights(store: Store, record: Record) -> dict[str, torch.Tensor]:
    """Return the stored tensors, if they are those that the record was made from."""
    try:
        content = store.load(record.key, WEIGHTS)
        metadata(content)
        tensors = load(content)
    except FileNotFoundError as error:
        if record.trial.get("evaluate", "test") != "test":
            raise InvalidInput(
                f"trial {record.key} kept no weights: only trials that are evaluated on the test "
                f"data keep them, this one has evaluate={record.trial['evaluate']}: run it without"
            ) from error
        raise InvalidInput(
            f"trial {record.key} kept no weights ({WEIGHTS} is not there; over 50 MB they are not "
            "kept): choose another trial"
        ) from error
    except (SafetensorError, InvalidTensors) as error:
        raise InvalidInput(f"trial {record.key}: {WEIGHTS} is damaged; run it again") from error
    if digests(tensors) != record.digests:
        raise InvalidInput(
            f"trial {record.key}: {WEIGHTS} are not the weights of its record; run it again"
        )
    return tensors


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}


def _restored(trial: Trial, tensors: dict[str, torch.Tensor], record: Record) -> Training:
    """Return the trial's training with the record's weights loaded."""
    training = prepare(TrialContext.of(trial))
    try:
        training.model.load_state_dict(_part(tensors, "model/"))
    except RuntimeError as error:
        raise InvalidInput(
            f"trial {record.key}: its model has changed since and does not take the kept weights; "
            "run it again"
        ) from error
    return training


def load_stored(store: Store, record: Record) -> tuple[Training, dict[str, torch.Tensor]]:
    """Return a finished trial's training with its stored weights loaded, and the stored tensors.

    On the CPU and in this process only, on whatever device it was trained.

    Raises:
        InvalidInput: as `evaluate_stored`.
    """
    tensors = _weights(store, record)
    trial = Trial.make(**_trial(record).model_dump() | ALONE | {"device": "cpu"})
    training = _restored(trial, tensors, record)
    training.model.eval()
    return training, tensors
