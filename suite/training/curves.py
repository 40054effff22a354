"""What happened during a trial, as one long table."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Curves:
    """Series over steps: train loss, validation, density per layer, churn, thresholds.

    A row is (round, step, series, layer, index, value); `layer` is empty for what concerns the
    network, `index` counts the values of a series that has several at a step (a histogram).
    """

    rows: list[tuple[int, int, str, str, int, float]] = field(default_factory=list)
    round: int = 0

    def add(
        self, step: int, series: str, value: float | Sequence[float], layer: str | None = None
    ) -> None:
        """Add one value, or several at once."""
        values = value if isinstance(value, Sequence) else [value]
        for index, item in enumerate(values):
            self.rows.append((self.round, step, series, layer or "", index, float(item)))

    def last(self, series: str) -> float:
        """Return the latest value of a series of the network."""
        return next(row[-1] for row in reversed(self.rows) if row[2:5] == (series, "", 0))

    def to_parquet(self) -> bytes:
        """Return the table as a Parquet file."""
        import polars as pl

        schema = {
            "round": pl.Int32,
            "step": pl.Int64,
            "series": pl.String,
            "layer": pl.String,
            "index": pl.Int32,
            "value": pl.Float64,
        }
        buffer = io.BytesIO()
        pl.DataFrame(self.rows, schema=schema, orient="row").write_parquet(buffer)
        return buffer.getvalue()
