"""The curves of a training, as one long table."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import polars as pl


@dataclass
class Curves:
    """Series over steps: train loss, validation, density per layer, churn, thresholds.

    A row is (round, step, series, layer, index, value); `layer` is empty for series of the whole
    network, `index` counts the values of a series that has several at a step (a histogram).
    """

    rows: list[tuple[int, int, str, str, int, float]] = field(default_factory=list)
    round: int = 0

    def begin_round(self, number: int) -> None:
        """Add what follows to round `number`, counted from 0."""
        self.round = number

    def add(
        self, step: int, series: str, value: float | Sequence[float], layer: str | None = None
    ) -> None:
        """Add one value, or several at once; `layer` is a name.

        Raises:
            TypeError: a value is not a number, or `layer` is not a name.
        """
        if layer is not None and not isinstance(layer, str):
            raise TypeError(f"report(…, layer): give the layer's name, not {type(layer).__name__}")
        values = value if isinstance(value, Sequence) else [value]
        for index, item in enumerate(values):
            self.rows.append((self.round, step, series, layer or "", index, float(item)))

    def last(self, series: str) -> float:
        """Return the latest value of a series of the network."""
        return next(row[-1] for row in reversed(self.rows) if row[2:5] == (series, "", 0))

    def churn(self, sizes: Mapping[str, int]) -> float | None:
        """Return the mean over updates of dropped weights as a fraction of those active before.

        `sizes` are the layers' numbers of weights. The first masks do not count as an update. None
        if connectivity was never updated.
        """
        dropped: defaultdict[tuple[int, int], float] = defaultdict(float)
        active: defaultdict[tuple[int, int], float] = defaultdict(float)
        for round_, step, series, layer, _, value in self.rows:
            if step == 0 or layer not in sizes:
                continue
            if series == "dropped":
                dropped[round_, step] += value
                active[round_, step] += value
            elif series == "grown":
                active[round_, step] -= value
            elif series == "density":
                active[round_, step] += round(value * sizes[layer])
        shares = [dropped[at] / active[at] for at in dropped if active[at] > 0]
        return sum(shares) / len(shares) if shares else None

    def moved(self) -> bool:
        """Return whether any connection was dropped or grown after the first masks."""
        return any(
            row[1] > 0 and row[2] in ("dropped", "grown") and row[-1] > 0 for row in self.rows
        )

    def to_frame(self) -> "pl.DataFrame":
        """Return the table: a row per value, its columns those of `rows`."""
        import polars as pl

        schema = {
            "round": pl.Int32,
            "step": pl.Int64,
            "series": pl.String,
            "layer": pl.String,
            "index": pl.Int32,
            "value": pl.Float64,
        }
        return pl.DataFrame(self.rows, schema=schema, orient="row")

    def to_parquet(self) -> bytes:
        """Return the table as a Parquet file."""
        buffer = io.BytesIO()
        self.to_frame().write_parquet(buffer)
        return buffer.getvalue()

    def state_dict(self) -> dict[str, Any]:
        """Return the curves as columns: a hundred thousand rows as JSON would take seconds."""
        names: dict[str, int] = {}
        whole, values = [], []
        for round_, step, series, layer, index, value in self.rows:
            codes = [names.setdefault(text, len(names)) for text in (series, layer)]
            whole.append((round_, step, *codes, index))
            values.append(value)
        return {
            "round": self.round,
            "names": list(names),
            "whole": torch.tensor(whole, dtype=torch.int64).view(-1, 5),
            "values": torch.tensor(values, dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`; rows added so far are dropped."""
        names, whole, values = state["names"], state["whole"].tolist(), state["values"].tolist()
        rows = [
            (round_, step, names[series], names[layer], index, value)
            for (round_, step, series, layer, index), value in zip(whole, values, strict=True)
        ]
        self.rows[:], self.round = rows, state["round"]
