"""The chart of docs/truly-sparse.md: speed-up over sparsity and width, and its figures.

``python -m suite.bench.csr_chart`` measures and writes docs/figures/speedup.csv and .png.
"""

import csv
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt

from leaderboard.charts.pictures import png
from leaderboard.charts.theme import PICTURE_FONT, theme
from suite.bench.csr import speedups
from suite.bench.measurement import Measurement
from suite.bench.threads import conditions, on_threads

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
WIDTHS = (250, 500, 1000, 2000)
SPARSITIES = (0.8, 0.9, 0.95, 0.98, 0.99)
BLOCKS, PERIOD = 3, 100

Row = dict[str, float]
"""width, sparsity, and the speed-up: median, least and greatest."""


def rows(
    widths: tuple[int, ...] = WIDTHS,
    sparsities: tuple[float, ...] = SPARSITIES,
    blocks: int = BLOCKS,
    period: int = PERIOD,
) -> Iterator[Row]:
    """Measure RigL in CSR against dense training: three hidden layers of a width, one thread."""
    for width in widths:
        for sparsity in sparsities:
            with on_threads(1):
                found = speedups((784, width, width, width, 10), sparsity, blocks, period)
            yield {
                "width": width, "sparsity": sparsity,
                "speedup": round(statistics.median(found), 2),
                "low": round(min(found), 2), "high": round(max(found), 2),
            }  # fmt: skip


def run() -> Iterator[Measurement]:
    """Yield the figures of the chart as they come."""
    for row in rows():
        yield Measurement(
            f"dense / RigL in csr, three layers of {row['width']:g} at {row['sparsity']:.0%}",
            row["speedup"],
            "×",
            (row["low"], row["high"]),
            note=conditions(1),
        )


def write(folder: Path, measured: list[Row]) -> None:
    """Write speedup.csv and speedup.png into a folder."""
    with (folder / "speedup.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(measured[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured)
    (folder / "speedup.png").write_bytes(png(speedup_chart(measured)))


def speedup_chart(rows: list[Row]) -> dict[str, Any]:
    """Return the chart: a line per width, its range, and a rule where nothing is gained."""
    extent = [0.8 * min(1.0, *(r["low"] for r in rows)), 1.25 * max(r["high"] for r in rows)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("sparsity:O", title="sparsity", axis=alt.Axis(format=".0%", labelAngle=0)),
        color=alt.Color(
            "width:O",
            title="units in a hidden layer",
            scale=alt.Scale(scheme="viridis", domainMax=2 * max(WIDTHS), reverse=True),
        ),
    )
    y = alt.Y(
        "speedup:Q",
        title="times as fast as dense training",
        scale=alt.Scale(type="log", domain=extent, nice=False),
        axis=alt.Axis(values=[0.5, 1, 2, 3, 5, 7, 10, 15]),
    )
    layers = [
        alt.Chart(alt.Data(values=[{"y": 1}])).mark_rule(style="reference").encode(y="y:Q"),
        base.mark_line(point={"size": 50}).encode(y=y),
        base.mark_rule(style="interval").encode(y=alt.Y("low:Q"), y2="high:Q"),
    ]
    drawn = alt.layer(*layers).properties(width=460, height=300, background="white")
    found = drawn.to_dict()
    look = theme()
    look.pop("background")
    look["legend"] |= {"title": "units in a hidden layer"}
    found["config"] = look | {"font": PICTURE_FONT}
    return found


if __name__ == "__main__":
    write(FIGURES, list(rows()))
