"""`resonance ablate`: vary hyperparameters of a method, and compare each level with the default."""

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TaskOptions, levels, settings
from suite.cli.study import as_data, run_remaining
from suite.cli.wandb import tracker
from suite.core.console import complain, print_json, print_table, say
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.estimate import MAX_TRIALS, check_size
from suite.experiments import registry
from suite.experiments.study import Study, load_study, shipped_groups, shipped_studies
from suite.results.ablation_design import Ablation, Setting, ablation_of, label, save
from suite.results.store import Store
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, JobType, Mode


def ablate(
    name: Annotated[
        str,
        typer.Argument(
            metavar="METHOD|STUDY",
            help="A method, or a study that varies one.",
            autocompletion=completion.methods_and_studies,
        ),
    ],
    task: TaskOptions = None,
    sparsity: run_options.SparsitiesOption = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V,V,…", help="A hyperparameter and its levels."),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Run all combinations, not one factor at a time.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds; default 5.")] = None,
    set_: run_options.SetOption = None,
    recipe: run_options.RecipeOption = None,
    store: StoreOption = DEFAULT_STORE,
    workers: run_options.WorkersOption = None,
    engine: run_options.EngineOption = EngineName.LOCAL,
    address: run_options.AddressOption = None,
    max_trials: run_options.MaxTrialsOption = MAX_TRIALS,
    wandb: run_options.WandbOption = Mode.OFF,
    wandb_project: run_options.ProjectOption = PROJECT,
    dry_run: run_options.DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Vary a method's hyperparameters and compare each level with the default, paired on seeds.

    Trials in the store are not rerun (`resonance study` has more options for running). The result
    is printed as a table, and shown on a page of the leaderboard.
    """
    if name in registry.methods():
        varied = levels(vary, "--vary")
        entry = {"name": name, "set": settings(set_, "--set"), "vary": varied, "grid": grid}
        study = _study(entry, task or [], sparsity, seeds or 5, settings(recipe, "--recipe"))
    else:
        known: dict[str, object] = {method.name: method for method in registry.methods()}
        known |= dict.fromkeys(shipped_studies())
        is_file = name.endswith((".yaml", ".yml"))
        if name not in known and name not in shipped_groups() and not is_file:
            what = "method or study"
            raise InvalidInput(unknown(what, name, known, see="list methods", declared=True))
        study = load_study(name)
        given = {"--task": task, "-s": sparsity, "--vary": vary, "--grid": grid}
        given |= {"--seeds": bool(seeds), "--set": set_, "--recipe": recipe}
        if extra := ", ".join(option for option, value in given.items() if value):
            raise InvalidInput(
                f"{extra}: study {name} sets this; leave the option out, or name a method"
            )
    options = EngineOptions(engine, workers, address)
    results = Store(store)
    check_size(study, results, options, max_trials)
    with tracker(results, wandb, wandb_project, study.name, JobType.ABLATION) as tracked:
        failed = _run(study, results, options, max_trials, tracked, dry_run=dry_run, json=json)
    if failed:
        raise typer.Exit(1)


def _run(
    study: Study,
    store: Store,
    options: EngineOptions,
    max_trials: int,
    tracked: Tracker,
    *,
    dry_run: bool,
    json: bool,
) -> int:
    """Run an ablation, save its design, print the result; return how many trials failed."""
    from leaderboard.ablation_effects import design_effects

    ablation = ablation_of(study)
    for note in twins(study, ablation):
        complain(f"note: {note}")
    result = run_remaining(
        study, store, options, dry_run=dry_run, json=json, max_trials=max_trials, tracked=tracked
    )
    if not dry_run:
        save(store, ablation)
    records, _ = store.read_each([trial.key for trial in result.plan.trials])  # damage is named
    figures = design_effects(ablation, {record.key: record for record in records}.get)
    if json:
        content = [{**vars(one), "metric": one.metric.name} for one in figures]
        # JSON has no infinite numbers; an effect size may be one.
        designs = to_jsonable_python(content, inf_nan_mode="null")
        ended = as_data(result, store)
        print_json({"name": ablation.name, **ended, "designs": designs})
    else:
        from leaderboard.ablation_tables import tables
        from leaderboard.board_claims import QUOTED_BY_TABLE

        for title, columns, rows in tables(figures):
            say("")
            print_table(title, columns, rows)
        say(f"\n{QUOTED_BY_TABLE}")
    return len(result.failed)


def _study(
    entry: dict[str, Any],
    tasks: Sequence[str],
    sparsities: Sequence[float] | None,
    seeds: int,
    recipe: dict[str, object],
) -> Study:
    method = registry.methods()[entry["name"]]
    if not tasks:
        raise InvalidInput(f"ablate {method.name}: give a --task (`resonance list tasks`)")
    if not entry["vary"]:
        raise InvalidInput(
            f"ablate {method.name}: give --vary NAME=VALUE,VALUE,… (see "
            f"`resonance info {method.name}`)"
        )
    content = {
        "question": f"How does {method.name} depend on {' and '.join(entry['vary'])}?",
        "tasks": list(tasks),
        "methods": [entry],
        "sparsities": [] if method.dense else list(sparsities or [run_options.DEFAULT_SPARSITY]),
        "seeds": seeds,
        "recipe": recipe,
        "controls_left_out": "an ablation compares the method with itself",
    }
    words = re.sub(r"[^a-z0-9_-]", "-", "-".join(["ablate", method.name, *entry["vary"]]).lower())
    # The digest distinguishes it from other ablations of the same factors.
    digest = hashlib.sha256(repr(content).encode(errors="replace")).hexdigest()[:6]
    return Study.make(name=f"{words[:80]}-{digest}", **content)


def twins(study: Study, ablation: Ablation) -> list[str]:
    """Return a line for each cell whose trials will be the same as those of an earlier cell.

    Raises:
        InvalidInput: a cell's options do not fit the training.
    """
    from suite.training.canonical_config import canonical_config

    trials = {trial.key: trial for trial in study.trials()}
    notes = []
    for design in ablation.designs:
        seen: dict[str, Setting] = {}
        for cell in design.cells:
            try:
                text = canonical_config(trials[next(iter(cell.trials.values()))])
            except InvalidInput:
                raise
            except (Exception, SystemExit):  # raised by a plug-in: its trial will record it
                continue
            earlier = seen.setdefault(text, cell)
            if earlier is not cell:
                differing = [n for n, level in cell.levels.items() if level != earlier.levels[n]]
                one, other = (label({n: c.levels[n] for n in differing}) for c in (cell, earlier))
                shared = label({n: v for n, v in cell.levels.items() if n not in differing})
                notes.append(
                    f"{one} does what {other} does on {design.task}"
                    + (f" with {shared}" if shared else "")
                    + ": their results will be equal"
                )
    return notes
