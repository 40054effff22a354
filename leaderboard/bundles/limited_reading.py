"""Reading a stranger's bundle in a process with limits on memory and time."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from leaderboard.bundles.bundle_file import MAX_UNPACKED, SHIPPED, Bundle, Header, Rejected
from leaderboard.bundles.bundle_file import read_bundle as read_directly
from leaderboard.bundles.signature import ALLOWED_SIGNERS, InvalidSignature, signature_of
from suite.core.limited_process import Allowance, answer, ask, memory_limit
from suite.experiments import registry
from suite.results.ablation_design import Ablation
from suite.results.record import Record
from suite.tuning.schema import Tuning

MEMORY = 512 * 2**20
SECONDS = 120
ALLOWANCE = Allowance(seconds=SECONDS, answer=MAX_UNPACKED)


def read_bundle(path: Path, signers: Path = ALLOWED_SIGNERS) -> Bundle:
    """Read a bundle and verify its signature, if it has one, by a file of allowed signers.

    It is read as `bundle_file.read_bundle` does, in another process if it is not shipped.

    Raises:
        LimitExceeded: it takes too much memory or time.
        InvalidSignature: it has a signature, which is not one of this file.
        InvalidInput: the file cannot be read, or is not a bundle.
    """
    signature = signature_of(path, signers)
    if signature.status == "invalid":
        raise InvalidSignature(f"{path}: {signature}: ask its sender for it again")
    return _read_unsigned(path)._replace(signature=signature)


def _read_unsigned(path: Path) -> Bundle:
    if path.resolve().parent in SHIPPED:
        return read_directly(path)
    request = {
        "file": os.path.abspath(path),  # noqa: PTH100 - links are refused, so not resolved
        "plugins": registry.plugins(),
        "memory": MEMORY,
    }
    head, *lines = ask(__name__, request, ALLOWANCE, f"reading {path}").splitlines()
    about = json.loads(head)
    return Bundle(
        Header.make(**about["header"]),
        [Record.model_validate_json(line) for line in lines],
        [Rejected(*one) for one in about["rejected"]],
        {key: base64.b64decode(text) for key, text in about["predictions"].items()},
        tunings=[Tuning.model_validate(one) for one in about["tunings"]],
        ablation=about["ablation"] and Ablation.model_validate(about["ablation"]),
    )


def _read(request: dict[str, Any]) -> bytes:
    """Return a bundle: a line of JSON with its header and what was rejected, a line per record."""
    registry.use_plugins(request["plugins"])
    with memory_limit(request["memory"]):
        bundle = read_directly(Path(request["file"]))
        bits = {key: base64.b64encode(one).decode() for key, one in bundle.predictions.items()}
        about = {
            "header": bundle.header.model_dump(),
            "rejected": bundle.rejected,
            "predictions": bits,
            "tunings": [one.model_dump(mode="json") for one in bundle.tunings],
            "ablation": bundle.ablation and bundle.ablation.model_dump(mode="json"),
        }
        return b"".join(
            json.dumps(content).encode() + b"\n"
            for content in [about, *map(_whole, bundle.records)]
        )


def _whole(record: Record) -> dict[str, Any]:
    """Return a record's content with its checksums, as it was read."""
    sealed = record.integrity.model_dump() if record.integrity else None
    return record.model_dump(mode="json") | ({"seal": sealed} if sealed else {})


if __name__ == "__main__":
    answer(_read)
