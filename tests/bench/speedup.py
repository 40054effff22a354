"""The chart of docs/truly-sparse.md: speed-up over sparsity and width, and its figures."""

import csv
import statistics
from pathlib import Path
from typing import Any

import altair as alt
import torch

from leaderboard.charts.pictures import png
from leaderboard.charts.theme import PICTURE_FONT, theme
from tests.bench.csr import speedups

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
WIDTHS = (250, 500, 1000, 2000)
SPARSITIES = (0.8, 0.9, 0.95, 0.98, 0.99)
BLOCKS = 3


def chart() -> bool:
    """Measure RigL in CSR against dense training, one thread; write speedup.csv and .png."""
    torch.set_num_threads(1)
    rows = []
    for width in WIDTHS:
        for sparsity in SPARSITIES:
            values = speedups((784, width, width, width, 10), "rigl", sparsity, BLOCKS)
            rows.append({
                "width": width, "sparsity": sparsity,
                "speedup": round(statistics.median(values), 2),
                "low": round(min(values), 2), "high": round(max(values), 2),
            })  # fmt: skip
            print(*rows[-1].values(), flush=True)
    with (FIGURES / "speedup.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (FIGURES / "speedup.png").write_bytes(png(_lines(rows)))
    return True


def _lines(rows: list[dict[str, float]]) -> dict[str, Any]:
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
