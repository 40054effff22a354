"""`resonance wandb`: publish to Weights & Biases, from the store or while trials run."""

from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, StoreOption
from suite.core.console import complain, progress_bar, say
from suite.core.errors import InvalidInput
from suite.core.redact import redact
from suite.experiments.study import load_study
from suite.results.store import Store
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, Mode, WandbConfig, publish

app = typer.Typer(help="Publish results to Weights & Biases.", no_args_is_help=True)

ModeOption = Annotated[
    Mode,
    typer.Option("--wandb", envvar="RESONANCE_WANDB", help="Publish each trial as it finishes."),
]
ProjectOption = Annotated[
    str, typer.Option("--wandb-project", envvar="WANDB_PROJECT", help="Project to publish to.")
]
IN_A_ROW = 3
"""As many trials that cannot be published one after another are not the trials' fault."""


def tracker(store: Store, mode: Mode, project: str, group: str | None = None) -> Tracker:
    """Return what publishes trials while a study runs."""
    return Tracker(store, WandbConfig.for_store(store, mode=mode, project=project, group=group))


def report(done: Tracker) -> None:
    """Say what was published, on standard error: the trials' own results are on the other."""
    for line in done.published.lines(done.settings):
        complain(line)


@app.command()
def push(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Trials; all if none is given.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Only the trials of this study, grouped by its name.")
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
        bool, typer.Option("--artifacts", help="Keep weights and masks there, too.")
    ] = False,
) -> None:
    """Publish what is in the store. What is there already is left as it is."""
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
    in_a_row = 0
    with progress_bar("wandb push", len(chosen)) as bar:
        for key in chosen:
            try:
                publish(results, key, settings)
                in_a_row = 0
            except (Exception, SystemExit) as error:
                text = " ".join(str(error).split()) or type(error).__name__
                errors.append(f"{key}: {redact(text)}")
                bar.note(f"not published: {errors[-1]}")
                in_a_row += 1
            bar.advance()
            if in_a_row == IN_A_ROW:
                break
    where = f"under {settings.folder}/wandb" if offline else f"in project {project}"
    say(f"{len(chosen) - len(errors)} of {len(chosen)} trials are published {where}"
        if in_a_row < IN_A_ROW else f"stopped: {IN_A_ROW} trials in a row were refused; `resonance "
        "doctor` looks at the connection, then run the same command again")  # fmt: skip
    if errors:
        raise typer.Exit(1)


def _chosen(store: Store, keys: list[str], study: str | None) -> list[str]:
    known = store.keys()
    wanted = [t.key for t in load_study(study).trials()] if study is not None else known
    if missing := sorted(set(keys) - set(known)):
        raise InvalidInput(
            f"trial {missing[0]!r:.60} is not in store {store.location}: site/trials.csv of "
            "`resonance leaderboard build` lists the keys"
        )
    chosen = [key for key in known if key in set(wanted) and (not keys or key in keys)]
    if not chosen:
        raise InvalidInput(f"store {store.location} holds no such trial: run one first")
    return chosen
