"""The data of the main page: boards as columns of numbers and texts, ready for JSON.

The page recomputes everything from single trials, so that choosing competitors has the same effect
as in Python. The content is::

    version      of the suite
    score        name of the column that methods are ranked by; where tasks rank by different
                 metrics, that of a further column, which holds each trial's own
    columns      name, title, unit, better, group, to_dense, counted; of those that have a value
    tasks        name, settings, title, page, score (name of the column that it ranks by),
                 flops_budget (0 at equal steps), dense (means of the dense trials by column),
                 resolution (step between its values, 0 if unknown), sparsities
    entries      method, settings, tuned, older, title, label, family, dense, zeros, page,
                 control_of (labels of those that it is a control of)
    trials       per column one list: key, task, entry (indices into the two lists above), sparsity
                 (null for dense), seed, page, and values: one list per column, null where missing
    marks        task, entry, sparsity; failed, outdated, off_budget, no_update: messages of trials
                 that do not count
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from leaderboard.board_columns import COLUMNS, SCORE
from leaderboard.boards import Board
from leaderboard.method_controls import controlled
from suite import __version__

DIGITS = 7
"""Significant digits of values."""
EXACT = frozenset(f"test_{name}" for name in (
    "accuracy", "balanced_accuracy", "macro_f1", "r2", "rmse", "bits_per_character"
))  # fmt: skip
"""Columns that keep all digits: methods are ranked by them."""


OWN_METRIC = "score"
"""Name of the column of what each task ranks by, where tasks rank by different metrics."""


@lru_cache(maxsize=4096)
def page_name(kind: str, label: str) -> str:
    """Return the address of a page within the site: readable, and safe for any label."""
    words = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60]
    digest = hashlib.sha256(label.encode(errors="replace")).hexdigest()[:8]
    return f"{kind}/{words or 'unnamed'}-{digest}.html"


def page_data(boards: Sequence[Board]) -> dict[str, Any]:
    """Return the content described above."""
    entries = list(dict.fromkeys(entry for board in boards for entry, _ in board.rows))
    places = {entry: place for place, entry in enumerate(entries)}
    trials: dict[str, list[Any]] = {n: [] for n in ("key", "task", "entry", "sparsity", "seed")}
    columns, score = _columns(boards)
    values: dict[str, list[float | None]] = {name: [] for name in columns}
    marks = []
    for number, board in enumerate(boards):
        for entry, sparsity, cell in board.cells():
            for run in cell.runs:
                row = (run.key, number, places[entry], sparsity, run.seed)
                for name, value in zip(trials, row, strict=True):
                    trials[name].append(value)
                for name, column in values.items():
                    read = board.metric.name if name == OWN_METRIC else name
                    column.append(rounded(read, run.values.get(read)))
            if cell.failures or cell.outdated or cell.off_budget or cell.no_update:
                marks.append(
                    {
                        "task": number,
                        "entry": places[entry],
                        "sparsity": sparsity,
                        "failed": cell.failures,
                        "outdated": cell.outdated,
                        "off_budget": cell.off_budget,
                        "no_update": cell.no_update,
                    }
                )
    return {
        "version": __version__,
        "score": score,
        "columns": list(columns.values()),
        "tasks": [
            {
                "name": board.task,
                "settings": board.settings,
                "title": board.title,
                "page": page_name("tasks", board.title),
                "score": board.metric.name,
                "flops_budget": board.terms.flops_budget,
                "resolution": board.resolution,
                "dense": board.dense,
                "sparsities": board.sparsities,
            }
            for board in boards
        ],
        "entries": [
            {
                "method": entry.method,
                "settings": entry.settings,
                "tuned": entry.tuned,
                "older": entry.older,
                "title": entry.title,
                "label": entry.label,
                "family": entry.family,
                "dense": entry.dense,
                "zeros": entry.zeros,
                "page": page_name("methods", entry.method),
                "control_of": [one.label for one in controlled(entry, entries)],
            }
            for entry in entries
        ],
        "trials": {**trials, "values": values},
        "marks": marks,
    }


def _columns(boards: Sequence[Board]) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the columns by name, those with a value, and the name of the one to rank by."""
    metrics = {board.metric.name for board in boards}
    measured = {
        name for b in boards for _, _, cell in b.cells() for run in cell.runs for name in run.values
    }
    found = {
        column.name: {
            name: getattr(column, name)
            for name in ("name", "title", "unit", "better", "group", "to_dense", "counted")
        }
        for column in COLUMNS
        if column.name in measured or column.name in metrics or column.name == SCORE
    }
    if len(metrics) < 2:
        return found, metrics.pop() if metrics else SCORE
    own = {"name": OWN_METRIC, "title": "what each task ranks by", "unit": "number",
           "better": "more", "group": "quality", "to_dense": False, "counted": False}  # fmt: skip
    return {OWN_METRIC: own, **found}, OWN_METRIC


def rounded(name: str, value: float | None) -> float | None:
    """Return a value of a column as the page holds it, rounded to `DIGITS`."""
    return value if value is None or name in EXACT else float(f"{value:.{DIGITS}g}")
