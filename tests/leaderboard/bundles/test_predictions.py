"""Predictions sent with records: as they were stored, bounded, and refused where they are not."""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from leaderboard.bundles import predictions as module
from leaderboard.bundles.bundle_file import read_bundle, write_bundle
from leaderboard.bundles.migrate_bundle import migrate_bundle
from leaderboard.bundles.predictions import stored_predictions, take_out
from leaderboard.bundles.submission_checks import compare_rerun
from suite.core.errors import InvalidInput
from suite.results.counts import Counts
from suite.results.record import Record
from suite.results.store import Store
from tests.leaderboard.sample_bundles import HEADER
from tests.support.sample_records import done, make_trial

TASK = "breast_cancer/mlp"
TOTAL = 114
"""Test examples of the task: no whole number of bytes."""


def counted(store: Store, seed: int = 0) -> Record:
    """Store a trial with its predictions; return its record."""
    record = done(make_trial("static", seed=seed, task=TASK))
    right = np.random.default_rng(seed).random(TOTAL) < 0.9
    correct = int(right.sum())
    counts = Counts.of_cells([(0, 0, correct), (0, 1, TOTAL - correct)], 2)
    metrics = record.metrics | {"test_accuracy": counts.correct / TOTAL}
    record = record.model_copy(update={"counts": {"test": counts}, "metrics": metrics})
    files = {"record.json": record.to_json(), "correct.bits": np.packbits(right).tobytes()}
    store.write(record.key, files)
    read = store.read(record.key)
    assert read is not None
    return read


def line_of(path: Path) -> dict:
    return json.loads(gzip.decompress(path.read_bytes()).splitlines()[1])


def written(path: Path, *lines: bytes) -> Path:
    header = json.dumps(HEADER.model_dump() | {"schema_version": 2}).encode()
    path.write_bytes(gzip.compress(b"\n".join([header, *lines, b""])))
    return path


def compact(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def test_predictions_are_read_as_they_were_sent_and_migration_keeps_them(store, tmp_path):
    records = [counted(store, seed) for seed in (0, 1)]
    sent, path = stored_predictions(store, records), tmp_path / "a.jsonl.gz"
    assert sent == {record.key: store.load(record.key, "correct.bits") for record in records}
    write_bundle(records, HEADER, path, sent)
    bundle = read_bundle(path)
    assert bundle.rejected == []
    assert bundle.predictions == sent
    assert bundle.header.schema_version == 2  # an older program says that it cannot read it
    assert [r.integrity for r in sorted(bundle.records, key=lambda r: r.key)] == [
        r.integrity for r in sorted(records, key=lambda r: r.key)
    ]
    before = path.read_bytes()
    migrate_bundle(path)
    assert path.read_bytes() == before


def test_without_predictions_a_bundle_is_as_before(store, tmp_path):
    write_bundle([counted(store)], HEADER, tmp_path / "a.jsonl.gz")
    bundle = read_bundle(tmp_path / "a.jsonl.gz")
    assert bundle.header.schema_version == 1
    assert bundle.predictions == {}
    assert len(bundle.records) == 1


def test_trials_without_predictions_are_named(store):
    record = done(make_trial())
    store.write(record.key, {"record.json": record.to_json()})
    with pytest.raises(InvalidInput, match=r"none of these trials has correct\.bits"):
        stored_predictions(store, store.records())
    damaged = counted(store, 3)
    (store.folder(damaged.key) / "correct.bits").write_bytes(bytes(15))
    with pytest.raises(InvalidInput, match="has 0 right predictions, not"):
        stored_predictions(store, [damaged])


WRONG = {
    "another file": lambda bits: bits[::-1][1:] + bits[-1:],
    "too short": lambda bits: bits[:-1],
    "too long": lambda bits: bits + b"\0",
    "one bit less": lambda bits: bytes([bits[0] ^ 128]) + bits[1:],
    "padding": lambda bits: bits[:-1] + bytes([bits[-1] | 1]),
}


@pytest.mark.parametrize("damage", WRONG.values(), ids=WRONG)
def test_predictions_that_are_not_those_of_the_record_reject_it(store, tmp_path, damage):
    good, bad = counted(store, 0), counted(store, 1)
    write_bundle([bad], HEADER, tmp_path / "a.jsonl.gz", stored_predictions(store, [bad]))
    content = line_of(tmp_path / "a.jsonl.gz")
    bits = damage(base64.b64decode(content["files"]["correct.bits"]))
    content["files"]["correct.bits"] = base64.b64encode(bits).decode()
    write_bundle([good], HEADER, tmp_path / "b.jsonl.gz")
    bundle = read_bundle(
        written(
            tmp_path / "c.jsonl.gz", compact(content), compact(line_of(tmp_path / "b.jsonl.gz"))
        )
    )
    assert [record.key for record in bundle.records] == [good.key]
    assert bundle.predictions == {}
    (rejected,) = bundle.rejected
    assert rejected.reason.startswith(f"trial {bad.key}: correct.bits has ") or (
        "is not the file that the record was stored with" in rejected.reason
    )


@pytest.mark.parametrize(
    "files",
    [
        {"correct.bits": "*"}, {"correct.bits": 1}, {"other": "AA=="}, {}, [],
        {"correct.bits": "AAA"}, {"correct.bits": "AA==", "x": "AA=="}, {"correct.bits": ""},
    ],
    ids=str,
)  # fmt: skip
def test_other_files_in_a_line_reject_the_record(store, tmp_path, files):
    write_bundle([counted(store)], HEADER, tmp_path / "a.jsonl.gz")
    content = line_of(tmp_path / "a.jsonl.gz") | {"files": files}
    bundle = read_bundle(written(tmp_path / "b.jsonl.gz", compact(content)))
    assert bundle.records == []
    assert len(bundle.rejected) == 1
    assert "\n" not in bundle.rejected[0].reason


def test_predictions_of_a_record_that_counts_none_are_refused(store, tmp_path):
    record = done(make_trial()).model_copy(update={"schema_version": 2})  # from before counts
    store.write(record.key, {"record.json": record.to_json()})
    write_bundle(store.records(), HEADER, tmp_path / "a.jsonl.gz")
    content = line_of(tmp_path / "a.jsonl.gz") | {"files": {"correct.bits": "AA=="}}
    (rejected,) = read_bundle(written(tmp_path / "b.jsonl.gz", compact(content))).rejected
    assert "the record names no such file" in rejected.reason


def test_only_a_field_of_the_line_is_taken_out():
    """Text that looks like it is inside a string, or deeper, stays: the record is then refused."""
    inside = json.dumps({"note": '"files":{"correct.bits":"AA=="},'}).encode()
    assert take_out(inside) == (inside, None)
    line = b'{"a":1,"files":{"correct.bits":"AA=="},"key":1}'
    assert take_out(line) == (b'{"a":1,"key":1}', b"AA==")


def test_a_bundle_has_a_limited_size_of_predictions(store, tmp_path, monkeypatch):
    records = [counted(store, seed) for seed in (0, 1)]
    sent, path = stored_predictions(store, records), tmp_path / "a.jsonl.gz"
    write_bundle(records, HEADER, path, sent)
    monkeypatch.setattr(module, "MAX_SHIPPED", 20)
    with pytest.raises(InvalidInput, match="MiB of predictions in one file: send fewer trials"):
        stored_predictions(store, records)
    bundle = read_bundle(path)
    assert len(bundle.records) == 1
    assert "MiB of predictions in one file" in bundle.rejected[0].reason


def test_a_rerun_is_compared_by_example(store):
    record = counted(store)
    bits = store.load(record.key, "correct.bits")
    other = bytes([bits[0] ^ 0b11000000]) + bits[1:]
    (equal,) = compare_rerun(record, record, (bits, bits))
    assert equal.what.endswith("bit by bit, and every test prediction")
    words = [issue.what for issue in compare_rerun(record, record, (bits, other))]
    assert "2 of 114 test predictions are right in one run only" in words
