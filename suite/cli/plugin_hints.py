"""What to type so that methods and tasks of one's own are known that a store has results of.

A store remembers the names of plug-in files and digests of their content. None is read because a
store names it: the user says which, with ``--plugin``.
"""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_studies import stored_studies

if TYPE_CHECKING:
    from leaderboard.boards import Board


def unknown_on_boards(store: Store, boards: "Iterable[Board]") -> str:
    """Return in one line which methods and tasks of a store are unknown here, and what to type.

    Empty if all on the boards are known, or come from elsewhere than this store.
    """
    example: dict[tuple[str, str], str] = {}
    for board in boards:
        for entry, _, cell in board.cells():
            for run in cell.runs[:1]:
                example.setdefault(("task", board.task), run.key)
                example.setdefault(("method", entry.method), run.key)
    example = {what: key for what, key in example.items() if not _known(*what)}
    if not example:
        return ""
    present = set(store.keys())
    read, _ = store.read_each(sorted({*example.values()} & present))
    records = {record.key: record for record in read}
    names = [f"{kind} {name}" for (kind, name), key in example.items() if key in records]
    if not names:
        return ""
    return (
        f"not known here, so shown by what their records say: {', '.join(names)}; with their own "
        f"files: {_command(store, read)}"
    )


def unknown_of(store: Store, record: Record) -> str:
    """Return which of a trial's task and method is unknown here, and what to type; else empty."""
    for kind in ("task", "method"):
        if not _known(kind, name := record.trial[kind]):
            return f"{kind} {name} is not known; give its file: {_command(store, [record])}"
    return ""


def plugins_of(trial: Trial) -> str:
    """Return the options, with a space after each, that name the plug-ins a trial is of."""
    used = [path for path in registry.plugins() if path in trial.own_origins]
    here = Path.cwd()
    shown = [Path(p).relative_to(here) if Path(p).is_relative_to(here) else p for p in used]
    return "".join(f"--plugin {shlex.quote(str(path))} " for path in shown)


def _command(store: Store, records: Sequence[Record]) -> str:
    """Return the command that is running, with the plug-ins that these trials were run with."""
    named = _named_by_studies(store)
    files = dict.fromkeys(name for one in records for name in one.code if name.endswith(".py"))
    paths = [_path(name, named) for name in files]
    if any(not _known("task", one.trial["task"]) for one in records):
        paths += [path for path in named if path.endswith(registry.TASK_FILES)]
    paths = paths or ["FILE"]
    words = [word for path in paths for word in ("--plugin", path)]
    missing = [path for path in paths if not Path(path).is_file()]
    where = f" (not in this folder: give the path of {', '.join(missing)})" if missing else ""
    return f"resonance {shlex.join([*words, *sys.argv[1:]])}{where}"


def _known(kind: str, name: str) -> bool:
    return name in (registry.tasks() if kind == "task" else registry.methods())


def _named_by_studies(store: Store) -> list[str]:
    """Return the plug-ins of the studies in the store, relative to the folders of their files."""
    try:
        studies, _ = stored_studies(store)
    except InvalidInput:
        return []
    named = (path for one in studies for path in one.study.get("plugins", ()))
    return list(dict.fromkeys(path for path in named if isinstance(path, str)))


def _path(name: str, named: Sequence[str]) -> str:
    """Return where a plug-in of that name lies, as seen from the working folder; else its name."""
    candidates = [path for path in named if Path(path).name == name]
    return next((path for path in candidates if Path(path).is_file()), name)
