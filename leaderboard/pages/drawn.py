"""Charts that hold their rows, for pages that `assets/drawings.js` draws them on."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from leaderboard.charts.style import themes
from leaderboard.pages.templating import embedded_data


def specifications(charts: Mapping[str, Any]) -> Markup:
    """Return Vega-Lite charts, by name, with the themes they are drawn in; empty without one."""
    shown = {
        name: {part: content for part, content in chart.items() if part != "config"}
        for name, chart in charts.items()
    }
    return embedded_data({"charts": shown, "themes": themes()}) if shown else Markup("")
