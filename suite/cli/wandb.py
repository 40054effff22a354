"""`resonance wandb`, and how other verbs publish trials to Weights & Biases while they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, StoreOption
from suite.core.console import complain, progress_bar, say
from suite.core.errors import InvalidInput
from suite.core.redact import redacted_line
from suite.experiments.study import load_study
from suite.results.store import Store
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, Mode, WandbConfig, publish

MAX_CONSECUTIVE_FAILURES = 3
"""After this many failures in a row publishing stops: the cause is not a single trial."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def wandb() -> None:
    """Publish results to Weights & Biases."""


@contextmanager
def tracker(
    store: Store, mode: Mode, project: str, group: str | None = None
) -> Iterator[Callable[[str], None]]:
    """Yield the function that publishes a stored trial; report at the end what was published.

    The report goes to standard error, because the results are on standard output.
    """
    settings = WandbConfig.for_store(store, mode=mode, project=project, group=group)
    with Tracker(store, settings) as tracked:
        yield tracked.add
    for line in tracked.published.lines(settings):
        complain(line)


@app.command()
def push(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys of trials; all by default.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Publish only the trials of this study, grouped by its name.")
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
) -> None:
    """Publish the trials in a store; what W&B already has is left alone."""
    results = Store(store)
    settings = WandbConfig.for_store(
        results,
        mode=Mode.OFFLINE if offline else Mode.ONLINE,
        project=project,
        entity=entity,
        group=study,
        artifacts=artifacts,
    )
    chosen = _chosen(results, keys or [], study)
    errors: list[str] = []
    failed_in_a_row = 0
    with progress_bar("wandb push", len(chosen)) as advance:
        for key in chosen:
            try:
                publish(results, key, settings)
                failed_in_a_row = 0
            except (Exception, SystemExit) as error:
                errors.append(f"{key}: {redacted_line(error)}")
                complain(f"not published: {errors[-1]}")
                failed_in_a_row += 1
            advance()
            if failed_in_a_row == MAX_CONSECUTIVE_FAILURES:
                break
    if failed_in_a_row == MAX_CONSECUTIVE_FAILURES:
        say(
            f"stopped: {failed_in_a_row} trials in a row were refused; `resonance doctor` checks "
            "the connection, then run the same command again"
        )
    else:
        where = f"under {settings.folder}/wandb" if offline else f"in project {project}"
        say(f"{len(chosen) - len(errors)} of {len(chosen)} trials are published {where}")
    if errors:
        raise typer.Exit(1)


def _chosen(store: Store, keys: list[str], study: str | None) -> list[str]:
    known = store.keys()
    wanted = [t.key for t in load_study(study).trials()] if study is not None else known
    if missing := sorted(set(keys) - set(known)):
        raise InvalidInput(
            f"trial {missing[0]!r:.60} is not in store {store.location}: `resonance list trials` "
            "lists the keys"
        )
    chosen = [key for key in known if key in set(wanted) and (not keys or key in keys)]
    if not chosen:
        raise InvalidInput(f"store {store.location} holds no such trial: run one first")
    return chosen
