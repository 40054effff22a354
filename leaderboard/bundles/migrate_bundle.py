"""Migrating a bundle of records to renamed settings."""

from pathlib import Path

from leaderboard.bundles.bundle_file import read_bundle, write_bundle
from suite.core.errors import InvalidInput
from suite.results.ablation_design import Ablation
from suite.results.migrate import (
    Complete,
    MigrationReport,
    as_recorded,
    migrate_record,
    renamed_document,
)
from suite.results.record import Record
from suite.results.store_issue import StoreIssue
from suite.tuning.schema import Tuning


def migrate_bundle(
    path: Path, *, complete: Complete = as_recorded, dry_run: bool = False
) -> MigrationReport:
    """Rewrite a bundle's records with the current names, and complete them by `complete`.

    With `dry_run`, only report the changes.

    Raises:
        InvalidInput: the file cannot be read or written, or a line of it is not usable.
    """
    bundle, report = read_bundle(path, old_names=True), MigrationReport()
    for line in bundle.rejected:
        raise InvalidInput(f"{path} cannot be migrated: {line.where}: {line.reason}")
    records: dict[str, Record] = {}
    predictions: dict[str, bytes] = {}
    keys = {record.key for record in bundle.records}
    for record in bundle.records:
        new = record
        try:
            new = complete(migrate_record(record))
        except InvalidInput as error:
            report.refused.append(StoreIssue("unreadable", f"{path}, {record.key}", str(error)))
        if new.key != record.key and new.key in keys:
            report.conflicts[record.key] = new.key
            new = record
        elif new.key != record.key:
            report.moved[record.key] = new.key
        elif new is not record:
            report.rewritten.append(record.key)
        else:
            report.current += 1
        records[new.key] = new
        if record.key in bundle.predictions:
            predictions[new.key] = bundle.predictions[record.key]
    if not dry_run and (report.moved or report.rewritten):
        tunings = [
            Tuning.model_validate(
                renamed_document(one.model_dump(mode="json"), one.settings.name, report.moved)
            )
            for one in bundle.tunings
        ]
        ablation = bundle.ablation
        if ablation is not None:
            content = ablation.model_dump(mode="json")
            ablation = Ablation.model_validate(
                renamed_document(content, ablation.name, report.moved)
            )
        write_bundle(
            records.values(), bundle.header, path, predictions, tunings=tunings, ablation=ablation
        )
    return report
