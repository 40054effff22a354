"""`resonance submit`: checked records in one file, to send to the leaderboard."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suite import __version__
from suite.cli.options import DEFAULT_STORE, StoreOption, TaskOptions
from suite.core.console import complain, progress_bar, say
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments.study import load_study
from suite.results.record import Record
from suite.results.store import Store

if TYPE_CHECKING:
    from leaderboard.bundles.bundle_file import Bundle
    from leaderboard.bundles.submission_checks import SubmissionIssue

FOLDER = "leaderboard/submissions/"


def submit(
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .jsonl.gz.")],
    name: Annotated[str, typer.Option(help="Who submits them: a person or a group.")],
    store: StoreOption = DEFAULT_STORE,
    study: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Only the trials of this study.")
    ] = None,
    task: TaskOptions = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="A method (repeatable).")
    ] = None,
    note: Annotated[str, typer.Option(help="What readers should know.")] = "",
    link: Annotated[str, typer.Option(help="Link to a paper or code: https://…")] = "",
) -> None:
    """Write records to one file to send, after the checks of `leaderboard check`."""
    from leaderboard.bundles.bundle_file import SUFFIX, Bundle, Header, write_bundle

    if not out.name.endswith(SUFFIX):
        raise InvalidInput(f"--out {out}: give it a name that ends in {SUFFIX}")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    header = Header.make(name=name, note=note, link=link, suite=__version__, created=now)
    records, damaged = Store(store).read_all()
    for trial in damaged:
        complain(f"left out: {trial.key}: {trial.reason}")
    records = _of_study(_chosen(_chosen(records, "task", task), "method", method), study)
    if not records:
        raise InvalidInput(f"store {store} has no such trial: see `resonance status`")
    if report(check_bundle(Bundle(header, records, []))):
        complain("nothing was written: correct the errors, or leave these trials out")
        raise typer.Exit(1)
    write_bundle(records, header, out)
    say(f"{out}: {len(records)} records, {out.stat().st_size:,} bytes")
    say(f"To send it: open a pull request that adds it under {FOLDER} (docs/submitting.md)")


def _chosen(records: list[Record], field: str, names: list[str] | None) -> list[Record]:
    known = {record.trial[field] for record in records}
    for name in names or []:
        if name not in known:
            raise InvalidInput(unknown(field, name, sorted(known), see="status"))
    return [record for record in records if not names or record.trial[field] in names]


def _of_study(records: list[Record], study: str | None) -> list[Record]:
    if study is None:
        return records
    keys = {trial.key for trial in load_study(study).trials()}
    chosen = [record for record in records if record.key in keys]
    if len(chosen) < len(keys):
        complain(f"warning: {len(keys) - len(chosen)} of {len(keys)} trials of {study} are missing")
    return chosen


def check_bundle(bundle: "Bundle") -> list["SubmissionIssue"]:
    """Check a bundle; zeros and FLOPs are recomputed from the configurations."""
    from leaderboard.bundles.submission_checks import check_bundle
    from suite.training.verify_record import recompute

    with progress_bar("check", len(bundle.records)) as advance:

        def one(record: Record) -> tuple[int, list[str]]:
            advance()
            return recompute(record)

        return check_bundle(bundle, one)


def report(issues: list["SubmissionIssue"]) -> bool:
    """Print one line per issue; return whether any is an error."""
    for issue in issues:
        say(str(issue))
    return any(issue.severity == "error" for issue in issues)
