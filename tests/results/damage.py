"""A store of three trials, and ways to damage one of them."""

import json
from pathlib import Path

from suite.results.record import Record
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

FIRST, SECOND, THIRD = (make_trial(seed=seed) for seed in range(3))
KEY = FIRST.key


def put(store: Store, trial=FIRST, record: Record | None = None, **more: bytes) -> None:
    files = {"record.json": (record or done(trial)).to_json(), "curves.parquet": b"PAR1 PAR1"}
    store.write(trial.key, files | more)


def remove_checksums(path: Path) -> None:
    """Make a record one of schema 1, which had no checksums."""
    content = json.loads(path.read_text()) | {"schema_version": 1}
    del content["seal"]
    path.write_text(json.dumps(content))


def cut_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_bytes(path.read_bytes()[:-100])


def empty_record(folder: Path) -> None:
    (folder / "record.json").write_bytes(b"")


def better_record(folder: Path) -> None:
    path = folder / "record.json"
    content = json.loads(path.read_text())
    content["metrics"]["test_accuracy"] = 0.999
    path.write_text(json.dumps(content))


def newer_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))


def other_settings(folder: Path) -> None:
    """Say another seed, and remove the checksums: nothing but the key can tell."""
    path = folder / "record.json"
    remove_checksums(path)
    content = json.loads(path.read_text())
    content["trial"]["seed"] = 77
    path.write_text(json.dumps(content))


def other_json(folder: Path) -> None:
    (folder / "record.json").write_text('{"colour": "red"}')


def other_trial(folder: Path) -> None:
    other = folder.parent / SECOND.key / "record.json"
    (folder / "record.json").write_bytes(other.read_bytes())


def cut_curves(folder: Path) -> None:
    (folder / "curves.parquet").write_bytes(b"PAR1")


def other_curves(folder: Path) -> None:
    (folder / "curves.parquet").write_bytes(b"PAR1 PAR2")


def no_curves(folder: Path) -> None:
    (folder / "curves.parquet").unlink()


def linked_curves(folder: Path) -> None:
    (folder / "curves.parquet").unlink()
    (folder / "curves.parquet").symlink_to("/etc/hostname")


def one_file_more(folder: Path) -> None:
    (folder / "setup.py").write_text("import os")
