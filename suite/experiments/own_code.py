"""The user's own code that a trial runs: of its method, trainer, task, model and dataset."""

import functools
from typing import TYPE_CHECKING

from suite.core.code_files import OwnCode, is_own_origin, own_code
from suite.core.declarations import Declared
from suite.experiments import registry

if TYPE_CHECKING:
    from suite.experiments.trial_config import Trial


def code_of(trial: "Trial") -> OwnCode:
    """Return the user's own files that a trial runs, as they were when plug-ins were last read.

    Raises:
        InvalidInput: one cannot be read.
    """
    return _code_of(trial.task, trial.method, trial.trainer)


def own_origins(trial: "Trial") -> list[str]:
    """Return the files and modules that a trial runs and that are not this project's."""
    return list(_own_origins(trial.task, trial.method, trial.trainer))


@functools.cache
def _code_of(task: str, method: str, trainer: str) -> OwnCode:
    return own_code(_own_origins(task, method, trainer), registry.plugin_folders())


@functools.cache
def _own_origins(task: str, method: str, trainer: str) -> tuple[str, ...]:
    from tasks.task import code_origins

    declared = registry.tasks()[task]
    origins = _implemented(registry.methods()[method])
    if trainer:
        origins += _implemented(registry.trainers()[trainer])
    origins += code_origins(declared, registry.datasets()[declared.dataset])
    return tuple(dict.fromkeys(filter(is_own_origin, origins)))


def _implemented(declared: Declared) -> list[str]:
    module, _, _ = getattr(declared, "implementation", "").rpartition(":")
    return [origin for origin in (declared.origin, module) if origin]


registry.when_read_anew(_code_of.cache_clear)
registry.when_read_anew(_own_origins.cache_clear)
