"""The charts of a leaderboard: with their rows for pictures, without them for the page.

The rows are the named dataset ``rows``; the page fills it with what it computes from a selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.boards import Board
from leaderboard.chart_rows import ALL, CHART_ROWS, ChartSelection, Row
from leaderboard.charts.board_specifications import CHART_BUILDERS, NARROW, specification
from leaderboard.charts.panels import ROWS
from leaderboard.charts.theme import Style, styles, themes
from leaderboard.statistics.paired_comparisons import MIN_SEEDS


@dataclass(frozen=True)
class ChartText:
    """The title and the description of a chart."""

    title: str
    text: str


CHART_TEXTS = {
    "accuracy": ChartText(
        "Accuracy against sparsity",
        "Mean test accuracy over seeds; bands or bars are 95 % intervals, which end at 0 and 100 % "
        "and at the edge of a panel. The axis is the error on a logarithmic scale. The dashed line "
        "is the dense network.",
    ),
    "score": ChartText(
        "Other metrics against sparsity",
        "What tasks that are not ranked by accuracy are ranked by: mean over seeds with its 95 % "
        "interval, in the metric's own unit. Intervals end where possible values do, and at the "
        "edge of a panel. The dashed line is the dense network.",
    ),
    "cost": ChartText(
        "Accuracy against training cost",
        "Mean test accuracy against training FLOPs, as a multiple of dense training. The line is "
        "the Pareto front, with method and sparsity: nothing else is both cheaper and as good.",
    ),
    "controls": ChartText(
        "Methods and their controls",
        "A method minus its control, which leaves out one ingredient: mean difference on the same "
        "seeds with its 95 % interval, at most ± 100 points. Above 0 the method is better. "
        "Verdicts are of paired t-tests at 5 %, Holm-corrected over all comparisons of this "
        f"chart, with at least {MIN_SEEDS} common seeds.",
    ),
    "rating": ChartText(
        "Rating",
        "Bradley–Terry rating in Elo points (400 points are odds of ten to one). With four or "
        "more tasks there is a 95 % interval from resampling tasks.",
    ),
    "win_rate": ChartText(
        "Win rates",
        "Probability that a run of the row's method beats one of the column's, on a random task. "
        "Bold: the 95 % interval (Newcombe 2006) excludes one half; these intervals are not "
        "corrected for their number.",
    ),
    "ranks": ChartText(
        "Critical difference",
        "Average rank over tasks; 1 is best. Bars join methods whose ranks do not differ "
        "significantly (Nemenyi's test at 5 %, over all pairs). Without bars the test cannot "
        "decide at so few tasks, or tells all apart; the note below says which.",
    ),
    "profile": ChartText(
        "Performance profile",
        "Fraction of runs above an accuracy, given as a fraction of the dense network's, with "
        "95 % bands (Wilson 1927), each for one accuracy.",
    ),
    "iqm": ChartText(
        "Interquartile mean",
        "Mean of the middle half of all runs, as a fraction of the dense network's accuracy, "
        "with a 95 % interval from resampling runs within tasks.",
    ),
    "robustness": ChartText(
        "Robustness",
        "Accuracy on corrupted and on adversarial images against accuracy on clean ones. On the "
        "line, nothing is lost.",
    ),
    "calibration": ChartText(
        "Calibration",
        "Expected calibration error (15 bins) and negative log-likelihood on the test set: means "
        "over seeds.",
    ),
}


def board_charts(boards: Sequence[Board], selection: ChartSelection = ALL) -> dict[str, Any]:
    """Return the Vega-Lite charts, by name, that have rows for a selection of the boards."""
    looks = styles([entry for board in boards for entry, _ in board.rows])
    found = {}
    for name, figure in CHART_ROWS.items():
        rows = figure(boards, selection)
        if rows:
            found[name] = specification(name, _present(looks, rows)) | {
                "datasets": {ROWS: rows},
                "title": CHART_TEXTS[name].title,
                "description": CHART_TEXTS[name].text,
            }
    return found


def specifications(boards: Sequence[Board]) -> dict[str, Any]:
    """Return the specifications and themes that the page draws with, ready for JSON.

    charts: name → title, text, specification (without rows, with the styles of all entries);
    themes: light, dark and picture → configuration of Vega-Lite.
    """
    looks = styles([entry for board in boards for entry, _ in board.rows])
    return {"charts": {name: form(name, looks) for name in CHART_TEXTS}, "themes": themes()}


def form(name: str, looks: dict[str, Style]) -> dict[str, Any]:
    """Return a chart as a page draws it: title, text, specification, and that for narrow pages."""
    about = CHART_TEXTS[name]
    narrow = (
        {"narrow": specification(name + NARROW, looks)} if name + NARROW in CHART_BUILDERS else {}
    )
    return {
        "title": about.title,
        "text": about.text,
        "specification": specification(name, looks),
        **narrow,
    }


def _present(looks: dict[str, Style], rows: Sequence[Row]) -> dict[str, Style]:
    labels = {row.get("entry", row.get("row")) for row in rows}
    return {label: style for label, style in looks.items() if label in labels}
