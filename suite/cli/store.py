"""`resonance store`: verify a store, merge two, make one fast to read, migrate old names."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import print_json, progress_bar, say
from suite.core.errors import InvalidInput
from suite.results.store import Store

app = typer.Typer(no_args_is_help=True)


@app.callback()
def store() -> None:
    """Maintain a store of results: verify, merge, compact, migrate."""


@app.command()
def verify(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Find what is truncated, altered or out of place, and say what to do about each.

    Records with the files beside them, studies, tunings, ablations and evaluations are compared
    with their checksums. Ends with exit code 1 if anything is broken.
    """
    from suite.results.verify import verify as verify_store

    results = Store(store)
    with progress_bar("verify", len(results.keys())) as advance:
        report = verify_store(results, advance)
    if json:
        findings = [asdict(f) | {"broken": f.broken, "remedy": f.remedy} for f in report.findings]
        counts = {"checked": report.checked, "sound": report.sound}
        counts |= {"documents": report.documents, "sound_documents": report.sound_documents}
        print_json({"store": results.location, **counts, "findings": findings})
    else:
        for finding in report.findings:
            say(f"{finding.kind}: {finding.where}: {finding.what}; {finding.remedy}")
        trials = f"{report.sound} of {report.checked} trials"
        others = f", {report.sound_documents} of {report.documents} documents"
        say(f"store {results.location}: {trials}{others if report.documents else ''} are intact")
    if report.broken:
        raise typer.Exit(1)


@app.command()
def merge(
    source: Annotated[str, typer.Argument(metavar="A", help="The store to read from.")],
    target: Annotated[str, typer.Argument(metavar="B", help="The store to add to.")],
    json: JsonOption = False,
) -> None:
    """Add the trials of store A to store B; trials that B has finished stay as they are.

    Studies, tunings, ablations and evaluations are added too: of a study that both have, the newer
    version stays, of the others B's. What is broken in A is left out, and the exit code is 1; what
    is broken in B is replaced by what A has.
    """
    from suite.results.merge import merge as merge_stores

    first, second = Store(source), Store(target)
    if first.location == second.location:
        raise InvalidInput(f"store merge {source} {target}: name two different stores")
    keys = first.keys()
    if not keys:
        raise InvalidInput(f"store {source} holds no trials: is it the folder given with --store?")
    with progress_bar("merge", len(keys)) as advance:
        done = merge_stores(first, second, advance)
    if json:
        print_json(asdict(done))
    else:
        for finding in done.refused:
            say(f"left out: {finding.kind}: {finding.where}: {finding.what}; {finding.remedy}")
        for key in done.differing:
            say(f"kept: {key} ended with other weights in {source} than in {target}")
        say(
            f"{len(done.added)} added to {target}, {len(done.replaced)} replaced, "
            f"{len(done.same)} the same, {len(done.kept)} kept, {len(done.refused)} left out"
        )
        for name in done.kept_documents:
            say(f"kept: {target} has another {name}")
        for name in done.replaced_documents:
            say(f"replaced: {name} was broken in {target}")
        if done.evaluations or done.documents:
            say(f"{len(done.evaluations)} evaluations and {len(done.documents)} documents added")
    if done.refused:
        raise typer.Exit(1)


@app.command()
def compact(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Write an index of all records, from which they are read faster, and remove leftovers.

    Studies, tunings, ablations and evaluations of earlier versions are given a checksum. What
    cannot be read is left out and named, and the exit code is 1.
    """
    from suite.results.compact import compact as compact_store

    results = Store(store)
    done = compact_store(results)
    if json:
        print_json({"store": results.location, **asdict(done)})
    else:
        for reason in done.refused:
            say(f"left out: {reason}")
        say(f"{done.records} records in the index; {done.removed} leftovers removed")
        if done.sealed:
            say(f"{len(done.sealed)} documents were given a checksum: {', '.join(done.sealed)}")
    if done.refused:
        raise typer.Exit(1)


@app.command()
def migrate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Bundles of records, in place of the store."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Rewrite results that hold old names, or lack the FLOPs of a method's own arithmetic."""
    from leaderboard.bundles.migrate_bundle import migrate_bundle
    from suite.results.migrate import migrate as migrate_store
    from suite.training.complete_flops import with_own_arithmetic as complete

    if files:
        reports = {
            str(file): migrate_bundle(file, complete=complete, dry_run=dry_run) for file in files
        }
    else:
        results = Store(store)
        with progress_bar("migrate", len(results.keys())) as advance:
            report = migrate_store(results, complete=complete, dry_run=dry_run, progress=advance)
        reports = {f"store {results.location}": report}
    if json:
        print_json({where: asdict(report) for where, report in reports.items()})
    for where, report in {} if json else reports.items():
        for key, new_key in report.moved.items() if dry_run else ():
            say(f"{key} becomes {new_key}")
        for key, new_key in report.conflicts.items():
            say(f"conflict: {key} would become {new_key}, which holds another result: remove one")
        for issue in report.refused:
            say(f"left alone: {issue.where}: {issue.what}")
        say(
            f"{where}: {len(report.moved)} trials with a new key, {len(report.rewritten)} "
            f"rewritten, {report.current} as they were, {len(report.documents)} documents, "
            f"{len(report.conflicts)} conflicts, {len(report.refused)} left alone"
            + (" (dry run: nothing was written)" if dry_run else "")
        )
    if not all(report.complete for report in reports.values()):
        raise typer.Exit(1)
