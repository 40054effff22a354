"""A digest of the code that a trial's training depends on. Imports no torch."""

import functools
import hashlib
import importlib.resources
from importlib.metadata import version
from pathlib import Path

from suite.experiments.trial_config import Trial

SKIPPED = frozenset({"cli", "execution", "results", "tracking", "tuning"})
"""Packages that no training depends on."""


def code_digest(trial: Trial) -> str:
    """Return a digest of the code that a trial's training depends on.

    What was saved by other code (a checkpoint, a forecast) is not used, so that no result comes
    from two versions of it.
    """
    return hashlib.sha256(f"{_suite_code()} {trial.code.digest}".encode()).hexdigest()


@functools.cache
def _suite_code() -> str:
    digest = hashlib.sha256(version("torch").encode())
    for package in ("suite", "baselines", "tasks"):
        root = Path(str(importlib.resources.files(package)))
        for path in sorted(root.rglob("*.py")):
            if path.relative_to(root).parts[0] not in SKIPPED:
                digest.update(path.read_bytes())
    return digest.hexdigest()
