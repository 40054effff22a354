"""The user's own code that a trial runs: of its method, trainer, task, model and dataset."""

import functools

from suite.core.code_files import OwnCode, is_own_origin, own_code
from suite.core.declarations import Declared
from suite.experiments import registry


def code_of(task: str, method: str, trainer: str) -> OwnCode:
    """Return the user's own files that a trial runs, as they were when plug-ins were last read.

    Raises:
        InvalidInput: one cannot be read.
    """
    return _own_code(own_origins(task, method, trainer))


def own_origins(task: str, method: str, trainer: str) -> tuple[str, ...]:
    """Return the files and modules that a trial runs and that are not this project's."""
    return (*_method_origins(method, trainer), *_task_origins(task))


def method_code(method: str, trainer: str = "") -> str:
    """Return the digest of the user's own code of a method and a trainer; empty without any."""
    return _own_code(_method_origins(method, trainer)).digest


def task_code(task: str) -> str:
    """Return the digest of the user's own code of a task and its dataset; empty without any."""
    return _own_code(_task_origins(task)).digest


@functools.cache
def _own_code(origins: tuple[str, ...]) -> OwnCode:
    return own_code(origins, registry.plugin_folders())


@functools.cache
def _method_origins(method: str, trainer: str) -> tuple[str, ...]:
    declared: list[Declared] = [registry.methods()[method]]
    if trainer:
        declared.append(registry.trainers()[trainer])
    origins = [origin for one in declared for origin in (one.origin, _module(one)) if origin]
    return tuple(dict.fromkeys(filter(is_own_origin, origins)))


@functools.cache
def _task_origins(task: str) -> tuple[str, ...]:
    from tasks.task import code_origins

    declared = registry.tasks()[task]
    origins = code_origins(declared, registry.datasets()[declared.dataset])
    return tuple(filter(is_own_origin, origins))


def _module(declared: Declared) -> str:
    """Return the module that a method's or trainer's implementation names; empty for its own."""
    return str(getattr(declared, "implementation", "")).rpartition(":")[0]


for cached in (_own_code, _method_origins, _task_origins):
    registry.when_read_anew(cached.cache_clear)
