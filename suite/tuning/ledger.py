"""Which trial of a search is whose: an Optuna study that several processes write to.

Optuna's own heartbeat works inside `study.optimize` and on databases alone. Here a process claims
trials one by one, by a change of state that only one can make; what a killed process had claimed
is given up by whoever notices, and is there to be claimed again.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from suite.core.errors import InvalidInput
from suite.core.files import is_running
from suite.core.redact import redact, redact_address
from suite.tuning.document import Dimension, refuse_other
from suite.tuning.sampling import Past, Proposal, distributions

BEAT_SECONDS = 10.0
GRACE_SECONDS = 60.0
"""A claim is given up when its process has shown no sign for so long, or is known to be dead."""

CONNECT_SECONDS = 10
CREATED_TOGETHER = 5

SLOT, WORKER, BEAT, LOST, TOLD = "number", "worker", "beat", "lost", "told"
Sign = tuple[Any, Any]


class StorageLost(InvalidInput):
    """The database of a study went away during the search."""


def open_storage(location: str) -> Any:
    """Return Optuna's storage: a database by URL, or a journal file.

    Raises:
        InvalidInput: it cannot be reached or opened.
    """
    if "://" not in location:
        return _open_journal(Path(location).resolve())
    url = location
    if url.startswith(("postgresql://", "postgres://")):
        url = f"postgresql+psycopg://{url.split('://', 1)[1]}"
    arguments = {"connect_timeout": CONNECT_SECONDS} if url.startswith("postgresql") else {}
    kwargs = {"connect_args": arguments, "pool_pre_ping": True}
    for attempt in range(CREATED_TOGETHER):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=kwargs)
        except Exception as error:
            # Two processes that create the tables at once get in each other's way; once.
            if attempt + 1 < CREATED_TOGETHER and _is_race(error):
                time.sleep(0.5)
                continue
            raise InvalidInput(
                f"--storage {redact(location)} cannot be opened ({_line(error, location)}): see to "
                "its address, the server and your rights, or leave --storage out for a file"
            ) from error
    raise AssertionError


def _is_race(error: Exception) -> bool:
    return any(word in str(error) for word in ("already exists", "duplicate key", "DuplicateTable"))


@contextlib.contextmanager
def lasting(location: str) -> Iterator[None]:
    """Say in one line that a database was lost while it was needed.

    Raises:
        StorageLost: it was.
    """
    from sqlalchemy.exc import SQLAlchemyError

    # Its pool writes down each connection that it cannot give back: what is lost is said once.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise StorageLost(
            f"--storage {redact(location)} was lost ({_line(cause, location)}); what was finished "
            "is kept: see to the server, then run it again to go on"
        ) from error


def _line(error: Exception, location: str) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    first = " ".join((lines or [type(error).__name__])[0].split())
    return redact_address(first, location)[:300]


def _open_journal(path: Path) -> Any:
    """Open a journal by its absolute path: Optuna's lock names it, from wherever it is asked."""
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        backend = JournalFileBackend(str(path))
        _mend(path)
        return JournalStorage(backend)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise InvalidInput(
            f"journal {path} cannot be used ({_line(error, str(path))}): see to the disk, or name "
            "another with --storage"
        ) from error


def _mend(path: Path) -> None:
    """Cut off a last line that a killed process did not finish: Optuna would read no further.

    Raises:
        ValueError: the last whole line is none of a journal.
    """
    from optuna.storages.journal import JournalFileSymlinkLock

    content = path.read_bytes()
    if lines := content.split(b"\n")[:-1]:
        json.loads(lines[-1])
    if not content or content.endswith(b"\n"):
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()


class Ledger:
    """The trials of one method's search, by number.

    Optuna numbers what it is given; here a trial's number is its place in the search, noted in the
    trial. Of several with one number the first counts that was not given up.
    """

    def __init__(
        self, storage: Any, name: str, directions: Sequence[str], asked: Mapping[str, Any]
    ) -> None:
        """Open or create the study.

        Raises:
            InvalidInput: there is one of that name that was asked something else.
        """
        self._storage = storage
        known = {found.study_name for found in storage.get_all_studies()}
        if name in known:
            study = optuna.load_study(study_name=name, storage=storage)
            _same(name, study.user_attrs.get("asked"), asked)
        self._study = optuna.create_study(
            study_name=name, storage=storage, directions=list(directions), load_if_exists=True
        )
        if "asked" not in self._study.user_attrs:
            self._study.set_user_attr("asked", dict(asked))
        _same(name, self._study.user_attrs["asked"], asked)  # another one may have been faster
        self._me = [socket.gethostname(), os.getpid(), uuid.uuid4().hex[:8]]
        self._seen: dict[int, tuple[Sign, float]] = {}

    def trials(self) -> dict[int, FrozenTrial]:
        """Return the trials that count, by number."""
        found: dict[int, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            if SLOT in trial.user_attrs and not _given_up(trial):
                found.setdefault(trial.user_attrs[SLOT], trial)
        return found

    def put(self, space: Sequence[Dimension], proposals: Mapping[int, Proposal]) -> None:
        """Add configurations to be tried, by number; those that another process added go again."""
        known = distributions(space)
        for number, proposal in proposals.items():
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.WAITING,
                    params=dict(proposal.parameters),
                    distributions={name: known[name] for name in proposal.parameters},
                    user_attrs={SLOT: number, "asked": proposal.asked},
                    system_attrs=proposal.attributes,
                )
            )
        counted = {trial._trial_id for trial in self.trials().values()}
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.WAITING and trial._trial_id not in counted:
                self._give_up(trial)

    def claim(self, numbers: Iterable[int], most: int) -> list[int]:
        """Make up to `most` of the trials that wait this process's own; return their numbers."""
        claimed: list[int] = []
        trials = self.trials()
        for number in numbers:
            trial = trials.get(number)
            if len(claimed) == most:
                break
            if trial is None or trial.state != TrialState.WAITING:
                continue
            with contextlib.suppress(UpdateFinishedTrialError):
                if self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    self._storage.set_trial_user_attr(trial._trial_id, WORKER, self._me)
                    claimed.append(number)
        return claimed

    def tell(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None,
        curve: Sequence[float],
        told: Mapping[str, Any],
    ) -> None:
        """Finish a trial that this process has claimed; one that was given up stays so."""
        trial = self.trials().get(number)
        if trial is None or trial.user_attrs.get(WORKER) != self._me:
            return
        with contextlib.suppress(UpdateFinishedTrialError):
            single = len(self._study.directions) == 1
            for rung, value in enumerate(curve if single else (), 1):
                self._storage.set_trial_intermediate_value(trial._trial_id, rung, value)
            self._storage.set_trial_user_attr(trial._trial_id, TOLD, dict(told))
            self._storage.set_trial_state_values(
                trial._trial_id, state, None if values is None else list(values)
            )

    def release(self, numbers: Iterable[int]) -> None:
        """Give up those of this process's claims that are not finished."""
        trials = self.trials()
        for number in numbers:
            trial = trials.get(number)
            if trial is not None and trial.user_attrs.get(WORKER) == self._me:
                self._give_up(trial)

    def rescue(self, numbers: Iterable[int]) -> list[int]:
        """Give up claims of processes that are gone; return the numbers that are free again."""
        freed = []
        trials = self.trials()
        for number in numbers:
            trial = trials.get(number)
            if trial is not None and trial.state == TrialState.RUNNING and self._is_gone(trial):
                self._give_up(trial)
                freed.append(number)
        return freed

    def _is_gone(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker == self._me:
            return False
        here = worker is not None and worker[0] == self._me[0]
        if here and (worker[1] == self._me[1] or not is_running(worker[1])):
            return True
        sign, now = (worker, trial.user_attrs.get(BEAT)), time.monotonic()
        before, since = self._seen.get(trial._trial_id, (None, now))
        if before != sign:
            since = now
        self._seen[trial._trial_id] = (sign, since)
        return now - since > GRACE_SECONDS

    def _give_up(self, trial: FrozenTrial) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial._trial_id, LOST, True)
            self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    @contextlib.contextmanager
    def held(self, numbers: Sequence[int]) -> Iterator[None]:
        """Show signs of life for claims while they are worked on; give up what is left after."""
        ids = [self.trials()[number]._trial_id for number in numbers]
        over = threading.Event()

        def beat() -> None:
            count = 0
            while not over.wait(BEAT_SECONDS):
                count += 1
                for trial_id in ids:
                    with contextlib.suppress(Exception):  # told meanwhile, or no connection now
                        self._storage.set_trial_user_attr(trial_id, BEAT, count)

        thread = threading.Thread(target=beat, daemon=True, name="tuning-heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.release(numbers)


def past(trial: FrozenTrial) -> Past:
    """Return a finished trial as samplers and pruners see it."""
    return Past(
        trial.state,
        trial.params,
        trial.values or (),
        trial.user_attrs.get(TOLD, {}).get("curve", ()),
        trial.system_attrs,
        trial.user_attrs.get("asked", 0),
    )


def _given_up(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get(LOST))


def _same(name: str, stored: Any, asked: Mapping[str, Any]) -> None:
    """Refuse to go on with a study that was asked something else."""
    if stored is not None:
        refuse_other(f"study {name}", stored, asked)
