"""The packages of this project are found beside each other, whatever the working folder holds.

Their names are ordinary words: a user's folder may well have a package ``tasks``. Python looks into
the working folder first where it is started with ``-c`` or ``-m`` or in a notebook, and so do
processes that other libraries start from it. From ``import suite`` on, the other three packages
come from the folder that `suite` itself came from; `clean_start` and `command` see to it that a new
process finds the same `suite`.
"""

import contextlib
import importlib.util
import os
import site
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: a checkout, or where an installation is."""
SIBLINGS = ("tasks", "baselines", "leaderboard")
START_ENVIRONMENT = ("PYTHONSAFEPATH", "PYTHONPATH")
"""Variables that `clean_start` sets while a process starts."""


class SiblingFinder:
    """Finds the packages beside `suite`; asked before any folder is searched."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where one of the packages is; None for every other module."""
        if name not in SIBLINGS:
            return None
        file = ROOT / name / "__init__.py"
        return importlib.util.spec_from_file_location(name, file) if file.is_file() else None


def install() -> None:
    """From now on, import the packages from beside `suite` in this process.

    Raises:
        ImportError: another package of one of their names has been imported already.
    """
    for name in SIBLINGS:
        found = getattr(sys.modules.get(name), "__file__", None)
        if name in sys.modules and (found is None or Path(found).resolve().parents[1] != ROOT):
            raise ImportError(
                f"resonance-bench has a package '{name}', but {found or 'another one'} was "
                "imported under that name: import suite before it, or rename it"
            )
    if SiblingFinder not in sys.meta_path:
        sys.meta_path.insert(0, SiblingFinder)


def command(module: str) -> list[str]:
    """Return the start of a command line: this Python, running a module with this `suite`."""
    return [sys.executable, *start_options(), "-m", module]


def start_options() -> list[str]:
    """Return the words between the interpreter and ``-m``, for `command`."""
    return ["-P", str(Path(__file__).with_name("start.py"))]


@contextlib.contextmanager
def clean_start() -> Iterator[None]:
    """While this is open, processes of multiprocessing start without the working folder.

    They find the same `suite` as this process, and do not run the caller's script again, so that it
    needs no ``if __name__ == "__main__"``. multiprocessing gives no other way to say so than the
    environment and the state of this process. The variables (`START_ENVIRONMENT`) stay in the
    environment of the processes.
    """
    changes = {"PYTHONSAFEPATH": "1"}
    if ROOT not in _installation_folders():
        changes["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        )
    with (
        replaced(os.environ, changes),
        replaced(sys.modules, {"__main__": ModuleType("__main__")}),
    ):
        yield


def _installation_folders() -> set[Path]:
    """Return the folders that every start of this Python searches: without PYTHONPATH too.

    They must not be put on PYTHONPATH, which comes before the standard library.
    """
    return {Path(name).resolve() for name in [*site.getsitepackages(), site.getusersitepackages()]}


@contextlib.contextmanager
def replaced(items: MutableMapping[str, T], changes: Mapping[str, T]) -> Iterator[None]:
    """Change items while the block runs, and change them back at its end."""
    before = {name: items[name] for name in changes if name in items}
    items.update(changes)
    try:
        yield
    finally:
        items.update(before)
        for name in changes.keys() - before.keys():
            items.pop(name, None)
