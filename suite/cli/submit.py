"""`resonance submit`: checked records in one file, to send to the leaderboard."""

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suite import __version__
from suite.cli import completion
from suite.cli.options import (
    DEFAULT_STORE,
    AblationsOption,
    JsonOption,
    SignOption,
    StoreOption,
    StudyOption,
    TaskOptions,
)
from suite.core.console import complain, print_json, print_table, progress_bar, say
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments.study_group import StudyGroup
from suite.results.record import Record
from suite.results.record_check import Recomputed
from suite.results.store import Store
from suite.results.stored_studies import find_study

if TYPE_CHECKING:
    from leaderboard.bundles.bundle_file import Bundle, Header
    from leaderboard.bundles.check_report import CheckReport
    from leaderboard.bundles.submission_checks import Recompute
    from leaderboard.selection import Selection
    from suite.results.ablation_design import Ablation
    from suite.tuning.schema import Tuning

FOLDER = "leaderboard/submissions/"


def submit(
    out: Annotated[Path, typer.Option(help="File to write; its name ends in .jsonl.gz.")],
    name: Annotated[str, typer.Option(help="Who submits them: a person or a group.")],
    store: StoreOption = DEFAULT_STORE,
    study: StudyOption = None,
    include_ablations: AblationsOption = False,
    task: TaskOptions = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method (repeatable).", autocompletion=completion.methods),
    ] = None,
    note: Annotated[str, typer.Option(help="What readers should know.")] = "",
    link: Annotated[str, typer.Option(help="Link to a paper or code: https://…")] = "",
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions", help="Send which test examples each trial has right, one bit each."
        ),
    ] = False,
    sign: SignOption = None,
    json: JsonOption = False,
) -> None:
    """Write records to one file to send, after the checks of `leaderboard check`."""
    from leaderboard.bundles.bundle_file import SUFFIX, Bundle, write_bundle
    from leaderboard.bundles.predictions import Predictions, stored_predictions
    from leaderboard.selection import select

    if not out.name.endswith(SUFFIX):
        raise InvalidInput(f"--out {out}: give it a name that ends in {SUFFIX}")
    header = new_header(name, note, link)
    results = Store(store)
    if study is not None and not include_ablations:
        _check_members(results, study)
    chosen = select(results, study, include_ablations=include_ablations)
    every, damaged = results.read_all()
    for trial in damaged:
        complain(f"left out: {trial.key}: {trial.reason}")
    for document in chosen.damaged:
        complain(f"left out: {document.reason}")
    of_task = _chosen(_chosen(every, "task", task), "method", method)
    records = [record for record in of_task if chosen.takes(record.key)]
    _explain(results, chosen, [record.key for record in of_task], every)
    if not records:
        raise InvalidInput(f"store {store} has no such trial: see `resonance list trials`")
    shipped = stored_predictions(results, records) if predictions else Predictions()
    tunings = _tunings(results, records)
    design = None if include_ablations else _ablation(results, chosen, records)
    checked = check_bundle(Bundle(header, records, [], shipped, tunings=tunings, ablation=design))
    wrong = checked.has_errors
    if not wrong:
        write_bundle(records, header, out, shipped, sign, tunings, design)
    if json:
        written = {"file": None if wrong else str(out), "bytes": 0 if wrong else out.stat().st_size}
        counts = {"records": len(records), "tunings": len(tunings)}
        of = {"ablation": None if design is None else design.name}
        print_json(written | counts | of | checked.to_json())
    else:
        report(checked)
    if wrong:
        complain("nothing was written: correct the errors, or leave these trials out")
        raise typer.Exit(1)
    if json:
        return
    searches = f", {len(tunings)} tuning{'s' * (len(tunings) > 1)}" if tunings else ""
    of_one = f" of ablation {design.name}" if design is not None else ""
    say(f"{out}: {len(records)} records{of_one}{searches}, {out.stat().st_size:,} bytes")
    if sign is not None:
        say(f"{out}.sig: its signature, to be sent with it")
    say(f"To send it: open a pull request that adds it under {FOLDER} (docs/submitting.md)")


def new_header(name: str, note: str = "", link: str = "") -> "Header":
    """Return the header of a file that is written now."""
    from leaderboard.bundles.bundle_file import Header

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Header.make(name=name, note=note, link=link, suite=__version__, created=now)


def _check_members(store: Store, study: str) -> None:
    """Refuse a group that has an ablation: without its design, its levels would be on boards.

    Raises:
        InvalidInput: it has one, or there is no such study.
    """
    found = find_study(store, study)
    for one in found.studies if isinstance(found, StudyGroup) else ():
        if any(entry.vary for entry in one.methods):
            raise InvalidInput(
                f"--study {study}: its study {one.name} is an ablation, which is sent in a file of "
                "its own: give the studies of the group one by one"
            )


def _tunings(store: Store, records: list[Record]) -> "list[Tuning]":
    """Return the store's tunings that tested some of the records, as a bundle holds them."""
    from leaderboard.bundles.tunings import as_sent, of_records
    from suite.tuning.schema import load_tunings

    by_key = {record.key: record for record in records}
    found = []
    for one in of_records(load_tunings(store)[0], by_key):
        try:
            found.append(as_sent(one, by_key))
        except InvalidInput as error:
            complain(f"left out: {error}")
    return found


def _ablation(store: Store, chosen: "Selection", records: list[Record]) -> "Ablation | None":
    """Return the design of the ablation that was chosen by its name, as a bundle holds it.

    Raises:
        InvalidInput: it is not that of the records. Without it they would be on boards.
    """
    from leaderboard.bundles.ablations import as_sent
    from suite.results.ablation_design import ablations

    for one in ablations(store)[0] if chosen.study else ():
        if one.name == chosen.study:
            try:
                return as_sent(one, {record.key: record for record in records})
            except InvalidInput as error:
                raise InvalidInput(
                    f"{error}; `resonance ablate` writes the design anew, and --include-ablations "
                    "sends the trials without it, to be on boards"
                ) from error
    return None


def _chosen(records: list[Record], field: str, names: list[str] | None) -> list[Record]:
    known = {record.trial[field] for record in records}
    for name in names or []:
        if name not in known:
            raise InvalidInput(unknown(field, name, sorted(known), see="list trials"))
    return [record for record in records if not names or record.trial[field] in names]


def _explain(store: Store, chosen: "Selection", keys: list[str], records: list[Record]) -> None:
    """Say on standard error which trials one might expect are not sent."""
    if apart := sum(key in chosen.apart for key in keys):
        complain(
            f"left out: {apart} trials that belong to ablations or tunings only "
            "(--include-ablations takes them in)"
        )
    if chosen.keys is not None:
        missing = len(chosen.keys - {record.key for record in records})
        if missing:
            complain(
                f"warning: {missing} of {len(chosen.keys)} trials of {chosen.study} are missing in "
                f"store {store.location}"
            )


def check_bundle(bundle: "Bundle") -> "CheckReport":
    """Check a bundle; zeros and FLOPs are recomputed from the configurations."""
    from leaderboard.bundles.submission_checks import check_bundle

    with recomputing(len(bundle.records)) as recompute:
        return check_bundle(bundle, recompute)


@contextlib.contextmanager
def recomputing(records: int) -> "Iterator[Recompute]":
    """Yield the function that recomputes a record, with a progress bar; torch only if needed."""
    if not records:
        yield lambda record: Recomputed(0)
        return
    from suite.training.verify_record import recompute

    with progress_bar("check", records) as advance:

        def one(record: Record) -> Recomputed:
            advance()
            return recompute(record)

        yield one


def report(checked: "CheckReport") -> None:
    """Print what was compared, and one line per issue; equal issues of several trials are one."""
    print_table(
        "compared",
        ["what", "records", "passed", "wrong", "not checked"],
        [
            [row.check, str(row.records), row.passed_text, str(row.wrong), row.skipped_text]
            for row in checked.compared
        ],
    )
    for issue in checked.grouped():
        say(str(issue))
