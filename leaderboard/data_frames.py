"""Boards and records as data frames (Polars), for CSV files and notebooks."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leaderboard.board_columns import COLUMNS, SCORE
from leaderboard.boards import (
    Board,
    Boards,
    PlacedRecord,
    is_result,
    overrides_text,
    settings_text,
)
from leaderboard.code_versions import older_code
from leaderboard.terms import uncounted
from leaderboard.trial_facts import TrialResult
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.core.shown_text import shown
from suite.experiments.trial_config import show
from suite.results.record import Record

if TYPE_CHECKING:
    import polars as pl


FIXED = {
    "key": "str",
    "status": "str",
    "task": "str",
    "method": "str",
    "sparsity": "float",
    "seed": "int",
    "hyperparameters": "str",
    "recipe": "str",
    "realised_sparsity": "float",
    "seconds": "float",
    "error": "str",
}
"""Columns that every frame of trials has, and their types; measured numbers come in between."""
LAST = 2
"""How many of them come after the measured numbers."""
FORMULA = re.compile(r"\s*[=+\-@|\uff1d\uff0b\uff0d\uff20]|[\t\r]")
"""How a text begins that a spreadsheet may run as a formula (also in letters of full width)."""


def summary_frame(boards: list[Board]) -> "pl.DataFrame":
    """Return one row per cell: the task's metric with its interval, and the means of all columns.

    `ci_low` and `ci_high` are of the column that `metric` names. `flops_budget` is 0 on boards at
    equal steps: rows of different budgets are not comparable.
    """
    import polars as pl

    rows: list[dict[str, Any]] = []
    for board in boards:
        for entry, cells in board.rows:
            for sparsity, cell in zip(board.sparsities, cells, strict=True):
                interval = cell.interval if cell else None
                rows.append(
                    {
                        "task": board.task,
                        "recipe": board.settings,
                        "method": entry.method,
                        "hyperparameters": entry.settings,
                        "tuned": entry.tuned,
                        "sparsity": sparsity,
                        "n": interval.n if interval else 0,
                        SCORE: cell.mean(SCORE) if cell else None,
                        "metric": board.metric.name,
                        "ci_low": interval.low if interval else None,
                        "ci_high": interval.high if interval else None,
                        **{
                            column.name: board.column(cell, column.name) if cell else None
                            for column in COLUMNS
                            if column.name != SCORE
                        },
                        "older_code": entry.older,
                        "failed": len(cell.failures) if cell else 0,
                        "out_of_date": len(cell.outdated) if cell else 0,
                        "no_update": len(cell.no_update) if cell else 0,
                        "off_budget": len(cell.off_budget) if cell else 0,
                        "flops_budget": board.terms.flops_budget,
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def trial_frame(records: Iterable[TrialResult]) -> "pl.DataFrame":
    """Return one row per record."""
    import polars as pl

    rows = [_trial_row(record) for record in records]
    measured = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    types = {"str": pl.String, "int": pl.Int64, "float": pl.Float64}
    first, last = list(FIXED)[:-LAST], list(FIXED)[-LAST:]
    schema = {name: types[FIXED.get(name, "float")] for name in (*first, *measured, *last)}
    return pl.DataFrame(rows, schema=schema)


def results_frame(
    records: Iterable[Record],
    tuned: Mapping[str, Collection[str]],
    settings: Sequence[str] = (),
    *,
    everything: bool = False,
) -> tuple["pl.DataFrame", int]:
    """Return one row per record that counts on a board, failed or finished, with `settings`.

    With `everything` also the others; the column ``left_out`` says why they do not count: those of
    older code of the user's own as well, which boards show apart. `tuned` is as for `Boards`. Also
    return how many were left out as out of date.

    Raises:
        InvalidInput: none of the records has one of the `settings`.
    """
    import polars as pl

    boards = Boards(tuned)
    added = [boards.add(record) for record in records]
    placed = [_without_older(boards.settled(one)) for one in added]
    shown = [one for one in placed if everything or not one.left_out]
    frame = trial_frame(one.record for one in shown)
    columns = [pl.Series("left_out", [one.left_out or None for one in shown], pl.String)]
    values = [_settings(one.record) for one in placed]
    for name in settings:
        if name in frame.columns:
            continue
        if placed and not any(name in given for given in values):
            names = sorted({name for given in values for name in given})
            raise InvalidInput(unknown("setting", name, names, see="info METHOD"))
        columns.append(_setting_column(name, [_settings(one.record).get(name) for one in shown]))
    outdated = sum(
        bool(one.left_out)
        and is_result(one.record)
        and not (one.record.status == "done" and uncounted(one.record))
        for one in placed
    )
    return frame.with_columns(columns), 0 if everything else outdated


def _without_older(placed: PlacedRecord[Record]) -> PlacedRecord[Record]:
    """Return a settled place that is left out if a newer version of the code exists."""
    if placed.left_out or not placed.entry.older:
        return placed
    return placed._replace(left_out=older_code(placed.entry.older))


def _settings(record: Record) -> dict[str, Any]:
    """Return every setting of a trial with its value, by name."""
    parts = ("hyperparameters", "recipe")
    found = {name: value for name, value in record.trial.items() if name not in parts}
    for part in parts:
        found |= record.trial[part]
        found |= record.configuration.get(part, {})
    return found


def _setting_column(name: str, values: list[Any]) -> "pl.Series":
    """Return the values of a setting as one column: of numbers if all of them are, else text."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    for allowed, kind in (({bool}, pl.Boolean), ({int}, pl.Int64), ({int, float}, pl.Float64)):
        if kinds <= allowed:
            return pl.Series(name, values, kind, strict=False)
    texts = [None if value is None else show(value) for value in values]
    return pl.Series(name, texts, pl.String)


def _trial_row(record: TrialResult) -> dict[str, Any]:
    """Return a record's values by column; metrics do not overwrite other columns."""
    first = {
        "key": record.key,
        "status": record.status,
        "task": record.trial["task"],
        "method": record.trial["method"],
        "sparsity": record.trial["sparsity"],
        "seed": record.trial["seed"],
        "hyperparameters": settings_text(record.trial["hyperparameters"]),
        "recipe": overrides_text(record.trial),
        "realised_sparsity": record.sparsity if record.layers else None,
    }
    seconds = record.timing.get("seconds")
    last = {
        "seconds": seconds if isinstance(seconds, float) else None,
        "error": (record.error or {}).get("message"),
    }
    operations = {f"{name}_flops": value for name, value in record.flops.items()}
    fixed = first | last
    measured = {n: v for n, v in {**record.metrics, **operations}.items() if n not in fixed}
    return first | measured | last


def csv_text(frame: "pl.DataFrame") -> str:
    """Return a frame as CSV, whose texts are one line each without control characters.

    Texts that a spreadsheet would run as formulas get an apostrophe.
    """
    import polars as pl

    texts = [
        pl.Series(
            column.name, [None if text is None else _csv_cell(text) for text in column], pl.String
        )
        for column in frame.select(pl.col(pl.String)).get_columns()
    ]
    return frame.with_columns(texts).write_csv()


def _csv_cell(text: str) -> str:
    line = shown(text)
    return f"'{line}" if FORMULA.match(text) or FORMULA.match(line) else line
