"""Running trials: each ends as a folder in the store, done or failed, and the study goes on."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from suite.config import Trial
from suite.errors import InvalidInput
from suite.results.record import Record, failed, to_json
from suite.results.store import Store

Finished = Callable[[Trial, Record], None]


@dataclass(frozen=True)
class Summary:
    """How a study ended: the number of trials that finished and failed in this run."""

    done: int
    failed: list[tuple[Trial, str]]


def execute(
    trial: Trial, store: Store, progress: Callable[[int], None] = lambda steps: None
) -> Record:
    """Run one trial in this process and write its folder; a failure is written as one.

    Raises:
        StoreUnusable: the result cannot be written.
    """
    from suite.training.trial import run_trial

    try:
        outcome = run_trial(trial, progress)
        files, record = outcome.files(), outcome.record
    except (Exception, SystemExit) as error:  # what a method does wrong ends its own trial only
        record = failed(trial, error)
        text = str(error) if isinstance(error, InvalidInput) else traceback.format_exc()
        files = {
            "trial.json": to_json(trial.resolved()),
            "record.json": record.to_json(),
            "error.txt": f"{text}\n".encode(),
        }
    store.write(trial.key, files)
    return record
