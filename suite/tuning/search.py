"""`resonance tune`: search for each method, then test winner and default on fresh seeds."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from optuna.trial import FrozenTrial, TrialState

from suite.core.console import complain
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.local import default_workers
from suite.execution.plan import Overwrite, schedule
from suite.execution.progress import Display, shown
from suite.execution.runner import run
from suite.experiments import registry
from suite.experiments.trial_config import Trial, task_digest
from suite.results.record import Record
from suite.results.store import Store
from suite.training.epoch_bounds import EpochBounds
from suite.tuning.budget import counted_numbers, next_numbers
from suite.tuning.pruning import PastCurve, epoch_bounds, should_stop
from suite.tuning.resume import note_run_before, resume_config, save_results
from suite.tuning.sampling import (
    BATCH,
    REPEATED_ATTR,
    FinishedTrial,
    Proposal,
    always_numeric,
    directions,
    propose,
)
from suite.tuning.schema import KIND, MAXIMISED, Candidate, Dimension, Tuning, TuningConfig
from suite.tuning.shared_study import RESULT_ATTR, SharedStudy, check_stored, finished_trial, shares
from suite.tuning.space import (
    DEFAULT,
    Configuration,
    Values,
    configuration,
    default_point,
    spaces_of,
)
from suite.tuning.storage import check_location, opened_storage
from suite.tuning.trained import Trained, agreed_bounds, cell_of, count_epochs, epoch_scores

POLL_SECONDS = 1.0
MIN_CMAES = 2
"""Dimensions that CMA-ES needs; Optuna would draw all values at random with fewer."""


def _validated(objective: str, record: Record) -> float:
    """Return a metric of the validation split.

    Raises:
        InvalidInput: the trial was made by an earlier version, which did not measure it.
    """
    try:
        return record.metrics[f"validation_{objective}"]
    except KeyError:
        raise InvalidInput(
            f"trial {record.key} was made by an earlier version, which did not measure "
            f"validation_{objective}: give --objectives accuracy, or another --store"
        ) from None


MEASURED: dict[str, Callable[[Record], float]] = {
    **{name: functools.partial(_validated, name) for name in MAXIMISED},
    "train_flops": lambda record: record.flops["training"],
    "inference_flops": lambda record: record.flops["inference"],
}
"""How each objective is read from a trial's record."""

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def journal(store: Store, name: str) -> str:
    """Return the default path of a tuning's journal: absolute, in the store.

    Raises:
        InvalidInput: the store is not a folder.
    """
    if not store.local:
        raise InvalidInput(
            f"store {store.location} is not a folder, so the study must be stored elsewhere: "
            "give --storage a journal file or postgresql://…"
        )
    return str((store.root / KIND / f"{name}.journal").resolve())


class TrialObserver(Protocol):
    """Is told the keys of trials as they are trained."""

    def started(self, key: str) -> None:
        """Take note of a trial that is about to be trained."""

    def finished(self, key: str) -> None:
        """Take note of a trial that is in the store, done or failed."""

    def pruned(self, key: str) -> None:
        """Take note of a trial that was ended early, and is not in the store."""


def tune(
    settings: TuningConfig,
    store: Store,
    options: EngineOptions,
    storage: str | None = None,
    observer: TrialObserver | None = None,
) -> Tuning:
    """Search for every method, run winners and defaults on fresh seeds, and save the results.

    An existing tuning of that name is resumed, also with a larger budget; trials of an earlier,
    larger budget count. Processes with the same storage and store share the work.

    Raises:
        InvalidInput: an input is invalid, or the stored study or tuning has other settings; nothing
            was trained or written.
        StorageLost: the connection to the database was lost.
        JournalLost: the journal could not be written or read during the search.
        KeyboardInterrupt: the user stopped it; finished trials are kept.
    """
    spaces = spaces_of(settings.methods, settings.tasks, settings.tuned_recipe)
    options.check()
    location = storage or journal(store, settings.name)
    check_location(location)
    settings = resume_config(settings, spaces, store)
    searches = [Search(settings, name, spaces[name], store, options, observer) for name in spaces]
    for one in searches:
        one.check()
    defaults = [trial for one in searches for rung in one.rungs(DEFAULT) for trial in rung]
    options.preflight(defaults)
    for one in searches:
        one.check_space()
    _check_measured(defaults, settings.objectives, store)
    with opened_storage(location) as opened:
        for search in searches:
            search.check_stored(opened)
        for search in searches:
            search.open(opened)
        store.prepare()
        for search in searches:
            search.run()
            tuning = save_results(settings, searches, store, ())
        finals = [
            trial
            for search in searches
            for part in search.final(tuning.methods[search.method].best, settings.final_seeds)
            for trial in part
        ]
        for unread in note_run_before(tuning, [trial.key for trial in finals], store):
            complain(f"left out: {unread.reason}")
        with shown(f"{settings.name}: fresh seeds", store) as display:
            _run(finals, store, options, settings, display, observer=observer)
        return save_results(settings, searches, store, settings.final_seeds)


class Search:
    """The search of one method."""

    def __init__(
        self,
        settings: TuningConfig,
        method: str,
        space: list[Dimension],
        store: Store,
        options: EngineOptions,
        observer: TrialObserver | None = None,
    ) -> None:
        self.settings, self.method, self.space = settings, method, space
        self.store, self.options, self.observer = store, options, observer
        self.declared = registry.methods()[method]
        self.tasks = [registry.tasks()[name] for name in settings.tasks]
        self.sparsities = (0.0,) if self.declared.dense else settings.sparsities
        self.study: SharedStudy  # see `open`

    @property
    def _name(self) -> str:
        return f"{self.settings.name}/{self.method}"

    def check_stored(self, storage: Any) -> None:
        """Check the shared study, if there is one, without creating it. Raises as `open` does."""
        check_stored(storage, self._name, self._identity())

    def open(self, storage: Any) -> None:
        """Open or create the shared study. Raises as `SharedStudy` does."""
        metrics = self.settings.objectives
        self.study = SharedStudy(
            storage, self._name, directions(self.settings), self._identity(), metrics
        )

    def _identity(self) -> dict[str, Any]:
        """Return everything that determines which trials are proposed and what their values are."""
        content = self.settings.model_dump(mode="json", exclude={"name", "budget", "final_seeds"})
        if self.settings.prune_after == "seed":
            del content["prune_after"]  # studies of earlier versions have no such setting
        content |= {f"space of {d.name}": str(d) for d in self.space}
        for task in self.tasks:
            dataset = registry.datasets()[task.dataset]
            content[f"task {task.name}"] = [
                task.revision,
                dataset.revision,
                task_digest(task, dataset),
            ]
        return content | {"revision": self.declared.revision}

    def check(self) -> None:
        """Check that sampler and pruner fit the search space, the training and the engine.

        Raises:
            InvalidInput: one does not.
        """
        settings = self.settings
        if settings.sampler == "cmaes" and len(known := always_numeric(self.space)) < MIN_CMAES:
            names = ", ".join(dimension.name for dimension in known) or "none"
            raise InvalidInput(
                f"--sampler cmaes needs {MIN_CMAES} numbers to tune that apply in every "
                f"configuration, and method {self.method} has {names}: add fields with --recipe "
                "(learning_rate, weight_decay), or give another sampler"
            )
        if settings.prune_after != "epoch":
            return
        if self.options.engine is EngineName.SLURM:
            raise InvalidInput(
                "--prune-after epoch: a Slurm job returns nothing but the record of a finished "
                "trial; give --prune-after seed, or another engine"
            )
        is_tuned = any(dimension.name == "flops_budget" for dimension in self.space)
        for trial in self._trials(DEFAULT, settings.seeds[:1], "validation"):
            budget = trial.task_declaration.resolve_recipe(trial.recipe).flops_budget
            if budget or is_tuned:
                raise InvalidInput(
                    "--prune-after epoch: under a flops_budget trainings differ in the number of "
                    "their epochs, so that their scores after one cannot be compared; give "
                    "--prune-after seed"
                )
            if (epochs := count_epochs(trial)) < 2:
                raise InvalidInput(
                    f"--prune-after epoch: task {trial.task} trains for {epochs} epoch, after "
                    "which nothing is left to stop: give --recipe epochs=N"
                )

    def check_space(self) -> None:
        """Check that the search space has configurations that fit the training.

        Raises:
            InvalidInput: it has none.
        """
        assert self._first_batch

    @functools.cached_property
    def _first_batch(self) -> list[Proposal]:
        return self._proposed([])

    # ------------------------------------------------------------------ searching

    def run(self) -> None:
        """Try configurations batch by batch until the budget is used up."""
        budget, limit = self.settings.budget, self._claim_limit()
        title = f"{self.settings.name}: {self.method}"
        with shown(title, self.store, budget, "configurations") as display:
            while True:
                trials = self.study.trials()
                cost = shares(trials)
                done = sum(cost[number] for number in counted_numbers(cost, budget))
                display.advance(done)
                numbers = next_numbers(cost, budget)
                if not numbers:
                    return
                first = numbers[0] // BATCH * BATCH
                batch = range(first, first + BATCH)
                missing = [n for n in numbers if n not in trials]
                if missing:
                    proposals = dict(zip(batch, self._propose(trials, first), strict=True))
                    self.study.enqueue(self.space, {n: proposals[n] for n in missing})
                if claimed := self.study.claim(numbers, limit):
                    self._run_claimed(claimed, first, display)
                elif not missing and not self.study.reclaim(numbers):
                    time.sleep(POLL_SECONDS)

    def _claim_limit(self) -> int:
        """Return how many configurations keep this process's workers busy."""
        workers = self.options.workers or default_workers(self.settings.threads)
        units = len(self.rungs(DEFAULT)[0])
        return max(1, -(-workers // units))

    def _propose(self, trials: Mapping[int, FrozenTrial], first: int) -> list[Proposal]:
        if first == 0:
            return self._first_batch
        return self._proposed([finished_trial(trials[n]) for n in range(first)])

    def _proposed(self, before: Sequence[FinishedTrial]) -> list[Proposal]:
        default = default_point(self.space, self.declared, self.tasks)
        return propose(self.space, self.settings, self.method, before, default, self.effect)

    def effect(self, chosen: Values) -> str | None:
        """Return the canonical form of a configuration; equal forms train the same networks.

        None if the method rejects the values, or if a method with connectivity updates would never
        make one.
        """
        from suite.training.canonical_config import canonical_config
        from suite.training.context import TrialContext

        texts = []
        try:
            trials = self._trials(
                configuration(self.space, chosen), self.settings.seeds[:1], "validation"
            )
            for trial in trials:
                sparsifier = TrialContext.of(trial).make_sparsifier()
                if sparsifier.is_idle():
                    return None
                texts.append(canonical_config(trial, sparsifier))
        except InvalidInput:
            return None
        return "\n".join(texts)

    def rungs(self, chosen: Configuration) -> list[list[Trial]]:
        """Return a configuration's trials: all in one rung, or one rung per seed with a pruner."""
        by_seed = [self._trials(chosen, [seed], "validation") for seed in self.settings.seeds]
        if self.settings.pruner == "none":
            return [[trial for rung in by_seed for trial in rung]]
        return by_seed

    def _trials(self, chosen: Configuration, seeds: Iterable[int], split: str) -> list[Trial]:
        s = self.settings
        return [
            Trial.make(
                task=task,
                method=self.method,
                sparsity=sparsity,
                seed=seed,
                hyperparameters=chosen["hyperparameters"],
                recipe=s.recipe | chosen["recipe"],
                device=s.device,
                precision=s.precision,
                threads=s.threads,
                evaluate=split,
            )
            for seed in seeds
            for task in s.tasks
            for sparsity in self.sparsities
        ]

    def _run_claimed(self, numbers: Sequence[int], first: int, display: Display) -> None:
        """Run claimed configurations rung by rung, prune, and report their results."""
        trials = self.study.trials()
        before = [finished_trial(trials[n]) for n in range(first)]
        jobs = {
            n: Trained(
                self.rungs(self._configuration(n, trials[n])),
                repeated=REPEATED_ATTR in trials[n].system_attrs,
            )
            for n in numbers
        }
        with self.study.heartbeat(numbers):
            for rung in range(len(jobs[numbers[0]].rungs)):
                bounds = {n: self._bounds(n, job.rungs[rung], before) for n, job in jobs.items()}
                wanted = [trial for job in jobs.values() for trial in job.rungs[rung]]
                given = agreed_bounds(bounds.values())
                ended = _run(
                    wanted,
                    self.store,
                    self.options,
                    self.settings,
                    display,
                    given,
                    self.observer,
                )
                jobs = {
                    n: job
                    for n, job in jobs.items()
                    if self._continues(n, job, rung, before, bounds[n], ended)
                }

    def _bounds(
        self, number: int, trials: Sequence[Trial], before: Sequence[FinishedTrial]
    ) -> dict[str, EpochBounds]:
        """Return the bounds of a configuration's trainings, by key; the default has none."""
        if number == 0 or self.settings.prune_after != "epoch":
            return {}
        found = {}
        for trial in trials:
            past = [
                PastCurve(n, one.state == TrialState.COMPLETE, one.curves[cell_of(trial)])
                for n, one in enumerate(before)
                if cell_of(trial) in one.curves
            ]
            epochs = count_epochs(trial)
            found[trial.key] = epoch_bounds(self.settings.pruner, number, past, epochs)
        return found

    def _continues(
        self,
        number: int,
        job: Trained,
        rung: int,
        before: Sequence[FinishedTrial],
        bounds: Mapping[str, EpochBounds],
        ended: Mapping[str, tuple[float, ...]],
    ) -> bool:
        """Return whether a configuration goes to the next rung; if not, report its result.

        `ended` are the scores of the trainings that ended below a bound, by key.
        """
        pruned = False
        job.keys += [trial.key for trial in job.rungs[rung] if trial.key not in ended]
        for trial in job.rungs[rung]:
            record, why = _read(self.store, trial.key)
            if trial.key in ended:
                job.curves[cell_of(trial)], pruned = ended[trial.key], True
                continue
            if record is None or record.error is not None:
                why = why if record is None else (record.error or {}).get("message", "")
                self._tell(number, TrialState.FAIL, job, reason=f"{trial.describe()}: {why}")
                return False
            if self.settings.prune_after == "epoch":
                scores = epoch_scores(self.store, record)
                limit = bounds[trial.key].ends_after(scores[:-1]) if bounds else None
                job.curves[cell_of(trial)], pruned = scores[:limit], pruned or limit is not None
        if pruned:
            self._tell(number, TrialState.PRUNED, job, share=job.share(rung))
            return False
        records = [record for key in job.keys if (record := self.store.read(key)) is not None]
        values = [
            sum(MEASURED[name](record) for record in records) / len(records)
            for name in self.settings.objectives
        ]
        if self.settings.pruner != "none":
            job.means.append(values[0])
        if rung + 1 == len(job.rungs):
            self._tell(number, TrialState.COMPLETE, job, values)
            return False
        between_seeds = self.settings.prune_after == "seed" and number > 0
        if between_seeds and should_stop(self.settings.pruner, before, job.means, len(job.rungs)):
            self._tell(number, TrialState.PRUNED, job, share=job.share(rung))
            return False
        return True

    def _tell(
        self,
        number: int,
        state: TrialState,
        job: Trained,
        values: Sequence[float] | None = None,
        **more: Any,
    ) -> None:
        """Report the result of a configuration."""
        curve = job.mean_curve() if self.settings.prune_after == "epoch" else job.means
        result = {"keys": job.keys, "curve": curve, "curves": job.curves, **more}
        self.study.tell(number, state, values, curve, result)

    def _configuration(self, number: int, trial: FrozenTrial) -> Configuration:
        """Return a trial's settings; number 0 is always the default."""
        return configuration(self.space, trial.params) if number else DEFAULT

    # ------------------------------------------------------------------ results

    def candidates(self) -> list[Candidate]:
        """Return the configurations whose trials have finished."""
        trials = self.study.trials()
        return [
            self._candidate(number, trials[number])
            for number in counted_numbers(shares(trials), self.settings.budget)
        ]

    def _candidate(self, number: int, trial: FrozenTrial) -> Candidate:
        told = dict(trial.user_attrs.get(RESULT_ATTR, {}))
        told.pop("curves", None)  # those of completed trainings are beside their records
        return Candidate.model_validate(
            {
                "number": number,
                "state": STATES[trial.state],
                "parameters": trial.params,
                "values": trial.values or [],
                **self._configuration(number, trial),
                **told,
            }
        )

    def final(
        self, best: Candidate | None, seeds: Sequence[int]
    ) -> tuple[list[Trial], list[Trial]]:
        """Return the winner's and the default's trials on the test split, with fresh seeds."""
        default = self._trials(DEFAULT, seeds, "test")
        if best is None:
            return [], default
        chosen = {"hyperparameters": best.hyperparameters, "recipe": best.recipe}
        return self._trials(chosen, seeds, "test"), default


def _run(
    trials: Sequence[Trial],
    store: Store,
    options: EngineOptions,
    settings: TuningConfig,
    display: Display,
    bounds: Mapping[str, EpochBounds] | None = None,
    observer: TrialObserver | None = None,
) -> dict[str, tuple[float, ...]]:
    """Run those trials that have no finished record yet.

    Return the scores of those that ended below their bounds, by key.
    """
    unique = list({trial.key: trial for trial in trials}.values())
    plan = schedule(unique, store, Overwrite.FAILED)
    for trial, reason in plan.damaged:
        complain(f"left out: {trial.key}: {reason}")
    if not plan.to_run:
        return {}
    engine = options.make(store, settings.device, settings.threads, bounds)
    display.planned(plan)

    def started(trial: Trial) -> None:
        display.started(trial)
        if observer is not None:
            observer.started(trial.key)

    def finished(trial: Trial, record: Record) -> None:
        display.finished(trial, record)
        if observer is not None:
            observer.finished(trial.key)

    ended = run(
        plan.to_run,
        store,
        engine,
        finished,
        options.retries,
        started=started,
        dropped=display.dropped,
    ).pruned
    if observer is not None:
        for key in ended:
            observer.pruned(key)
    return ended


def _check_measured(trials: Sequence[Trial], objectives: Sequence[str], store: Store) -> None:
    """Check that those of these trials that are done, and are not run again, have the objectives.

    Raises:
        InvalidInput: one was made by an earlier version, which did not measure them.
    """
    for trial in schedule(trials, store, Overwrite.FAILED).done:
        if (record := store.read(trial.key)) is not None:
            for name in objectives:
                MEASURED[name](record)


def _read(store: Store, key: str) -> tuple[Record | None, str]:
    """Return a trial's record; None and why if it has none that can be used."""
    try:
        return store.read(key), "no record"
    except InvalidInput as error:
        return None, str(error)
