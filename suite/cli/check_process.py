"""`leaderboard check` in a process with limits: strangers decide what is read and built."""

import base64
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
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
DRAWN = re.compile("[0-9]{1,3}")
"""A number of trials to draw; more digits are the start of a key."""
ALLOWANCE = Allowance(seconds=1800, answer=64 * 2**20)
"""Recomputing takes a second per configuration of a large model."""


@dataclass(frozen=True)
class CheckedBundle:
    """What was found in a file.

    Attributes:
        records: how many can be used.
        report: what was compared and found.
        chosen: the records to run again, as many as were asked for.
        correct: which test examples their trials have right, by key, where the file says so.
    """

    header: "Header"
    records: int
    report: "CheckReport"
    chosen: Sequence[Record]
    correct: Mapping[str, bytes]


def check_file(file: Path, rerun: str | None = None, seed: int = 0) -> CheckedBundle:
    """Read and check a bundle in a process of its own.

    Args:
        file: what `resonance submit` wrote.
        rerun: which records to return, as `chosen_records` reads it.
        seed: decides which are drawn.

    Raises:
        LimitExceeded: it takes too much memory or time.
        InvalidInput: the file is not a bundle, or as `chosen_records`.
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
    return CheckedBundle(
        Header.make(**found["header"]),
        found["records"],
        CheckReport.from_json(found["report"]),
        [Record.from_json(one.encode(), "record", stored=False) for one in found["chosen"]],
        {key: base64.b64decode(bits) for key, bits in found["correct"].items()},
    )


def _check(request: dict[str, Any]) -> bytes:
    from leaderboard.bundles.bundle_file import read_bundle
    from leaderboard.bundles.submission_checks import check_bundle
    from suite.cli.submit import recomputing

    registry.use_plugins(request["plugins"])
    with memory_limit(request["reading"]):
        bundle = read_bundle(Path(request["file"]), possible=False)
    rerun = request["rerun"]
    chosen = [] if rerun is None else chosen_records(bundle.records, rerun, request["seed"])
    with recomputing(len(bundle.records)) as recompute, memory_limit(request["checking"]):
        report = check_bundle(bundle, recompute)
    predictions = bundle.predictions
    correct = {r.key: predictions[r.key] for r in chosen if r.key in predictions}
    found = {
        "header": bundle.header.model_dump(),
        "records": len(bundle.records),
        "report": report.to_json(),
        "chosen": [record.to_json().decode() for record in chosen],
        "correct": {key: base64.b64encode(bits).decode() for key, bits in correct.items()},
    }
    return json.dumps(found).encode()


def chosen_records(records: Sequence[Record], asked: str, seed: int) -> list[Record]:
    """Return the records to run again: so many drawn by the seed, or one by its key.

    `asked` is a number below 1,000, `any` for one, or the start of a key.

    Raises:
        InvalidInput: so many trials have not finished; no key begins so, or several do; or a trial
            cannot be run here.
    """
    if asked == "any" or DRAWN.fullmatch(asked):
        number = 1 if asked == "any" else int(asked)
        done = [record for record in records if record.status == "done"]
        if not 1 <= number <= len(done):
            raise InvalidInput(
                f"--rerun {asked}: {len(done)} trials of the file have finished: "
                + (f"give 1 to {len(done)}, or a key" if done else "leave it out")
            )
        chosen = random.Random(seed).sample(done, number)
    else:
        by_key = {record.key: record for record in records}
        chosen = [by_key[find_key(by_key, asked, "in the file", "`--rerun any` picks one")]]
    for record in chosen:
        Trial.make(**record.trial)
    return chosen


if __name__ == "__main__":
    answer(_check)
