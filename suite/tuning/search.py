"""`resonance tune`: the same search for every method, then winner and default on fresh seeds."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from suite.core.console import progress_bar
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineOptions
from suite.execution.local import default_workers
from suite.execution.plan import Overwrite, schedule
from suite.execution.runner import run
from suite.experiments import registry
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial, task_digest
from suite.results.record import Record
from suite.results.store import Store
from suite.tuning.document import KIND, Dimension, Tried, Tuning, TuningConfig
from suite.tuning.findings import continued, keep
from suite.tuning.ledger import TOLD, Ledger, lasting, open_storage, past
from suite.tuning.sampling import BATCH, directions, is_hopeless, propose
from suite.tuning.space import (
    DEFAULT,
    Chosen,
    Configuration,
    configuration,
    default_point,
    spaces_of,
)

POLL_SECONDS = 1.0
MEASURED: dict[str, Callable[[Record], float]] = {
    "accuracy": lambda record: record.metrics["validation_accuracy"],
    "train_flops": lambda record: record.flops["training"],
    "inference_flops": lambda record: record.flops["inference"],
}
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
Note = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A claimed trial and its trainings, by rung: after each it may be stopped."""

    number: int
    rungs: list[list[Trial]]


def journal(store: Store, name: str) -> str:
    """Return where a tuning's journal is if no storage is named: beside the trials, absolute.

    Raises:
        InvalidInput: the store is not a folder.
    """
    if not store.local:
        raise InvalidInput(
            f"store {store.location} is not a folder, so the study needs a place: --storage with "
            "a journal file or postgresql://…"
        )
    return str((store.root / KIND / f"{name}.journal").resolve())


def tune(
    settings: TuningConfig,
    store: Store,
    options: EngineOptions,
    storage: str | None = None,
) -> Tuning:
    """Search for every method, run winners and defaults on fresh seeds, keep the document.

    A tuning of that name goes on where it stopped, also with a larger budget; what was searched
    with a larger one before counts. Several processes that share a storage and a store share the
    work.

    Raises:
        InvalidInput: something cannot be used, or the stored study or document was asked
            something else.
        StorageLost: the database went away meanwhile.
        KeyboardInterrupt: it was stopped; what was finished is kept.
    """
    spaces = spaces_of(settings.methods, settings.tasks, settings.tuned_recipe)
    options.check()
    settings = continued(settings, spaces, store)
    location = storage or journal(store, settings.name)
    searches = [Search(settings, name, spaces[name], store, options) for name in spaces]
    options.preflight([t for s in searches for rung in s.rungs(DEFAULT) for t in rung])
    opened = open_storage(location)
    with lasting(location):
        for search in searches:
            search.open(opened)
        store.prepare()
        return _searched(settings, searches, store, options)


def _searched(
    settings: TuningConfig, searches: Sequence["Search"], store: Store, options: EngineOptions
) -> Tuning:
    for search in searches:
        search.run()
        found = keep(settings, searches, store, ())
    finals = [
        trial
        for search in searches
        for part in search.final(found.methods[search.method].best, settings.final_seeds)
        for trial in part
    ]
    _run(finals, store, options, settings, f"{settings.name}: fresh seeds")
    return keep(settings, searches, store, settings.final_seeds)


class Search:
    """The search of one method."""

    def __init__(
        self,
        settings: TuningConfig,
        method: str,
        space: list[Dimension],
        store: Store,
        options: EngineOptions,
    ) -> None:
        self.settings, self.method, self.space = settings, method, space
        self.store, self.options = store, options
        self.declared = registry.methods()[method]
        self.tasks = [registry.tasks()[name] for name in settings.tasks]
        self.sparsities = (0.0,) if self.declared.dense else settings.sparsities
        self.ledger: Ledger | None = None

    def open(self, storage: Any) -> None:
        """Open the study, or create it; raises as `Ledger` does."""
        name = f"{self.settings.name}/{self.method}"
        self.ledger = Ledger(storage, name, directions(self.settings), self._asked())

    def _asked(self) -> dict[str, Any]:
        """Return all that decides what a trial's values are and which trials there are."""
        said = self.settings.model_dump(mode="json", exclude={"name", "budget", "final_seeds"})
        said |= {f"space of {d.name}": str(d) for d in self.space}
        for task in self.tasks:
            dataset = registry.datasets()[task.dataset]
            said[f"task {task.name}"] = [
                task.revision,
                dataset.revision,
                task_digest(task, dataset),
            ]
        return said | {"revision": self.declared.revision}

    # ------------------------------------------------------------------ searching

    def run(self) -> None:
        """Try configurations, batch by batch, until the budget is spent."""
        assert self.ledger is not None
        budget, width = self.settings.budget, self._width()
        with progress_bar(f"{self.settings.name}: {self.method}", budget) as bar:
            shown = 0
            while True:
                trials = self.ledger.trials()
                done = sum(n in trials and trials[n].state.is_finished() for n in range(budget))
                bar.advance(done - shown)
                shown = done
                if done == budget:
                    return
                batch = self._batch(trials)
                numbers = [n for n in batch if n < budget]
                missing = [n for n in numbers if n not in trials]
                if missing:
                    proposals = dict(zip(batch, self._propose(trials, batch[0]), strict=True))
                    self.ledger.put(self.space, {n: proposals[n] for n in missing})
                if claimed := self.ledger.claim(numbers, width):
                    self._work(claimed, batch[0])
                elif not missing and not self.ledger.rescue(numbers):
                    time.sleep(POLL_SECONDS)

    def _batch(self, trials: Mapping[int, FrozenTrial]) -> list[int]:
        """Return the numbers of the first batch that is not finished."""
        open_ = next(
            n for n in range(self.settings.budget)
            if n not in trials or not trials[n].state.is_finished()
        )  # fmt: skip
        first = open_ // BATCH * BATCH
        return list(range(first, first + BATCH))

    def _width(self) -> int:
        """Return how many trials keep this process's workers busy; others leave some to others."""
        workers = self.options.workers or default_workers(self.settings.threads)
        units = len(self.rungs(DEFAULT)[0])
        return max(1, -(-workers // units))

    def _propose(self, trials: Mapping[int, FrozenTrial], first: int) -> Any:
        default = default_point(self.space, self.declared, self.tasks)
        before = [past(trials[n]) for n in range(first)]
        return propose(self.space, self.settings, self.method, before, default, self.effect)

    def effect(self, chosen: Chosen) -> str | None:
        """Return the canonical form of a configuration: equal for those that train the same.

        None where its values do not fit together or the training, or where a method that updates
        its connectivity never would.
        """
        from suite.training.canonical_config import canonical_config
        from suite.training.context import TrialContext

        found = []
        try:
            trials = self._trials(
                configuration(self.space, chosen), self.settings.seeds[:1], "validation"
            )
            for trial in trials:
                sparsifier = TrialContext.of(trial).make_sparsifier()
                if sparsifier.is_idle():
                    return None
                found.append(canonical_config(trial, sparsifier))
        except InvalidInput:
            return None
        return "\n".join(found)

    def rungs(self, chosen: Configuration) -> list[list[Trial]]:
        """Return a configuration's trainings: all at once, or a seed at a time for a pruner."""
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

    def _work(self, numbers: Sequence[int], first: int) -> None:
        """Run claimed trials rung by rung, stop the hopeless ones, and tell how they ended."""
        assert self.ledger is not None
        trials = self.ledger.trials()
        before = [past(trials[n]) for n in range(first)]
        jobs = [Job(n, self.rungs(self._configuration(n, trials[n]))) for n in numbers]
        curves: dict[int, list[float]] = {n: [] for n in numbers}
        with self.ledger.held(numbers):
            for rung in range(len(jobs[0].rungs)):
                wanted = [trial for job in jobs for trial in job.rungs[rung]]
                _run(wanted, self.store, self.options, self.settings)
                jobs = [job for job in jobs if self._goes_on(job, rung, before, curves[job.number])]

    def _goes_on(self, job: Job, rung: int, before: Any, curve: list[float]) -> bool:
        """Look at a trial after a rung; tell the ledger where it has ended."""
        assert self.ledger is not None
        trained = [trial for part in job.rungs[: rung + 1] for trial in part]
        told: dict[str, Any] = {"keys": [trial.key for trial in trained], "curve": curve}
        records = [self.store.read(trial.key) for trial in trained]
        for trial, record in zip(trained, records, strict=True):
            if record is None or record.error is not None:
                why = "no record" if record is None else (record.error or {}).get("message", "")
                told["reason"] = f"{trial.describe()}: {why}"
                self.ledger.tell(job.number, TrialState.FAIL, None, curve, told)
                return False
        found = [record for record in records if record is not None]
        values = [
            sum(MEASURED[name](record) for record in found) / len(found)
            for name in self.settings.objectives
        ]
        if self.settings.pruner != "none":
            curve.append(values[0])
        if rung + 1 == len(job.rungs):
            self.ledger.tell(job.number, TrialState.COMPLETE, values, curve, told)
            return False
        if job.number and is_hopeless(self.settings.pruner, before, curve, len(job.rungs)):
            self.ledger.tell(job.number, TrialState.PRUNED, None, curve, told)
            return False
        return True

    def _configuration(self, number: int, trial: FrozenTrial) -> Configuration:
        """Return what a trial is given; the default is what it is, wherever its place is."""
        if number == 0:
            return DEFAULT
        return configuration(self.space, trial.params)

    # ------------------------------------------------------------------ what was found

    def tried(self) -> list[Tried]:
        """Return the configurations whose trials are finished."""
        assert self.ledger is not None
        trials = self.ledger.trials()
        return [
            self._tried(number, trials[number])
            for number in range(self.settings.budget)
            if number in trials and trials[number].state.is_finished()
        ]

    def _tried(self, number: int, trial: FrozenTrial) -> Tried:
        return Tried.model_validate({
            "number": number, "state": STATES[trial.state], "parameters": trial.params,
            "values": trial.values or [], **self._configuration(number, trial),
            **trial.user_attrs.get(TOLD, {}),
        })  # fmt: skip

    def final(self, best: Tried | None, seeds: Sequence[int]) -> tuple[list[Trial], list[Trial]]:
        """Return the tested trials of a winner and of the default, on fresh seeds."""
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
    shown: str = "",
) -> None:
    """Run the trials that have no finished record, on the engine."""
    unique = list({trial.key: trial for trial in trials}.values())
    plan = schedule(unique, store, Overwrite.FAILED)
    if not plan.to_run:
        return
    study = Study.make(
        name="tuning",
        question="which configuration is best",
        tasks=settings.tasks,
        methods=list(settings.methods),
        seeds=settings.seeds,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
    )
    engine = options.make(study, store)
    with progress_bar(shown, len(plan.to_run) if shown else None) as bar:
        run(plan.to_run, store, engine, lambda trial, record: bar.advance(), options.retries)
