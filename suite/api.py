"""The command's verbs as functions: run trials and studies, load results, compare methods.

``from suite import run, run_study, load_results, compare``. See docs/python-api.md. What cannot be
used raises `InvalidInput`, whose message is the line that the command would print.
"""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from suite.core import arguments
from suite.core.errors import InvalidInput, TrialFailed
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.plan import Overwrite, schedule
from suite.execution.run_study import Observer, StudyResult
from suite.execution.run_study import run_study as run_whole_study
from suite.execution.runner import RETRIES
from suite.execution.single_trial import default_sparsity, prepare, train
from suite.experiments import registry
from suite.experiments.study import Study, load_study
from suite.experiments.trial_config import Trial
from suite.results.metadata_store import DamagedDocument
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_studies import chosen_trials

if TYPE_CHECKING:
    import polars as pl

    from leaderboard.method_comparison import MethodComparison

__all__ = [
    "InvalidInput",
    "Record",
    "Store",
    "Study",
    "StudyResult",
    "Trial",
    "TrialFailed",
    "compare",
    "load_results",
    "run",
    "run_study",
]

StoreLike: TypeAlias = str | Path | Store
Again: TypeAlias = Literal["never", "failed", "always"]
Engine: TypeAlias = Literal["local", "inline", "ray", "slurm"]


@registry.undone_if_refused()
def run(
    task: str,
    method: str,
    sparsity: float | None = None,
    *,
    seed: int = 0,
    hyperparameters: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    device: str = "cpu",
    precision: str = "float32",
    threads: int = 1,
    execution: str = "masked",
    trainer: str = "",
    evaluate: str = "test",
    store: StoreLike | None = None,
    overwrite: Again = "failed",
    checkpoint_every: str = "60s",
    plugins: Iterable[str | Path] = (),
) -> Record:
    """Run one trial in this process and return its record; one that is stored is not run again.

    torch's random state and its number of threads are the same afterwards as before.

    Args:
        task: a name from ``resonance list tasks``, or of a task in `plugins`.
        method: a name from ``resonance list methods``, or of a method in `plugins`.
        sparsity: fraction of zeros in [0, 1); 0.9 if left out. Dense methods take none.
        seed: of initial weights, data order and the method.
        hyperparameters: of the method; the others keep their defaults.
        recipe: fields of the task's recipe to change, ``{"epochs": 5}``.
        device: ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bfloat16`` for forward and backward passes.
        threads: CPU threads; results depend on it.
        execution: ``masked``, ``csr`` or ``auto`` (docs/truly-sparse.md).
        trainer: a published protocol in place of the training loop (docs/papers.md), or an
            analysis of it (docs/evidence.md).
        evaluate: ``test``, or ``validation``: the test split is not read.
        store: folder or URL of the results; ``RESONANCE_STORE`` or ``results`` if left out.
        overwrite: whether a trial that has a record is run again.
        checkpoint_every: how often it is saved while it trains.
        plugins: Python or YAML files that declare methods or tasks of your own.

    Returns:
        the record: `metrics` (accuracies as fractions), `flops`, `layers`, `timing`.

    Raises:
        InvalidInput: an argument cannot be used; nothing was written.
        TrialFailed: it failed, now or before; its record is in the store.
        StoreUnusable: the store cannot be written.
    """
    use_plugins(plugins)
    every = interval(checkpoint_every)
    trial = Trial.make(
        task=arguments.text("task", task),
        method=arguments.text("method", method),
        sparsity=default_sparsity(method) if sparsity is None else sparsity,
        seed=seed,
        hyperparameters=arguments.by_name("hyperparameters", hyperparameters),
        recipe=arguments.by_name("recipe", recipe),
        device=device,
        precision=precision,
        threads=threads,
        execution=execution,
        trainer=arguments.text("trainer", trainer),
        evaluate=evaluate,
    )
    results = open_store(store)
    plan = schedule([trial], results, arguments.choice(Overwrite, "overwrite", overwrite))
    if plan.to_run:
        record: Record | None = _trained(trial, results, every)
    else:
        record = results.read(trial.key)
    assert record is not None
    if record.error is not None:
        where = results.where(trial.key)
        raise TrialFailed(f"{trial.describe()}: {record.error['message']} (more in {where})")
    return record


def _trained(trial: Trial, store: Store, every: str) -> Record:
    import torch

    gpus = range(torch.cuda.device_count()) if trial.device == "cuda" else ()
    with torch.random.fork_rng(devices=gpus):
        prepare(trial, store, every)
        return train(trial, store, every)


@registry.undone_if_refused()
def run_study(
    study: str | Path | Study,
    *,
    store: StoreLike | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    retries: int = RETRIES,
    gpus_per_trial: float = 1.0,
    checkpoint_every: str = "60s",
    overwrite: Again = "failed",
    plugins: Iterable[str | Path] = (),
    observer: Observer | None = None,
) -> StudyResult:
    """Run the trials of a study that the store lacks, in worker processes.

    It prints nothing, and needs no ``if __name__ == "__main__"``. A trial that fails ends only
    itself: it is in `StudyResult.failed`. Ctrl-C saves what runs; the same call resumes.

    Args:
        study: a shipped study's name, a YAML file, or a `Study` (``Study.make(…)``).
        store: folder or URL of the results; ``RESONANCE_STORE`` or ``results`` if left out.
        workers: trials at once; as many as the cores allow if left out.
        engine: ``local``; ``inline``: in this process; ``ray``; ``slurm``.
        address: of the Ray cluster, or options of Slurm jobs (docs/running.md).
        timeout: seconds that an attempt of a trial may take.
        memory: GiB that it may use.
        retries: how often a trial whose process died is retried.
        gpus_per_trial: fraction of a GPU, on device cuda.
        checkpoint_every: how often an unfinished trial is saved.
        overwrite: which trials that have a record are run again.
        plugins: Python or YAML files that declare methods or tasks of your own.
        observer: is told the plan, and each trial that starts and ends.

    Raises:
        InvalidInput: an argument cannot be used, or `study` is a group of studies, which the
            message names; nothing was run.
        StoreUnusable: the store cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store.
    """
    use_plugins(plugins)
    named = name_or_study(study)
    options = EngineOptions(
        arguments.choice(EngineName, "engine", engine),
        None if workers is None else arguments.count("workers", workers, least=1),
        None if address is None else arguments.text("address", address),
        None if timeout is None else arguments.number("timeout", timeout),
        None if memory is None else arguments.number("memory", memory),
        interval(checkpoint_every),
        arguments.count("retries", retries, least=0),
        arguments.number("gpus_per_trial", gpus_per_trial),
    )
    again = arguments.choice(Overwrite, "overwrite", overwrite)
    if not isinstance(observer, Observer | None):
        raise InvalidInput(f"observer={observer!r:.60}: give an `Observer`, e.g. a `Silent`")
    chosen = named if isinstance(named, Study) else load_study(named)
    return run_whole_study(chosen, open_store(store), options, again, observer)


@registry.undone_if_refused()
def load_results(
    store: StoreLike | None = None,
    *,
    study: str | Path | Study | None = None,
    settings: str | Sequence[str] = (),
    everything: bool = False,
) -> "pl.DataFrame":
    """Return the results of a store as a Polars frame; ``.to_pandas()`` makes it a pandas one.

    One row per trial, finished or failed. Trials that do not count on a leaderboard are left out:
    those of a tuner's search, and, with a warning, those of older code or an older revision.

    Args:
        store: folder or URL of the results; ``RESONANCE_STORE`` or ``results`` if left out.
        study: only the trials of this study, group of studies, ablation or tuning: its name,
            its YAML file, or a `Study`.
        settings: hyperparameters, recipe fields and other settings to add as columns, with the
            value that each trial had, default or not: ``["update_every", "epochs"]``.
        everything: also the trials that do not count; the column ``left_out`` says why.

    Returns:
        the columns key, status (done, failed), task, method, sparsity, seed, hyperparameters and
        recipe (what differs from the defaults), realised_sparsity, the metrics (accuracies are
        fractions), ``…_flops`` (training in all, inference per example), seconds, error, left_out,
        and `settings`. A value that was not measured is null.

    Raises:
        InvalidInput: there is no such store or study, or no trial has one of the `settings`.
    """
    from leaderboard.data_frames import results_frame
    from leaderboard.terms import uncounted
    from suite.tuning.schema import load_tunings, tuned_runs

    use_plugins(())  # which code is the newest
    chosen_study = None if study is None else name_or_study(study)
    columns = arguments.texts("settings", settings)
    everything = arguments.flag("everything", everything)
    results = open_store(store)
    found, damaged = results.read_all()
    if not found and not damaged:
        raise InvalidInput(
            f"store {results.location} holds no trials: run some first, or name another store"
        )
    _warn(results, "records", damaged)
    keys = None if chosen_study is None else set(chosen_trials(results, chosen_study).keys)
    chosen = [record for record in found if keys is None or record.key in keys]
    tunings, unread = load_tunings(results)
    _warn(results, "documents", unread)
    frame, outdated = results_frame(chosen, tuned_runs(tunings), columns, everything=everything)
    if outdated:
        warnings.warn(
            f"store {results.location}: {outdated} trials of older code or an older revision are "
            "left out: run them again, or see everything=True",
            stacklevel=2,
        )
    done = [] if everything else [record for record in chosen if record.status == "done"]
    idle = sum(record.never_updated != "" for record in done)
    if idle:
        warnings.warn(
            f"store {results.location}: {idle} trials whose method never updated connectivity are "
            "left out, as they are no results of it: see why with everything=True",
            stacklevel=2,
        )
    missed = sum(uncounted(record) != "" for record in done) - idle
    if missed:
        warnings.warn(
            f"store {results.location}: {missed} trials that missed their flops_budget by more "
            "than 1 % are left out: see why with everything=True",
            stacklevel=2,
        )
    return frame


@registry.undone_if_refused()
def compare(
    method: str,
    reference: str,
    *,
    task: str | None = None,
    sparsity: float | None = None,
    study: str | Path | Study | None = None,
    include_ablations: bool = False,
    rope: float | None = None,
    store: StoreLike | None = None,
) -> "MethodComparison":
    """Compare two methods on the seeds they share, as ``resonance compare`` does.

    Args:
        method: ``METHOD``, ``METHOD:SETTINGS`` or ``METHOD:tuned``.
        reference: what it is compared with, written in the same way. Differences are `method`
            minus `reference`, as fractions.
        task: only this task.
        sparsity: only this sparsity.
        study: only the trials of this study, group of studies, ablation or tuning: its name,
            its YAML file, or a `Study`.
        include_ablations: also the trials that belong to an ablation or a tuning only.
        rope: the largest difference that counts as equivalent in practice: in points of metrics
            in per cent (0.5 if left out), else in the metric's own unit (none if left out).
        store: folder or URL of the results; ``RESONANCE_STORE`` or ``results`` if left out.

    Returns:
        the comparison of each cell, and of all tasks together: difference with its 95 % interval,
        p-values (Holm-corrected over the cells), effect size, verdict in words.

    Raises:
        InvalidInput: one of them has no results, or they have no cell in common.
    """
    from leaderboard.store_comparison import compare_in_store

    use_plugins(())  # which code is the newest
    results = open_store(store)
    found = compare_in_store(
        results,
        arguments.text("method", method),
        arguments.text("reference", reference),
        task=None if task is None else arguments.text("task", task),
        sparsities=() if sparsity is None else (arguments.number("sparsity", sparsity),),
        study=None if study is None else name_or_study(study),
        include_ablations=arguments.flag("include_ablations", include_ablations),
        rope=None if rope is None else arguments.number("rope", rope),
    )
    _warn(results, "records", found.damaged)
    _warn(results, "documents", found.documents)
    return found.report


# ------------------------------------------------------------------ arguments


def use_plugins(paths: Iterable[str | Path]) -> None:
    """Use plug-in files, and those in ``RESONANCE_PLUGINS``, from now on in this process.

    Raises:
        InvalidInput: one does not exist or declares nothing.
    """
    named = arguments.paths("plugins", paths)
    registry.use_plugins([*os.environ.get("RESONANCE_PLUGINS", "").split(), *named])


def open_store(store: StoreLike | None) -> Store:
    """Return a store from its location; that of the command if None.

    Raises:
        InvalidInput: the location cannot be used.
    """
    if isinstance(store, Store):
        return store
    return Store(os.environ.get("RESONANCE_STORE") or "results" if store is None else store)


def name_or_study(study: str | Path | Study) -> str | Study:
    """Return a study, or the name or file of one.

    Raises:
        InvalidInput: it is something else.
    """
    if isinstance(study, Study):
        return study
    return arguments.path("study", study, "a name, a file, or a `Study`")


def interval(every: str) -> str:
    """Return how often checkpoints are taken.

    Raises:
        InvalidInput: it is no text. Which texts there are is checked where trials are run.
    """
    return arguments.text("checkpoint_every", every, "a text: '30s', '500steps', 'off'")


def _warn(
    store: Store, what: str, damaged: Sequence[CorruptRecord] | Sequence[DamagedDocument]
) -> None:
    if damaged:
        warnings.warn(
            f"store {store.location}: {len(damaged)} {what} cannot be used and are left out, "
            f"first {damaged[0].reason}",
            stacklevel=3,
        )
