"""The page on what gradient signals say, from the records of analyses (trainer ``signals``)."""

from collections.abc import Sequence
from typing import Any

from leaderboard.charts.signal_charts import signal_charts
from leaderboard.pages.embedded_charts import embedded_charts
from leaderboard.pages.navigation import EVIDENCE, PLAIN, Navigation
from leaderboard.pages.templating import site_page
from leaderboard.signal_figures import SignalGroup, counts, sentences, tables

PAGE = "signals.html"
TITLE = "What gradient signals say"
ABOUT = (
    "how reliable each reading of a connection's gradients is, and what it is related to, "
    "measured in ordinary trainings"
)


def signals_page(groups: Sequence[SignalGroup], navigation: Navigation = PLAIN) -> str:
    """Return the page, in the folder of the main page; all text is escaped."""
    charts = named_charts(groups)
    sections = [
        {
            "title": group.title,
            "counts": counts(group),
            "sentences": sentences(group),
            "tables": tables(group),
            "trials": [(one.trial["seed"], one.key) for one in group.records],
        }
        for group in groups
    ]
    return site_page(
        "signals.html",
        navigation,
        EVIDENCE,
        here=PAGE,
        title=TITLE,
        sections=sections,
        charts=embedded_charts(charts, {name: f"charts/{name}.pdf" for name in charts}),
    )


def named_charts(groups: Sequence[SignalGroup]) -> dict[str, Any]:
    """Return the charts of all groups by name, for the page and for pictures."""
    return {
        f"signals-{number}-{name}": chart
        for number, group in enumerate(groups, start=1)
        for name, chart in signal_charts(group).items()
    }
