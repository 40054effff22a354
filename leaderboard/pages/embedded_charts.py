"""Charts that hold their rows, embedded in pages as data for `assets/embedded_charts.js`."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from leaderboard.charts.theme import themes
from leaderboard.pages.templating import embedded_data


def embedded_charts(charts: Mapping[str, Any], pdfs: Mapping[str, str] | None = None) -> Markup:
    """Return Vega-Lite charts by name, with their themes, as JSON; empty without a chart.

    `pdfs` are addresses of the same charts as PDF, by name.
    """
    if not charts:
        return Markup("")
    shown = {
        name: {part: content for part, content in chart.items() if part != "config"}
        for name, chart in charts.items()
    }
    return embedded_data({"charts": shown, "themes": themes(), "pdfs": pdfs or {}})
