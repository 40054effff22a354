"""`resonance leaderboard`: build the site, serve it, check a submission."""

import os
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suite.cli.check_process import check_file
from suite.cli.options import (
    DEFAULT_STORE,
    AblationsOption,
    JsonOption,
    SignersOption,
    SignOption,
    StoreOption,
    StudyOption,
)
from suite.cli.plugin_hints import unknown_on_boards
from suite.cli.run_options import ProjectOption
from suite.cli.submit import new_header, report
from suite.core import temporary
from suite.core.console import complain, print_json, print_table, progress_bar, say
from suite.core.errors import InvalidInput
from suite.core.limited_process import LimitExceeded
from suite.core.redact import redacted_line
from suite.experiments.trial_config import Trial
from suite.results.correct_bits import load_correct_bits
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.publish import publish_tables
from suite.tracking.wandb import PROJECT, Mode, WandbConfig, allowed_mode

if TYPE_CHECKING:
    from leaderboard.boards import Cell
    from leaderboard.bundles.bundle_file import Header
    from leaderboard.site.build import BuiltSite

app = typer.Typer(no_args_is_help=True)

OutOption = Annotated[Path, typer.Option(help="Folder to write the leaderboard to.")]
DEFAULT_OUT = Path("site")
WORKERS = 2
"""Processes that write the pages of trials."""


@app.callback()
def leaderboard() -> None:
    """Build and serve leaderboards from records, and check submissions."""


@app.command()
def build(
    store: StoreOption = DEFAULT_STORE,
    out: OutOption = DEFAULT_OUT,
    markdown: Annotated[
        Path | None, typer.Option(help="File to write the tables to as well, between its marks.")
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option("--with", help="File of records to include, or a folder of such files."),
    ] = None,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Show the shipped results in place of a store's.")
    ] = False,
    signers: SignersOption = None,
    wandb: Annotated[
        Mode, typer.Option(envvar="RESONANCE_WANDB", help="Publish the tables to W&B as well.")
    ] = Mode.OFF,
    project: ProjectOption = PROJECT,
    study: StudyOption = None,
    include_ablations: AblationsOption = False,
    json: JsonOption = False,
) -> None:
    """Build the leaderboard: pages, tables and charts, from the records in a store.

    Boards, tables and CSV files are of studies and single trials. Ablations and tunings have pages
    of their own; their trials are on the boards with --include-ablations.
    """
    from leaderboard.bundles.bundle_file import SHIPPED
    from leaderboard.bundles.signature import ALLOWED_SIGNERS
    from leaderboard.site.build import build as build_site

    if signers is not None and not signers.is_file():
        raise InvalidInput(f"--signers {signers}: there is no such file of allowed signers")
    mode, note = allowed_mode(wandb)
    entity = os.environ.get("WANDB_ENTITY") or None
    settings = WandbConfig(mode=mode, project=project, entity=entity, folder=str(out))
    bundles = [*(bundle or ()), *(SHIPPED if shipped else ())]
    if shipped and (study is not None or include_ablations):
        raise InvalidInput("--shipped shows all shipped results: leave out --study and --include-…")
    results = None if shipped else Store(store)
    built = build_site(
        () if results is None else results,
        out,
        markdown,
        WORKERS,
        bundles,
        study=study,
        include_ablations=include_ablations,
        signers=signers or ALLOWED_SIGNERS,
    )
    if json:
        print_json(_summary(built))
    else:
        _print_boards(built)
    if results is not None and (hint := unknown_on_boards(results, built.boards)):
        complain(hint)
    if note:
        complain(note)
    if mode is not Mode.OFF:
        try:
            place = publish_tables(built.tables, settings)
        except (Exception, SystemExit) as error:
            complain(f"the tables are not published: {redacted_line(error)}")
            raise typer.Exit(1) from None
        (complain if json else say)(f"W&B: {place}")


def _print_boards(built: "BuiltSite") -> None:
    from leaderboard.board_markdown import row_texts
    from leaderboard.score_text import direction, heading

    mixed = len({board.terms for board in built.boards}) > 1
    for board in built.boards:
        say("")
        if mixed:
            say(f"{board.terms.heading}. {board.terms.claim}")
        columns = ["method", *(f"s={sparsity:g}" for sparsity in board.sparsities)]
        rows = [[entry.label, *row_texts(board, entry, cells)] for entry, cells in board.rows]
        what = heading(board.metric)
        if board.metric.better == "less":
            what += f", {direction(board.metric)}"
        print_table(f"{board.title}: {what}", columns, rows)
    say("")
    for record in built.excluded:
        say(f"left out: {record.trial} ({record.key}): {record.reason}")
    for what, trials in built.apart.items():
        kind, _, name = what.partition(" ")
        say(
            f"not on the boards: {trials} trial{'s' * (trials > 1)} of {what}, whose page is "
            f"{kind}s/{name}.html (--include-ablations shows them)"
        )
    say(f"Leaderboard: {built.page}")


def _summary(built: "BuiltSite") -> dict[str, Any]:
    """Return what was built as JSON-ready data; intervals are fractions."""
    boards = [
        {
            "task": board.task,
            "metric": board.metric.name,
            "settings": board.settings,
            "flops_budget": board.terms.flops_budget,
            "entries": [
                {"label": entry.label, "method": entry.method, "settings": entry.settings}
                | {"tuned": entry.tuned, "cells": _cells(board.sparsities, cells)}
                for entry, cells in board.rows
            ],
        }
        for board in built.boards
    ]
    excluded = [asdict(one) for one in built.excluded]
    return {"page": str(built.page), "boards": boards, "excluded": excluded, "apart": built.apart}


def _cells(sparsities: list[float], cells: "list[Cell | None]") -> list[dict[str, Any]]:
    found = []
    for sparsity, cell in zip(sparsities, cells, strict=True):
        interval = cell.interval if cell else None
        counts = {"failed": len(cell.failures) if cell else 0}
        counts |= {"outdated": len(cell.outdated) if cell else 0}
        counts |= {"no_update": len(cell.no_update) if cell else 0}
        counts |= {"off_budget": len(cell.off_budget) if cell else 0}
        found.append({"sparsity": sparsity, "interval": interval and asdict(interval)} | counts)
    return found


@app.command()
def serve(
    store: StoreOption = DEFAULT_STORE,
    out: OutOption = DEFAULT_OUT,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free one.")] = 8000,
    study: StudyOption = None,
    include_ablations: AblationsOption = False,
    json: JsonOption = False,
) -> None:
    """Build the leaderboard and serve it to browsers on this machine, until Ctrl-C.

    It is rebuilt whenever records change.
    """
    from leaderboard.site.build import build as build_site
    from leaderboard.site.server import Server
    from leaderboard.site.server import serve as run_server

    results = Store(store)
    server = Server(out, port)
    versions = results.backend.versions

    hints: list[str] = []

    def rebuild() -> None:
        built = build_site(
            results, out, workers=WORKERS, study=study, include_ablations=include_ablations
        )
        hint = unknown_on_boards(results, built.boards)
        if hint not in ("", *hints):
            hints.append(hint)
            complain(hint)

    def rebuild_and_say() -> None:
        rebuild()
        tell("records have changed: built again")

    tell = complain if json else say
    try:
        seen = versions()
        rebuild()
    except BaseException:
        server.server_close()
        raise

    stop = threading.Event()

    if json:
        print_json({"url": server.url})
        sys.stdout.flush()
    else:
        say(f"Leaderboard: {server.url} (Ctrl-C stops it)")
    try:
        run_server(
            server, versions, rebuild_and_say, seen, stop, lambda error: complain(str(error))
        )
    except KeyboardInterrupt:
        tell("stopped")


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File that `resonance submit` wrote.")
    ],
    rerun: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|TRIAL",
            help="Rerun so many trials, drawn at random, or one (its key, or the first characters; "
            "`any` draws one), and compare.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which trials `--rerun` draws.")] = 0,
    signers: SignersOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write the new records to, as a submission of your own."),
    ] = None,
    name: Annotated[str, typer.Option(help="Who ran the trials again, with --out.")] = "",
    sign: SignOption = None,
    json: JsonOption = False,
) -> None:
    """Check a submission: hashes, exact zeros, FLOPs, seeds, budget, revisions, metrics.

    It prints what was compared and one line per issue; the exit code is 1 if any is an error.
    """
    from leaderboard.bundles.bundle_file import write_bundle
    from leaderboard.bundles.check_report import signature_row
    from leaderboard.bundles.signature import ALLOWED_SIGNERS, signature_of
    from leaderboard.bundles.submission_checks import compare_rerun

    header = _rerun_header(out, name, sign, rerun)
    try:
        found = check_file(file, rerun, seed)
    except LimitExceeded as error:
        complain(str(error))
        raise typer.Exit(1) from None
    signature = signature_of(file, signers or ALLOWED_SIGNERS)
    checked = found.report.with_row(*signature_row(str(file), signature))
    made: list[Record] = []
    bits: dict[str, bytes] = {}
    compared = []
    for record in found.chosen:
        again, correct = _rerun(record)
        made.append(again)
        pair = None
        if correct is not None:
            bits[again.key] = correct
            if record.key in found.correct:
                pair = (found.correct[record.key], correct)
        compared.append(compare_rerun(record, again, pair))
    if compared:
        checked = checked.with_reruns(compared, found.records)
        if out is not None and header is not None:
            write_bundle(made, header, out, bits, sign)
    if json:
        about = {"file": str(file), "header": found.header.model_dump()}
        about |= {"signature": asdict(signature)}
        print_json(about | {"records": found.records} | checked.to_json())
    else:
        say(f"{file}: {found.records} records of {found.header.name}, {signature}")
        report(checked)
        if not checked.has_errors:
            warnings = sum(issue.severity == "warning" for issue in checked.issues)
            counted = f"{warnings} warning{'s' * (warnings > 1)}"
            say(f"no error; {counted}" if warnings else "nothing is wrong")
        if out is not None:
            what = "record of the rerun" if len(made) == 1 else f"records of {len(made)} reruns"
            say(f"{out}: the {what}, a submission by {name}")
    if checked.has_errors:
        raise typer.Exit(1)


def _rerun_header(
    out: Path | None, name: str, sign: Path | None, rerun: str | None
) -> "Header | None":
    """Return the header of the file that a rerun's record is written to; None without one."""
    from leaderboard.bundles.bundle_file import SUFFIX

    if out is None:
        if name or sign:
            raise InvalidInput("--name and --sign are of the file to write: give --out as well")
        return None
    if rerun is None or not name or not out.name.endswith(SUFFIX):
        raise InvalidInput(
            f"--out {out} is for the record of a rerun: give --rerun, --name, and a file name that "
            f"ends in {SUFFIX}"
        )
    return new_header(name)


def _rerun(record: Record) -> tuple[Record, bytes | None]:
    """Run a record's trial by the usual runner, into a store that is removed afterwards.

    Return its record, and which test examples it has right (None if it has no such file).
    """
    from suite.execution.plan import preflight
    from suite.execution.runner import execute
    from suite.training.trial import count_steps

    trial = Trial.make(**record.trial)
    preflight([trial])
    with (
        tempfile.TemporaryDirectory(dir=temporary.folder()) as folder,
        progress_bar(trial.describe(), count_steps(trial)) as advance,
    ):
        store = Store(folder)
        store.prepare()
        execute(trial, store, advance, "off")
        again = store.read(trial.key)
        assert again is not None
        return again, load_correct_bits(store, again)
