"""All methods, tasks and datasets: of this project, of installed packages and of plug-ins.

There are three ways to add one, and no list to edit: a file in ``baselines/`` or
``tasks/catalogue/``; a package with an entry point in the group ``resonance_bench`` that names a
module; a file given with ``--plugin`` or, to `sparsify` as well, in ``RESONANCE_PLUGINS``.
"""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.code_files import ENTRY_POINTS, find_module, importable_only, is_own_origin
from suite.core.declarations import Declared, Method, Registry
from suite.core.discovery import declares, drop_changed, read_declarations
from suite.core.errors import InvalidInput
from suite.core.named_paths import is_dir, is_file, odd_kind

if TYPE_CHECKING:
    from suite.core.custom_trainer import Trainer
    from tasks.task import Dataset, Task

TASK_FILES = (".yaml", ".yml")
"""Suffixes of plug-ins that declare a task without Python."""

_plugins: list[Path] = []
_when_read_anew: list[Callable[[], object]] = []


def use_plugins(paths: list[str]) -> None:
    """Also read declarations from these files, from now on in this process.

    Raises:
        InvalidInput: a file does not exist, or declares nothing.
    """
    for path in map(Path, paths):
        if not is_file(path):
            kind = "a folder" if is_dir(path) else odd_kind(path)
            found = f"it is {kind}: give a file" if kind else "there is no such file"
            raise InvalidInput(f"plugin {path!s:.300}: {found}")
        if path.suffix not in TASK_FILES and not declares(path):
            raise InvalidInput(
                f"plugin {path} declares nothing: assign METHOD, TASK or DATASET at its top level"
            )
        if path.resolve() not in _plugins:
            _plugins.append(path.resolve())
    refresh()


@contextlib.contextmanager
def undone_if_refused() -> Iterator[None]:
    """Use no plug-in from now on that was added in here, if this ends with `InvalidInput`.

    A file is read when something is looked up, so one that cannot be read would otherwise be the
    end of all later look-ups, too.
    """
    before = list(_plugins)
    try:
        yield
    except InvalidInput:
        if _plugins != before:
            _plugins[:] = before
            refresh()
        raise


def refresh() -> None:
    """Read plug-ins, the code they import and task files' data anew from now on.

    Until then this process sees them as they were when they were first used: an edit in the
    middle of a study changes none of its trials.
    """
    drop_changed()
    importable_only(plugin_folders())
    for known in (methods, tasks, datasets, trainers, _task_file, _installed_modules):
        known.cache_clear()
    for act in _when_read_anew:
        act()


def when_read_anew(forget: Callable[[], object]) -> None:
    """Call `forget` whenever plug-ins are read anew."""
    _when_read_anew.append(forget)


def plugin_folders() -> list[Path]:
    """Return the folders of the plug-in files in use, in their order."""
    return list(dict.fromkeys(path.parent for path in _plugins))


def plugins() -> list[str]:
    """Return the plug-in files in use, to pass to a worker process."""
    return [str(path) for path in _plugins]


@functools.cache
def methods() -> Registry[Method]:
    """Return every declared method. Imports neither torch nor tasks."""
    return Registry("method", _declared(("METHOD", "METHODS"), ("suite.resonance", "baselines")))


@functools.cache
def tasks() -> "Registry[Task]":
    """Return every declared task, without torch."""
    return Registry("task", _declared(("TASK", "TASKS"), ("tasks.catalogue",)))


@functools.cache
def datasets() -> "Registry[Dataset]":
    """Return every declared dataset, without torch."""
    return Registry("dataset", _declared(("DATASET", "DATASETS"), ("tasks.catalogue",)))


@functools.cache
def trainers() -> "Registry[Trainer]":
    """Return every declared trainer, without torch."""
    return Registry(
        "trainer", _declared(("TRAINER", "TRAINERS"), ("suite.reproduce", "suite.analysis"))
    )


def replaces_training(trainer: str) -> bool:
    """Return whether a trainer (empty: none) trains otherwise than the suite does.

    An analysis does not; of one that is not known here it is assumed.
    """
    known = trainers()
    return bool(trainer) and not (trainer in known and known[trainer].analysis)


def _declared(names: tuple[str, ...], packages: tuple[str, ...]) -> list[Any]:
    declarations: list[Any] = [*_of_project(names, packages)]
    for path, origin in _users_sources():
        if path.suffix not in TASK_FILES:
            found = read_declarations(path, names, origin)
            declarations.extend(_fingerprinted(found, path) if is_own_origin(origin) else found)
        elif "METHOD" not in names:
            declared = _task_file(path, path.stat().st_mtime_ns)
            declarations.extend(d for d in declared if type(d).__name__.upper() in names)
    return declarations


@functools.cache
def _of_project(names: tuple[str, ...], packages: tuple[str, ...]) -> tuple[Any, ...]:
    """Read this project's own files: once per process, as its modules are imported once."""
    return tuple(
        declaration
        for path, origin in _project_sources(packages)
        for declaration in read_declarations(path, names, origin)
    )


def _fingerprinted(found: list[Any], path: Path) -> list[Any]:
    """Return declarations in which a dataset of the user's own has a digest of its files."""
    from tasks.content_digest import content_digest, option_paths
    from tasks.task import Dataset

    return [
        replace(one, fingerprint=content_digest(option_paths(one.options, path.parent)))
        if isinstance(one, Dataset) and not (one.fingerprint or one.checksum)
        else one
        for one in found
    ]


@functools.lru_cache
def _task_file(path: Path, changed: int) -> list[Declared]:
    """Read a task file once per version; its data may be large."""
    from tasks.taskfile import read_task_file

    return read_task_file(path)


def _project_sources(packages: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield (file, module) of every file of these packages, in a fixed order."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            for path in sorted(Path(folder).glob("*.py")):
                yield path, f"{package}.{path.stem}"


def _users_sources() -> Iterator[tuple[Path, str]]:
    """Yield (file, origin) of installed packages' modules and of plug-ins, in a fixed order."""
    yield from _installed_modules()
    for path in _plugins:
        yield path, str(path)


@functools.cache
def _installed_modules() -> list[tuple[Path, str]]:
    """Return (file, module) of every entry point: each package's metadata is read for it."""
    found = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        module = find_module(entry.module, entry.module)
        if module is not None and module.path is not None:
            found.append((Path(module.path), entry.module))
    return found
