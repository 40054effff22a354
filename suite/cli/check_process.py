"""`leaderboard check` in a process with limits: strangers decide what is read and built."""

import base64
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput
from suite.core.limited_process import Allowance, answer, ask, memory_limit
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.find_record import find_key
from suite.results.record import Record

if TYPE_CHECKING:
    from leaderboard.bundles.bundle_file import Header
    from leaderboard.bundles.check_report import CheckReport

MEMORY = 2 * 2**30
"""For building the models of a file's records, one at a time."""
ALLOWANCE = Allowance(seconds=1800, answer=64 * 2**20)
"""Recomputing takes a second per configuration of a large model."""


@dataclass(frozen=True)
class CheckedBundle:
    """What was found in a file.

    Attributes:
        records: how many can be used.
        report: what was compared and found.
        chosen: the record to run again, if one was asked for.
        correct: which test examples its trial has right, if the file says so.
    """

    header: "Header"
    records: int
    report: "CheckReport"
    chosen: Record | None
    correct: bytes | None


def check_file(file: Path, rerun: str | None = None, seed: int = 0) -> CheckedBundle:
    """Read and check a bundle in a process of its own.

    Args:
        file: what `resonance submit` wrote.
        rerun: the start of the key of a record to return, or `any`.
        seed: decides which one is `any`.

    Raises:
        LimitExceeded: it takes too much memory or time.
        InvalidInput: the file is not a bundle, or has not one such record.
    """
    from leaderboard.bundles import limited_reading
    from leaderboard.bundles.bundle_file import Header
    from leaderboard.bundles.check_report import CheckReport

    request = {
        "file": os.path.abspath(file),  # noqa: PTH100 - links are refused, so not resolved
        "plugins": registry.plugins(),
        "reading": limited_reading.MEMORY,
        "checking": MEMORY,
        "rerun": rerun,
        "seed": seed,
    }
    found = json.loads(ask(__name__, request, ALLOWANCE, f"checking {file}", show_errors=True))
    chosen, correct = found["chosen"], found["correct"]
    return CheckedBundle(
        Header.make(**found["header"]),
        found["records"],
        CheckReport.from_json(found["report"]),
        None if chosen is None else Record.from_json(chosen.encode(), "record", stored=False),
        None if correct is None else base64.b64decode(correct),
    )


def _check(request: dict[str, Any]) -> bytes:
    from leaderboard.bundles.bundle_file import read_bundle
    from leaderboard.bundles.submission_checks import check_bundle
    from suite.cli.submit import recomputing

    registry.use_plugins(request["plugins"])
    with memory_limit(request["reading"]):
        bundle = read_bundle(Path(request["file"]), possible=False)
    rerun = request["rerun"]
    chosen = None if rerun is None else one_of(bundle.records, rerun, request["seed"])
    with recomputing(len(bundle.records)) as recompute, memory_limit(request["checking"]):
        report = check_bundle(bundle, recompute)
    correct = None if chosen is None else bundle.predictions.get(chosen.key)
    found = {
        "header": bundle.header.model_dump(),
        "records": len(bundle.records),
        "report": report.to_json(),
        "chosen": None if chosen is None else chosen.to_json().decode(),
        "correct": None if correct is None else base64.b64encode(correct).decode(),
    }
    return json.dumps(found).encode()


def one_of(records: list[Record], key: str, seed: int) -> Record:
    """Return the record whose key begins with `key`; for `any`, one picked by the seed.

    Raises:
        InvalidInput: there is none, or there are several; or its trial cannot be run here.
    """
    if key == "any":
        done = [r for r in records if r.status == "done"]
        if not done:
            raise InvalidInput("--rerun any: no trial of the file has finished: leave it out")
        chosen = random.Random(seed).choice(done)
    else:
        by_key = {record.key: record for record in records}
        chosen = by_key[find_key(by_key, key, "in the file", "`--rerun any` picks one")]
    Trial.make(**chosen.trial)
    return chosen


if __name__ == "__main__":
    answer(_check)
