"""What worker processes do in place of training, for tests and benchmarks of engines."""

import os
from typing import Any

from suite.experiments.trial_config import Trial
from suite.results.record import Record, to_json
from suite.results.store import Store
from tests.support.sample_records import done


def environment(trial: Trial, store: Store, **_: Any) -> Record:
    """Leave what the process sees of the machine."""
    record = done(trial)
    record.notes = [
        os.environ["RESONANCE_TEST_WORD"],
        os.environ["CUDA_VISIBLE_DEVICES"],
        os.environ["OMP_NUM_THREADS"],
    ]
    return write(trial, store, record)


def nothing(trial: Trial, store: Store, **_: Any) -> Record:
    """Do no work, and leave a record as a finished trial does."""
    return write(trial, store, done(trial))


def write(trial: Trial, store: Store, record: Record) -> Record:
    store.write(
        trial.key, {"record.json": record.to_json(), "trial.json": to_json(trial.resolved())}
    )
    return record
