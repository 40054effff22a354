"""`leaderboard check` in a process with limits: strangers decide what is read and built."""

import json
import os
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput
from suite.core.limited_process import Allowance, answer, ask, memory_limit
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record

if TYPE_CHECKING:
    from leaderboard.bundles.bundle_file import Header
    from leaderboard.bundles.submission_checks import SubmissionIssue

MEMORY = 2 * 2**30
"""For building the models of a file's records, one at a time."""
ALLOWANCE = Allowance(seconds=1800, answer=64 * 2**20)
"""Recomputing takes a second per configuration of a large model."""


@dataclass(frozen=True)
class CheckedBundle:
    """What was found in a file.

    Attributes:
        records: how many can be used.
        issues: the most severe first.
        chosen: the record to run again, if one was asked for.
    """

    header: "Header"
    records: int
    issues: "list[SubmissionIssue]"
    chosen: Record | None


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
    from leaderboard.bundles.submission_checks import SubmissionIssue

    request = {
        "file": os.path.abspath(file),  # noqa: PTH100 - links are refused, so not resolved
        "plugins": registry.plugins(),
        "reading": limited_reading.MEMORY,
        "checking": MEMORY,
        "rerun": rerun,
        "seed": seed,
    }
    found = json.loads(ask(__name__, request, ALLOWANCE, f"checking {file}", show_errors=True))
    chosen = found["chosen"]
    return CheckedBundle(
        Header.make(**found["header"]),
        found["records"],
        [SubmissionIssue(**issue) for issue in found["issues"]],
        None if chosen is None else Record.from_json(chosen.encode(), "record", stored=False),
    )


def _check(request: dict[str, Any]) -> bytes:
    from leaderboard.bundles.bundle_file import read_bundle
    from leaderboard.bundles.submission_checks import check_bundle
    from suite.cli.submit import recomputing

    registry.use_plugins(request["plugins"])
    with memory_limit(request["reading"]):
        bundle = read_bundle(Path(request["file"]))
    rerun = request["rerun"]
    chosen = None if rerun is None else one_of(bundle.records, rerun, request["seed"])
    with recomputing(len(bundle.records)) as recompute, memory_limit(request["checking"]):
        issues = check_bundle(bundle, recompute)
    found = {
        "header": bundle.header.model_dump(),
        "records": len(bundle.records),
        "issues": [asdict(issue) for issue in issues],
        "chosen": None if chosen is None else chosen.to_json().decode(),
    }
    return json.dumps(found).encode()


def one_of(records: list[Record], key: str, seed: int) -> Record:
    """Return the record whose key begins with `key`; for `any`, one picked by the seed.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    if key == "any":
        done = [r for r in records if r.status == "done"]
        matching = [random.Random(seed).choice(done)] if done else []
    else:
        matching = [r for r in records if key and r.key.startswith(key)]
    if len(matching) != 1:
        raise InvalidInput(
            f"--rerun {key}: {len(matching)} trials of the file have such a key; give the whole "
            "key of one, or any"
        )
    Trial.make(**matching[0].trial)
    return matching[0]


if __name__ == "__main__":
    answer(_check)
