"""`resonance run`: one trial, in this process or in those that torchrun has started."""

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, settings
from suite.cli.wandb import tracker
from suite.core.console import print_json, say
from suite.core.errors import InvalidInput, TrialFailed
from suite.execution.distributed import rank, world_size
from suite.execution.plan import Overwrite, Schedule, schedule
from suite.execution.progress import shown
from suite.execution.single_trial import default_sparsity, prepare, train
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.metrics import KNOWN
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.wandb import PROJECT, Mode


def run(
    task: Annotated[
        str,
        typer.Argument(
            help="A task, e.g. digits/mlp (`resonance list tasks`).",
            autocompletion=completion.tasks,
        ),
    ],
    method: Annotated[
        str | None,
        typer.Argument(
            help="A method, e.g. rigl (`resonance list methods`).",
            autocompletion=completion.methods,
        ),
    ] = None,
    task_file: Annotated[
        Path | None,
        typer.Option(help="A YAML or Python file that declares a task; TASK can then be omitted."),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", "-s", help="Fraction of zeros in [0, 1); default 0.9."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes initial weights and data order.")] = 0,
    set_: run_options.SetOption = None,
    recipe: run_options.RecipeOption = None,
    device: run_options.DeviceOption = "cpu",
    precision: run_options.PrecisionOption = "float32",
    threads: run_options.ThreadsOption = 1,
    execution: Annotated[
        str, typer.Option(help="masked; csr: only non-zero weights are stored, on a CPU; or auto.")
    ] = "masked",
    trainer: Annotated[
        str, typer.Option(help="A published protocol to use in place of the training loop.")
    ] = "",
    evaluate_on: Annotated[
        str, typer.Option("--evaluate", help="test; or validation: the test split is not read.")
    ] = "test",
    store: StoreOption = DEFAULT_STORE,
    overwrite: run_options.OverwriteOption = Overwrite.FAILED,
    checkpoint_every: run_options.CheckpointOption = "60s",
    wandb: run_options.WandbOption = Mode.OFF,
    wandb_project: run_options.ProjectOption = PROJECT,
    json: JsonOption = False,
) -> None:
    """Run one trial: one method on one task, at one sparsity, with one seed.

    Started by `torchrun --no-python --nproc-per-node N resonance run TASK METHOD`, N processes
    train it together.
    """
    if task_file is not None:
        task, method = with_task_file(task_file, task, method)
    if method is None:
        raise InvalidInput(f"run {task}: a method is missing (`resonance list methods` shows all)")
    trial = Trial.make(
        task=task,
        method=method,
        sparsity=default_sparsity(method) if sparsity is None else sparsity,
        seed=seed,
        hyperparameters=settings(set_, "--set"),
        recipe=settings(recipe, "--recipe"),
        device=device,
        precision=precision,
        threads=threads,
        execution=execution,
        processes=world_size(),
        trainer=trainer,
        evaluate=evaluate_on,
    )
    first = rank() == 0  # the process that prints and publishes
    results = Store(store)
    plan = schedule([trial], results, overwrite)
    record = None if plan.to_run else results.read(trial.key)
    if plan.to_run:
        with tracker(results, wandb if first else Mode.OFF, wandb_project) as tracked:
            tracked.started(trial.key)
            with redirect_stdout(sys.stderr) if json else nullcontext():
                record = _run_trial(trial, results, checkpoint_every, show_progress=first)
            tracked.finished(trial.key)
    assert record is not None
    if json and first:
        print_json(record.model_dump())
    elif record.status == "done" and first:
        _print_result(trial, record, results, again=not plan.to_run)
    if record.error is not None:
        where = f"{results.where(trial.key)}/error.txt"
        raise TrialFailed(f"{trial.describe()}: {record.error['message']} (more in {where})")


def with_task_file(path: Path, task: str, method: str | None) -> tuple[str, str | None]:
    """Use a task file, and return the task and the method that the command line means.

    A single word is the method; it is then run on the only task that the file declares.

    Raises:
        InvalidInput: the file cannot be used, or it does not declare exactly one task.
    """
    registry.use_plugins([str(path)])
    if method is not None:
        return task, method
    declared = [t.name for t in registry.tasks() if t.origin == str(path.resolve())]
    if len(declared) != 1:
        raise InvalidInput(
            f"task file {path} declares {len(declared)} tasks ({', '.join(declared) or 'none'}): "
            "name one before the method"
        )
    return declared[0], task


def _run_trial(trial: Trial, store: Store, every: str, *, show_progress: bool) -> Record:
    prepare(trial, store, every)
    with shown(trial.describe(), store, visible=show_progress) as display:
        display.planned(Schedule([], [], [trial]))
        display.started(trial)
        return train(trial, store, every)


def _print_result(trial: Trial, record: Record, store: Store, *, again: bool) -> None:
    scored = KNOWN[f"{trial.evaluate}_{record.metric}"]
    ratio = record.flops["inference"] / record.flops["inference_dense"]
    processes = f" on {trial.processes} processes" if trial.processes > 1 else ""
    known = " (done before; --overwrite always runs it again)" if again else ""
    say(f"{trial.describe()}{processes}{known}")
    say(f"  {scored.title:<17} {scored.text(record.score)}")
    say(f"  sparsity          {record.sparsity:.4%} of {sum(x.size for x in record.layers):,}")
    say(f"  inference FLOPs   {ratio:.3f} × dense")
    say(f"  training FLOPs    {record.flops['training']:.3g}")
    if dense := record.flops.get("dense_training"):
        spent = record.flops["training"] / dense
        say(f"  of dense training {spent:.4g} × in {record.steps:,} steps")
    say(f"  seconds           {record.timing['seconds']:.1f}")
    say(f"  record            {store.where(trial.key)}")
    for note in record.notes:
        say(f"  note: {note}")
