"""An Optuna study shared by several processes, each of which claims trials to run.

Optuna's own heartbeat works only inside `study.optimize` and with databases. Here a process
claims a trial by an atomic change of its state. A trial claimed by a process that has died is
marked as abandoned by any other process and can be claimed again.
"""

import contextlib
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from suite.core.leases import Owner
from suite.tuning.sampling import FinishedTrial, Proposal, frozen_trial
from suite.tuning.schema import Dimension, check_same_settings

HEARTBEAT_SECONDS = 10.0
GRACE_SECONDS = 60.0
"""A claim is abandoned after this long without a heartbeat, or if its process is certainly gone."""

NUMBER_ATTR = "number"
WORKER_ATTR = "worker"
HEARTBEAT_ATTR = "beat"
ABANDONED_ATTR = "lost"
RESULT_ATTR = "told"
"""User attributes of Optuna's trials; the strings are stored, so they must not change."""
SETTINGS_ATTR = "asked"
"""The user attribute of a study that has its settings; stored, too."""


class SharedStudy:
    """The trials of one method's search, by number.

    A trial's number is its position in the search, stored as a user attribute (it is not Optuna's
    own number). If several have the same number, the first one that is not abandoned counts.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        directions: Sequence[str],
        settings: Mapping[str, Any],
        metrics: Sequence[str],
    ) -> None:
        """Open or create the study; `metrics` name its objectives, for optuna-dashboard.

        Raises:
            InvalidInput: a study of that name exists with other settings.
        """
        self._storage = storage
        self._study = optuna.create_study(
            study_name=name, storage=storage, directions=list(directions), load_if_exists=True
        )
        if SETTINGS_ATTR not in self._study.user_attrs:
            self._study.set_user_attr(SETTINGS_ATTR, dict(settings))
        check_stored(storage, name, settings)  # another process may have created it meanwhile
        self._name_metrics(metrics)
        self._me = Owner.current().label()
        self._seen: dict[int, tuple[tuple[Any, Any], float]] = {}

    def _name_metrics(self, metrics: Sequence[str]) -> None:
        if self._study.metric_names is not None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names(list(metrics))

    def trials(self) -> dict[int, FrozenTrial]:
        """Return the trials that count, by number."""
        counted: dict[int, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            if NUMBER_ATTR in trial.user_attrs and not _is_abandoned(trial):
                counted.setdefault(trial.user_attrs[NUMBER_ATTR], trial)
        return counted

    def enqueue(self, space: Sequence[Dimension], proposals: Mapping[int, Proposal]) -> None:
        """Add configurations by number; drop duplicates that another process added first."""
        for number, proposal in proposals.items():
            self._study.add_trial(
                frozen_trial(
                    space,
                    proposal.parameters,
                    state=TrialState.WAITING,
                    user_attrs={NUMBER_ATTR: number, "asked": proposal.asked},
                    system_attrs=proposal.attributes,
                )
            )
        counted = {trial._trial_id for trial in self.trials().values()}
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING and trial._trial_id not in counted:
                self._abandon(trial)

    def claim(self, numbers: Iterable[int], limit: int) -> list[int]:
        """Claim up to `limit` waiting trials for this process; return their numbers."""
        claimed: list[int] = []
        trials = self.trials()
        for number in numbers:
            trial = trials.get(number)
            if len(claimed) == limit:
                break
            if trial is None or trial.state != TrialState.WAITING:
                continue
            with contextlib.suppress(UpdateFinishedTrialError):
                if self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    self._storage.set_trial_user_attr(trial._trial_id, WORKER_ATTR, self._me)
                    claimed.append(number)
        return claimed

    def tell(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None,
        curve: Sequence[float],
        result: Mapping[str, Any],
    ) -> None:
        """Finish a trial claimed by this process; does nothing if the claim was abandoned."""
        trial = self.trials().get(number)
        if trial is None or trial.user_attrs.get(WORKER_ATTR) != self._me:
            return
        with contextlib.suppress(UpdateFinishedTrialError):
            single = len(self._study.directions) == 1
            for step, value in enumerate(curve if single else (), 1):
                self._storage.set_trial_intermediate_value(trial._trial_id, step, value)
            self._storage.set_trial_user_attr(trial._trial_id, RESULT_ATTR, dict(result))
            self._storage.set_trial_state_values(
                trial._trial_id, state, None if values is None else list(values)
            )

    def reclaim(self, numbers: Iterable[int]) -> list[int]:
        """Abandon the claims of dead processes; return the numbers that can be claimed again."""
        freed = []
        trials = self.trials()
        for number in numbers:
            trial = trials.get(number)
            if trial is not None and trial.state == TrialState.RUNNING and self._is_gone(trial):
                self._abandon(trial)
                freed.append(number)
        return freed

    def _is_gone(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER_ATTR)
        if worker == self._me:
            return False
        owner = Owner.parse(worker) if isinstance(worker, str) else None
        if owner is not None and owner.is_alive() is False:
            return True
        sign, now = (worker, trial.user_attrs.get(HEARTBEAT_ATTR)), time.monotonic()
        before, since = self._seen.get(trial._trial_id, (None, now))
        if before != sign:
            since = now
        self._seen[trial._trial_id] = (sign, since)
        return now - since > GRACE_SECONDS

    def _abandon(self, trial: FrozenTrial) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial._trial_id, ABANDONED_ATTR, True)
            self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    @contextlib.contextmanager
    def heartbeat(self, numbers: Sequence[int]) -> Iterator[None]:
        """Write heartbeats for claims in the context; at the end abandon unfinished ones."""
        ids = [self.trials()[number]._trial_id for number in numbers]
        done = threading.Event()

        def beat() -> None:
            count = 0
            while not done.wait(HEARTBEAT_SECONDS):
                count += 1
                for trial_id in ids:
                    with contextlib.suppress(Exception):  # finished by now, or no connection
                        self._storage.set_trial_user_attr(trial_id, HEARTBEAT_ATTR, count)

        thread = threading.Thread(target=beat, daemon=True, name="tuning-heartbeat")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            trials = self.trials()
            for trial in (trials[number] for number in numbers if number in trials):
                if trial.user_attrs.get(WORKER_ATTR) == self._me:
                    self._abandon(trial)


def check_stored(storage: Any, name: str, settings: Mapping[str, Any]) -> None:
    """Check that a study of that name, if there is one, has these settings; create nothing.

    Raises:
        InvalidInput: it has others.
    """
    try:
        stored = storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    except KeyError:
        return
    if SETTINGS_ATTR in stored:
        check_same_settings(f"study {name}", stored[SETTINGS_ATTR], settings)


def shares(trials: Mapping[int, FrozenTrial]) -> dict[int, float]:
    """Return what finished trials cost, by number: the share of a whole trial's training.

    Trials that an earlier version has pruned count as whole ones, as they did then.
    """
    return {
        number: trial.user_attrs.get(RESULT_ATTR, {}).get("share", 1.0)
        for number, trial in trials.items()
        if trial.state.is_finished()
    }


def finished_trial(trial: FrozenTrial) -> FinishedTrial:
    """Return an Optuna trial in the form that samplers and pruners need."""
    result = trial.user_attrs.get(RESULT_ATTR, {})
    return FinishedTrial(
        trial.state,
        trial.params,
        trial.values or (),
        result.get("curve", ()),
        trial.system_attrs,
        trial.user_attrs.get("asked", 0),
        result.get("curves", {}),
    )


def _is_abandoned(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get(ABANDONED_ATTR))
