"""What a study still has to do, decided before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from suite.config import Trial
from suite.results.record import Record
from suite.results.store import Store


class Overwrite(StrEnum):
    """Which trials that have a record are run again."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Schedule:
    """The trials of a study, by what will happen to them.

    Attributes:
        done: finished before; skipped.
        failed: failed before; skipped unless they are also in `to_run`.
        to_run: run now, in this order.
    """

    done: list[Trial]
    failed: list[Trial]
    to_run: list[Trial]

    def __str__(self) -> str:
        words = [f"{len(self.done)} done", f"{len(self.to_run)} to run"]
        again = len({t.key for t in self.failed} & {t.key for t in self.to_run})
        if self.failed:
            words.append(
                f"{len(self.failed)} failed before" + (f", {again} again" if again else "")
            )
        return " · ".join(words)


def schedule(trials: Sequence[Trial], store: Store, overwrite: Overwrite) -> Schedule:
    """Sort the trials by what the store has of them."""
    done: list[Trial] = []
    failed: list[Trial] = []
    to_run: list[Trial] = []
    for trial in trials:
        record: Record | None = store.read(trial.key)
        if record is not None and record.status == "failed":
            failed.append(trial)
            if overwrite is Overwrite.NEVER:
                continue
        elif record is not None and overwrite is not Overwrite.ALWAYS:
            done.append(trial)
            continue
        to_run.append(trial)
    return Schedule(done, failed, to_run)


def preflight(trials: Sequence[Trial]) -> None:
    """Check everything that can be checked without training: options, budgets, data.

    Raises:
        InvalidInput: the first thing found that would make a trial fail.
    """
    from suite.training.trial import make_sparsifier
    from tasks.pipeline import load_arrays

    seen: set[str] = set()
    for trial in trials:
        alike = trial.model_copy(update={"seed": 0})
        if alike.key not in seen:
            seen.add(alike.key)
            make_sparsifier(trial)
            load_arrays(trial.dataset_declaration)
