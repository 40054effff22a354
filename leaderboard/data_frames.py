"""Boards and records as data frames (Polars), for CSV files and notebooks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from leaderboard.board_columns import COLUMNS, SCORE
from leaderboard.boards import Board, overrides_text, settings_text
from suite.results.record import Record

if TYPE_CHECKING:
    import polars as pl


def summary_frame(boards: list[Board]) -> "pl.DataFrame":
    """Return one row per cell: the score with its interval, and the means of other columns."""
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
                        SCORE: interval.mean if interval else None,
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
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def trial_frame(records: Iterable[Record]) -> "pl.DataFrame":
    """Return one row per record."""
    import polars as pl

    return pl.DataFrame([_trial_row(record) for record in records], infer_schema_length=None)


def _trial_row(record: Record) -> dict[str, Any]:
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
    measured = {n: v for n, v in (record.metrics | operations).items() if n not in fixed}
    return first | measured | last


def csv_text(frame: "pl.DataFrame") -> str:
    """Return a frame as CSV; texts that a spreadsheet would run as formulas get an apostrophe."""
    import polars as pl

    texts = pl.col(pl.String)
    guarded = frame.with_columns(texts.str.replace(r"^(\s*[=+\-@|\t\r])", "'${1}"))
    return guarded.write_csv()
