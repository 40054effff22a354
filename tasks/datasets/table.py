"""A table in a CSV or Parquet file, with a column to predict."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput, first_line
from tasks.datasets.files import check_file, check_memory
from tasks.labels import check_classes, check_real, shown

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from tasks.data import Arrays
    from tasks.task import Dataset


MAX_COLUMNS = 100_000
MAX_LINE = 2**24
"""Longest line of a table, in bytes."""


@dataclass(frozen=True)
class Table:
    """Features, float64 [n, columns], and each row's class as an index into `classes`."""

    x: "np.ndarray"
    y: "np.ndarray"
    classes: list[str]


def load(dataset: "Dataset") -> "Arrays":
    """Return the table's rows; features have mean 0 and deviation 1 over the training rows.

    The test rows are a fixed stratified split, or come from `test_path`.

    Raises:
        InvalidInput: see `read_table`; or the test table has a class that the training table lacks.
    """
    import numpy as np
    import torch

    from tasks.data import Arrays
    from tasks.datasets.folder import held_out

    options = dataset.options
    table = read_table(Path(options["path"]), options)
    if "test_path" in options:
        test = read_table(Path(options["test_path"]), options, table.classes)
        (train_x, train_y), (test_x, test_y) = (table.x, table.y), (test.x, test.y)
    else:
        kept, held = held_out(table.y, dataset.test, dataset.name)
        (train_x, train_y), (test_x, test_y) = (
            (table.x[part], table.y[part]) for part in (kept, held)
        )
    mean, deviation = train_x.mean(0), train_x.std(0)
    deviation[deviation == 0] = 1
    return Arrays(
        torch.from_numpy(((train_x - mean) / deviation).astype(np.float32)),
        torch.from_numpy(train_y),
        torch.from_numpy(((test_x - mean) / deviation).astype(np.float32)),
        torch.from_numpy(test_y),
    )


def read_table(path: Path, options: Mapping[str, Any], classes: list[str] | None = None) -> Table:
    """Read a table; options: `target`, the column to predict, and `ignore`, columns to leave out.

    Raises:
        InvalidInput: it cannot be read, lacks the target, or contains a value that is not a finite
            number; the message names column and line (of a Parquet file: row).
    """
    import numpy as np

    frame = read_frame(path)
    target, ignored = options["target"], list(options.get("ignore", ()))
    for name in (target, *ignored):
        if name not in frame.columns:
            raise no_column(path, frame, name)
    features = [name for name in frame.columns if name not in (target, *ignored)]
    if frame.height == 0 or not features:
        raise InvalidInput(f"table {path}: there are no rows, or no columns beside '{target}'")
    columns = [column_numbers(path, frame[name], "all but the target") for name in features]
    labels = frame[target]
    if labels.dtype.is_float():
        labels = labels.fill_nan(None)
    if labels.null_count():
        where = row_place(path, labels.is_null().to_list().index(True))
        raise InvalidInput(f"table {path}: {where} has no '{target}': fill it in or delete it")
    texts = [str(value) for value in labels.to_list()]
    known = classes if classes is not None else _classes(path, labels, texts)
    numbers = {text: number for number, text in enumerate(known)}
    for row, text in enumerate(texts):
        if text not in numbers:
            raise InvalidInput(
                f"table {path}: {row_place(path, row)} has the class '{text}', which is not in the "
                f"training table (it has {shown(known)}): remove it, or add rows of the class"
            )
    return Table(np.stack(columns, 1), np.array([numbers[text] for text in texts]), known)


def _classes(path: Path, labels: "pl.Series", texts: list[str]) -> list[str]:
    """Return the names of the classes in a training table's target, in order."""
    where = f"table {path}: column '{labels.name}'"
    if labels.dtype.is_float():
        check_real(labels.unique().sort().to_list(), where)
    known = _ordered(set(texts))
    check_classes(known, len(texts), where)
    return known


def read_frame(path: Path) -> "pl.DataFrame":
    """Return the table in a file.

    Raises:
        InvalidInput: it cannot be read, is not a plain file, does not fit in memory, or has more
            than `MAX_COLUMNS` columns or a line of more than `MAX_LINE` bytes.
    """
    import polars as pl

    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".parquet"):
        raise InvalidInput(f"table {path}: give a file that ends in .csv, .tsv or .parquet")
    check_file(path, f"table {path}")
    try:
        if kind == ".parquet":
            _check_parquet(path)
            return pl.read_parquet(path)
        separator = "\t" if kind == ".tsv" else ","
        _check_lines(path, separator)
        _check_separator(path, separator)
        return pl.read_csv(path, separator=separator, infer_schema_length=None)
    except (OSError, MemoryError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InvalidInput(f"table {path} cannot be read: {first_line(error):.300}") from error


def _check_parquet(path: Path) -> None:
    """Check what a Parquet file claims to hold: a few bytes can stand for any number of rows."""
    import polars as pl

    columns = len(pl.read_parquet_schema(path))
    rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    _check_columns(path, columns)
    what = f"table {path} of {rows:,} rows and {columns:,} columns"
    check_memory(8 * rows * columns, what, "give fewer rows or columns, or use a larger machine")


def _check_lines(path: Path, separator: str) -> None:
    """Check the length of all lines, and the number of columns in the first."""
    with path.open("rb") as file:
        block = file.read(MAX_LINE)
        first = block[: block.find(b"\n") + 1] or block
        _check_columns(path, first.count(separator.encode()) + 1)
        while len(block) == MAX_LINE:
            if b"\n" not in block and b"\r" not in block:
                raise InvalidInput(
                    f"table {path}: a line is longer than the {MAX_LINE:,} bytes that are read: "
                    "give one row per line"
                )
            block = file.read(MAX_LINE)


def _check_separator(path: Path, separator: str) -> None:
    """Refuse a first line with none of the separators that are read, and one of another kind."""
    with path.open("rb") as file:
        first = file.readline(MAX_LINE).decode(errors="replace")
    names = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
    found = [name for sign, name in names.items() if sign in first]
    if found and separator not in first:
        raise InvalidInput(
            f"table {path}: its columns seem to be separated by {found[0]}: write it with commas "
            "and points in numbers (1.5) as .csv, or with tabs as .tsv"
        )


def _check_columns(path: Path, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise InvalidInput(
            f"table {path} has {columns:,} columns, more than the {MAX_COLUMNS:,} that are read: "
            "give a NumPy archive (format: numpy), which holds any number"
        )


def no_column(path: Path, frame: "pl.DataFrame", name: str) -> InvalidInput:
    """Return the refusal of a column that a table does not have."""
    names = shown(frame.columns, most=30)
    return InvalidInput(f"table {path} has no column '{name:.80}': it has {names}")


def column_numbers(path: Path, column: "pl.Series", what: str) -> "np.ndarray":
    """Return a column's numbers, float64 [n]; `what` are the columns that must hold them.

    Raises:
        InvalidInput: one is missing, is none, or is not finite.
    """
    import numpy as np
    import polars as pl

    numeric = column.dtype.is_numeric() or column.dtype == pl.Boolean
    if not numeric and column.dtype != pl.String:  # lists, bytes, categories: no cast reads them
        raise InvalidInput(
            f"table {path}: column '{column.name}' holds {column.dtype}: {what} must be finite "
            "numbers (encode it, or list it under 'ignore')"
        )
    found = column.cast(pl.Float64, strict=False)
    bad = found.is_null() | ~found.is_finite().fill_null(False)
    if not numeric or bad.any():
        row = bad.to_list().index(True) if bad.any() else 0
        raise InvalidInput(
            f"table {path}: column '{column.name}' has {column[row]!r:.80} in "
            f"{row_place(path, row)}: "
            f"{what} must be finite numbers (encode it, fill it in, or list it under 'ignore')"
        )
    return found.to_numpy().astype(np.float64)


def row_place(path: Path, row: int) -> str:
    """Return where a row, counted from 0, is in a file: its line in a text file, counted from 1."""
    if path.suffix.lower() != ".parquet":
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                reader = csv.reader(file, delimiter=separator)
                ends, number = 0, -2  # the header is the first that is not empty
                for record in reader:
                    number += bool(record) or number > -2
                    if number == row:
                        return f"line {ends + 1}"
                    ends = reader.line_num
        except (OSError, csv.Error):
            pass
    return f"row {row + 1}"


def _ordered(texts: set[str]) -> list[str]:
    """Return class names sorted, numerically if all are numbers."""
    try:
        return sorted(texts, key=float)
    except ValueError:
        return sorted(texts)
