"""Records and bundles as others send them, sound or forged."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from leaderboard.bundles.bundle_file import Bundle, Header
from leaderboard.bundles.submission_checks import SubmissionIssue, check_bundle
from suite.results.integrity import with_integrity
from suite.results.record import Record
from suite.results.record_check import Check, Recomputed
from tests.support.sample_records import done, make_trial, with_counts

HEADER = Header.make(name="A group", note="ours", link="https://example.org/x")


def content(record: Record, **changes: object) -> dict[str, object]:
    """Return what a record says, changed and with new checksums, as a forger would."""
    return with_integrity(json.loads(record.to_json()) | changes, {})


def sample(method: str = "static", seed: int = 0, **given: object) -> Record:
    record = with_counts(done(make_trial(method, seed=seed, **given)))
    record.digests["model"] = hashlib.sha256(record.key.encode()).hexdigest()
    return Record.from_json(json.dumps(content(record)).encode(), "here")


def forged(record: Record, **changes: object) -> Record:
    return Record.from_json(json.dumps(content(record, **changes)).encode(), "here")


def packed(path: Path, *lines: object, header: object = None) -> Path:
    """Write a bundle by hand: records as they are given, texts as they stand."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    first = json.dumps(HEADER.model_dump() if header is None else header)
    path.write_bytes(gzip.compress("\n".join([first, *texts, ""]).encode()))
    return path


def change_last_line(path: Path, change: Callable[[str], str]) -> None:
    """Write a bundle again with another last line, that of a document."""
    *lines, last = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([*lines, change(last), ""]).encode()))


def sealed(line: str, **changes: object) -> str:
    """Return a document's line with other content and a new checksum, as a forger would."""
    ((kind, content),) = json.loads(line).items()
    document = with_integrity(content | changes, {})
    return json.dumps({kind: document}, separators=(",", ":"))


def issues(
    *records: Record, problems: tuple[str, ...] = (), steps: int = 10
) -> list[SubmissionIssue]:
    found = Recomputed(steps, (Check("zeros", problems),))
    return list(check_bundle(Bundle(HEADER, list(records), []), lambda record: found).issues)


def errors(*records: Record) -> list[str]:
    return [issue.what for issue in issues(*records) if issue.severity == "error"]


def paired(*methods: str, seeds: int = 5) -> list[Record]:
    return [sample(method, seed) for method in methods for seed in range(seeds)]
