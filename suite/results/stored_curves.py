"""The curves that a trial stored: one reader, which checks a file before it unpacks it."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.core import bounded_parquet

if TYPE_CHECKING:
    import polars as pl

CURVES_FILE = "curves.parquet"
LIMITS = bounded_parquet.Limits(rows=3_000_000, size=128 * 2**20)
"""A long training of a large network has some hundred thousand rows, of 56 bytes in memory."""


def schema() -> "dict[str, type[pl.DataType]]":
    """Return the columns of a trial's curves, and their types."""
    import polars as pl

    return {
        "round": pl.Int32, "step": pl.Int64, "series": pl.String, "layer": pl.String,
        "index": pl.Int32, "value": pl.Float64,
    }  # fmt: skip


def read_curves(content: bytes) -> "pl.DataFrame":
    """Return a trial's curves: round, step, series, layer, index, value.

    Raises:
        ValueError: it is not a Parquet file with these columns, or unpacks to too much.
    """
    return read_all_curves([content])[0]


def read_all_curves(contents: Sequence[bytes]) -> "list[pl.DataFrame]":
    """Return the curves of several trials, read together, which is faster.

    Raises:
        ValueError: one cannot be read.
    """
    import polars as pl

    for content in contents:
        bounded_parquet.check(content, LIMITS)
    columns = [pl.col(name).cast(kind) for name, kind in schema().items()]
    try:
        scans = [pl.scan_parquet(io.BytesIO(content)).select(*schema()) for content in contents]
        frames = pl.collect_all(scans)
        return [f if dict(f.schema) == schema() else f.select(columns) for f in frames]
    except bounded_parquet.errors() as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
