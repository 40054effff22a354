"""`resonance reproduce`: compare a published table with the results of its study."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from suite.cli import completion
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.cli.run_options import AddressOption, DryRunOption, EngineOption, WorkersOption
from suite.core.console import print_json, print_table, say
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.results.store import Store

DEFAULT_FOLDER = Path("tables")


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="See `resonance list tables`.", autocompletion=completion.tables
        ),
    ],
    published_only: Annotated[
        bool, typer.Option("--published-only", help="Show what was published; run nothing.")
    ] = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Compare with the shipped results; run nothing.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the table to, as Markdown, LaTeX and HTML; `tables` by default, "
            "with --published-only and --dry-run none."
        ),
    ] = None,
    workers: WorkersOption = None,
    engine: EngineOption = EngineName.LOCAL,
    address: AddressOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Reproduce a published table: run its study, and show both side by side.

    Trials in the store are not rerun (`resonance study` has more options for running). With
    `--dry-run` the table is compared with what the store has, and nothing is written.
    """
    from leaderboard.pages.reproduction_tables import cells, columns, make_folder, rule, write
    from leaderboard.reproduction.published_results import table as find_table
    from leaderboard.reproduction.published_vs_reproduced import ShippedTrials, Trials, table_lines

    if shipped and (published_only or dry_run):
        raise InvalidInput("--shipped runs nothing: leave out --published-only and --dry-run")
    table = find_table(name)
    if dry_run and out is not None:
        raise InvalidInput(f"--out {out}: --dry-run writes nothing; leave one of them out")
    folder = out if out or published_only or dry_run else DEFAULT_FOLDER
    if folder is not None:
        make_folder(folder)
    study = table.load_study()
    failures = 0
    if published_only:
        lines = table_lines(table, None)
    else:
        from suite.reproduce.flops import inference_ratio

        results: Trials = ShippedTrials() if shipped else Store(store)
        if study is not None and isinstance(results, Store):
            from suite.cli.study import run_remaining

            options = EngineOptions(engine, workers, address)
            ended = run_remaining(study, results, options, dry_run=dry_run, json=json)
            failures = len(ended.failed)
        lines = table_lines(
            table,
            results,
            lambda what, s: inference_ratio(
                what.task, s, what.distribution, what.dense, what.dense_layers_compensate
            ),
        )
    written = write(table, lines, folder) if folder is not None else []
    if json:
        derived = ("mean", "std", "difference", "within", "rounds_to_published")
        print_json([asdict(x) | {name: getattr(x, name) for name in derived} for x in lines])
    else:
        print_table(table.title, columns(table), [cells(table, line) for line in lines])
        say(f"{rule(table, lines)}. {table.note}".strip())
        if table.needs:
            say(f"running it needs {table.needs}")
        if written:
            say(f"Table: {', '.join(map(str, written))}")
    if failures:
        raise typer.Exit(1)
