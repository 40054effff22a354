"""The chart of docs/performance.md: seconds over the number of trials in a store."""

from collections.abc import Iterable
from typing import Any

from leaderboard.charts.theme import PICTURE_FONT, theme
from suite.bench.measurement import Measurement

WIDTH, HEIGHT = 520, 320


def growth_chart(measurements: Iterable[Measurement]) -> dict[str, Any]:
    """Return the chart, a Vega-Lite specification: a line for each command, and one of slope 1.

    Args:
        measurements: those with a number of trials, in seconds; others are left out.
    """
    shown = [one for one in measurements if one.trials is not None and one.unit == "s"]
    rows = [{"command": m.what, "trials": m.trials, "seconds": m.value} for m in shown]
    least = min(one.value for one in shown)
    sizes = sorted({one.trials for one in shown if one.trials is not None})
    linear = [{"trials": size, "seconds": least * size / sizes[0]} for size in sizes]
    trials = {
        "field": "trials",
        "type": "quantitative",
        "title": "trials in the store",
        "scale": {"type": "log", "domain": [sizes[0], sizes[-1]], "nice": False},
        "axis": {"values": sizes, "format": "~s", "grid": False},
    }
    seconds = {
        "field": "seconds",
        "type": "quantitative",
        "title": "seconds",
        "scale": {"type": "log"},
        "axis": {"values": [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]},
    }
    command = {
        "field": "command",
        "type": "nominal",
        "title": "command",
        "sort": list(dict.fromkeys(one.what for one in shown)),
    }
    look = theme()
    return {
        "background": "white",
        "width": WIDTH,
        "height": HEIGHT,
        "encoding": {"x": trials, "y": seconds},
        "layer": [
            {
                "data": {"values": linear},
                "mark": {"type": "line", "strokeDash": [4, 4], "color": "#999"},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "point": {"size": 50}},
                "encoding": {"color": command},
            },
        ],
        "config": look | {"font": PICTURE_FONT},
    }
