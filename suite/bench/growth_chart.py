"""The chart of docs/performance.md: seconds over the number of trials in a store."""

from collections.abc import Iterable
from typing import Any

import altair as alt

from leaderboard.charts.theme import PICTURE_FONT, theme
from suite.bench.measurement import Measurement

WIDTH, HEIGHT = 520, 320


def growth_chart(measurements: Iterable[Measurement]) -> dict[str, Any]:
    """Return the chart, a Vega-Lite specification: a line for each command, and one of slope 1.

    Args:
        measurements: those with a number of trials, in seconds; others are left out.
    """
    rows = [
        {"command": one.what, "trials": one.trials, "seconds": one.value}
        for one in measurements
        if one.trials is not None and one.unit == "s"
    ]
    least = min(row["seconds"] for row in rows)
    sizes = sorted({int(row["trials"]) for row in rows})
    linear = [{"trials": size, "seconds": least * size / sizes[0]} for size in sizes]
    x = alt.X(
        "trials:Q",
        title="trials in the store",
        scale=alt.Scale(type="log", domain=[sizes[0], sizes[-1]], nice=False),
        axis=alt.Axis(values=sizes, format="~s", grid=False),
    )
    y = alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log"))
    commands = list(dict.fromkeys(row["command"] for row in rows))
    colour = alt.Color("command:N", title="command", sort=commands)
    lines = alt.Chart(alt.Data(values=rows)).mark_line(point={"size": 50}).encode(x, y, colour)
    reference = (
        alt.Chart(alt.Data(values=linear)).mark_line(strokeDash=[4, 4], color="#999").encode(x, y)
    )
    found = alt.layer(reference, lines).properties(width=WIDTH, height=HEIGHT).to_dict()
    look = theme()
    look.pop("background")
    found["background"] = "white"
    found["config"] = look | {"font": PICTURE_FONT}
    return found
