"""Forecasts of steps that are remembered between processes, so that planning needs no torch.

One small file for each configuration in the user's cache folder. What is damaged, or was computed
by other code, is not used: the forecast is made again.
"""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from suite.core.files import atomic_write
from suite.experiments.trial_config import Trial
from suite.training.training_code import code_digest
from tasks.datasets.files import cache_folder

FOLDER = "steps"
MAX_BYTES = 200
"""A file of the cache is shorter."""

_known: dict[str, int] = {}
"""What this process has found, also where no file can be written."""


def remembered_steps(trial: Trial, forecast: Callable[[], int]) -> int:
    """Return a trial's steps as they are remembered, or as `forecast` gives them.

    They do not depend on the seed. What `forecast` raises is not remembered.
    """
    about = _about(trial)
    if about not in _known:
        path = _path(about)
        steps = _read(path, about)
        if steps is None:
            steps = forecast()
            with contextlib.suppress(OSError, RuntimeError):
                atomic_write(path, _content(about, steps), sync=False)
        _known[about] = steps
    return _known[about]


def known_steps(trial: Trial) -> int | None:
    """Return a trial's steps if they are remembered; None if not. Nothing is computed."""
    about = _about(trial)
    return _known.get(about) or _read(_path(about), about)


def _about(trial: Trial) -> str:
    """Return a digest of a trial without its seed, and of the code that it depends on."""
    alike = trial.model_copy(update={"seed": 0})
    return hashlib.sha256(f"{alike.key} {code_digest(alike)}".encode()).hexdigest()


def _path(about: str) -> Path:
    return cache_folder() / FOLDER / about[:32]


def _content(about: str, steps: int) -> str:
    """Return what the file holds: the steps, and a digest that only they and `about` have."""
    return f"{steps} {hashlib.sha256(f'{about} {steps}'.encode()).hexdigest()}\n"


def _read(path: Path, about: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode()
        steps = int(text.split(" ")[0])
        if steps > 0 and text == _content(about, steps):
            return steps
    return None
