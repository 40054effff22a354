"""The chart of how commands grow with a store."""

from leaderboard.charts.pictures import png
from suite.bench.growth_chart import growth_chart
from suite.bench.measurement import Measurement


def test_there_is_a_line_for_each_command_and_only_seconds_are_drawn():
    found = [
        Measurement("status", 0.5, "s", trials=1_000),
        Measurement("status", 5.0, "s", trials=10_000),
        Measurement("site", 2.0, "s", trials=1_000),
        Measurement("status, memory", 0.2, "GiB", trials=1_000),
        Measurement("status, exponent", 1.0, ""),
    ]
    chart = growth_chart(found)
    drawn = chart["layer"][1]["data"]["values"]
    assert [(row["command"], row["trials"], row["seconds"]) for row in drawn] == [
        ("status", 1_000, 0.5), ("status", 10_000, 5.0), ("site", 1_000, 2.0),
    ]  # fmt: skip
    assert [r["seconds"] for r in chart["layer"][0]["data"]["values"]] == [0.5, 5.0]
    assert png(chart).startswith(b"\x89PNG")
