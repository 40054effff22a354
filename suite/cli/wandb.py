"""`resonance wandb`, and how other verbs publish trials to Weights & Biases while they run."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from suite.cli import completion
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import complain, print_json, progress_bar, say
from suite.core.errors import InvalidInput
from suite.core.redact import redacted_line
from suite.experiments.study import is_a_group
from suite.experiments.study_group import StudyGroup
from suite.results.ablation_design import ablations
from suite.results.find_record import find_key
from suite.results.store import Store
from suite.results.stored_studies import find_study, trials_of
from suite.tracking.publish import make_writable, publish
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, JobType, Mode, WandbConfig, allowed_mode
from suite.tuning.schema import load_tunings

MAX_CONSECUTIVE_FAILURES = 3
"""After this many failures in a row publishing stops: the cause is not a single trial."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def wandb() -> None:
    """Publish results to Weights & Biases."""


@contextmanager
def tracker(
    store: Store,
    mode: Mode,
    project: str,
    group: str | None = None,
    job_type: JobType = JobType.TRIAL,
) -> Iterator[Tracker]:
    """Yield what `tracking` does, with settings from the command line and the environment.

    Raises:
        InvalidInput: as `tracking_settings`.
    """
    with tracking(store, tracking_settings(store, mode, project, group, job_type)) as tracked:
        yield tracked


def tracking_settings(
    store: Store, mode: Mode, project: str, group: str | None, job_type: JobType
) -> WandbConfig:
    """Return how trials are published, by the command line and the environment.

    Raises:
        InvalidInput: the project, or one of W&B's variables, is not usable.
    """
    mode, note = allowed_mode(mode)
    if note:
        complain(note)
    return WandbConfig.for_store(
        store,
        mode=mode,
        project=project,
        entity=os.environ.get("WANDB_ENTITY") or None,
        group=group,
        job_type=job_type,
    )


@contextmanager
def tracking(store: Store, settings: WandbConfig) -> Iterator[Tracker]:
    """Yield what is told of each trial that starts and ends; report at the end what was published.

    The report goes to standard error, because the results are on standard output.
    """
    with Tracker(store, settings) as tracked:
        yield tracked
    for line in tracked.published.lines(settings):
        complain(line)


@app.command()
def push(
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...", help="Keys of trials, or their first characters; all by default."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Publish only the trials of this study, ablation or tuning, as one group.",
            autocompletion=completion.studies,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    offline: Annotated[
        bool, typer.Option("--offline", help="Write the runs to a folder, for `wandb sync`.")
    ] = False,
    project: Annotated[
        str, typer.Option(envvar="WANDB_PROJECT", help="Project to publish to.")
    ] = PROJECT,
    entity: Annotated[
        str | None, typer.Option(envvar="WANDB_ENTITY", help="W&B user or team.")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Upload weights and masks as well.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Publish the trials in a store; what W&B already has is left alone."""
    results = Store(store)
    mode, note = allowed_mode(Mode.OFFLINE if offline else Mode.ONLINE)
    if mode is Mode.OFF:
        raise InvalidInput(
            "WANDB_MODE=disabled: nothing may be published; unset it, or set it to offline"
        )
    if note:
        complain("W&B: WANDB_MODE=offline, so runs are written, and not sent")
    group, job_type, wanted = _group(results, study)
    settings = WandbConfig.for_store(
        results,
        mode=mode,
        project=project,
        entity=entity or None,
        group=group,
        job_type=job_type,
        artifacts=artifacts,
    )
    chosen = _chosen(results, keys or (), group, wanted)
    make_writable(results, chosen, settings)
    places: dict[str, str] = {}
    errors: dict[str, str] = {}
    failed_in_a_row = 0
    with progress_bar("wandb push", len(chosen), show=not json) as advance:
        for key in chosen:
            try:
                places[key] = publish(results, key, settings)
                failed_in_a_row = 0
            except (Exception, SystemExit) as error:
                errors[key] = redacted_line(error)
                complain(f"not published: {key}: {errors[key]}")
                _, damaged = results.read_each([key])
                failed_in_a_row += not damaged  # a damaged record says nothing of the connection
            advance()
            if failed_in_a_row == MAX_CONSECUTIVE_FAILURES:
                break
    if json:
        print_json(
            {
                "mode": mode.value,
                "project": project,
                "entity": settings.entity,
                "group": group,
                "published": places,
                "errors": errors,
                "not_tried": [key for key in chosen if key not in places.keys() | errors.keys()],
            }
        )
    elif failed_in_a_row == MAX_CONSECUTIVE_FAILURES:
        say(
            f"stopped: {failed_in_a_row} trials in a row were refused; `resonance doctor` checks "
            "the connection, then run the same command again"
        )
    else:
        where = f"in project {project}"
        if mode is Mode.OFFLINE:
            where = f"under {settings.folder}/wandb"
        say(f"{len(chosen) - len(errors)} of {len(chosen)} trials are published {where}")
    if errors:
        raise typer.Exit(1)


def _group(store: Store, name: str | None) -> tuple[str | None, JobType, set[str] | None]:
    """Return the name of a study, ablation or tuning, which of them it is, and its keys.

    Raises:
        InvalidInput: there is none of that name, or it is a group of studies: the runs of each
            study are a group of W&B's of their own.
    """
    if name is None:
        return None, JobType.TRIAL, None
    designs, unread = ablations(store)
    for ablation in designs:
        if ablation.name == name:
            cells = [cell for design in ablation.designs for cell in design.cells]
            keys = {key for cell in cells for key in cell.trials.values()}
            return name, JobType.ABLATION, keys
    tunings, damaged = load_tunings(store)
    for tuning in tunings:
        if tuning.settings.name == name:
            results = tuning.methods.values()
            keys = {key for one in results for trial in one.trials for key in trial.keys}
            finals = [one.final for one in results if one.final is not None]
            keys |= {key for final in finals for key in (*final.winner, *final.default)}
            return name, JobType.TUNING, keys
    for one in unread + damaged:
        complain(f"left out: {one.reason}")
    found = find_study(store, name)
    if isinstance(found, StudyGroup):
        raise is_a_group(f"--study {name}", [study.name for study in found.studies])
    chosen = trials_of(found)
    return chosen.name, JobType.STUDY, set(chosen.keys)


def _chosen(
    store: Store, names: Sequence[str], group: str | None, wanted: Collection[str] | None
) -> list[str]:
    """Return the keys to publish, sorted: those that are named, or all; of the group, if any."""
    known = store.keys()
    where = f"in store {store.location}"
    named = [find_key(known, name, where) for name in names]
    if wanted is not None and (others := [key for key in named if key not in wanted]):
        raise InvalidInput(f"trial {others[0]} is none of {group}: leave it or --study out")
    chosen = [
        key for key in known if (wanted is None or key in wanted) and (not named or key in named)
    ]
    if not chosen:
        raise InvalidInput(f"store {store.location} holds no such trial: run one first")
    return chosen
