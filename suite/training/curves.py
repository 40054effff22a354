"""What happened during a trial, as one long table."""

import io
from dataclasses import dataclass, field


@dataclass
class Curves:
    """Series over steps: train loss, validation, density per layer, churn, thresholds.

    A row is (round, step, series, layer, value); `layer` is empty for what concerns the network.
    """

    rows: list[tuple[int, int, str, str, float]] = field(default_factory=list)
    round: int = 0

    def add(self, step: int, series: str, value: float, layer: str | None = None) -> None:
        """Add one value."""
        self.rows.append((self.round, step, series, layer or "", float(value)))

    def to_parquet(self) -> bytes:
        """Return the table as a Parquet file."""
        import polars as pl

        schema = {
            "round": pl.Int32,
            "step": pl.Int64,
            "series": pl.String,
            "layer": pl.String,
            "value": pl.Float64,
        }
        buffer = io.BytesIO()
        pl.DataFrame(self.rows, schema=schema, orient="row").write_parquet(buffer)
        return buffer.getvalue()
