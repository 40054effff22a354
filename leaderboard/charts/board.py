"""The charts of a leaderboard, with their rows: for pictures, and for Vega in the page.

A chart holds its rows under the named dataset ``rows``; the page replaces them by what it computes
from a selection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.charts.forms import ROWS, specification
from leaderboard.charts.style import Style, styles, theme, themes
from leaderboard.figures import ALL, FIGURES, Row, Selection
from leaderboard.tables import Board

__all__ = ["ABOUT", "board_charts", "pictures", "specifications", "theme", "themes"]


@dataclass(frozen=True)
class About:
    """What a chart is called, and what it shows."""

    title: str
    text: str


ABOUT = {
    "accuracy": About(
        "Accuracy against sparsity",
        "Mean test accuracy over seeds with its 95 % interval; the axis is that of the error, "
        "logarithmic. The dense network is the dashed line.",
    ),
    "cost": About(
        "Accuracy against training cost",
        "Mean test accuracy at the FLOPs that training took, as a multiple of dense training. "
        "The line joins what nothing beats, with its sparsity: no other is cheaper and as good.",
    ),
    "rating": About(
        "Rating",
        "Bradley–Terry rating in Elo points (400 points are odds of ten to one). From four tasks "
        "on with a 95 % interval from resampling tasks.",
    ),
    "win_rate": About(
        "Who beats whom",
        "How likely a run of the row is better than one of the column, on a random task.",
    ),
    "ranks": About(
        "Critical difference",
        "Average rank over tasks, 1 being best. Bars join those whose ranks are not told apart "
        "(Nemenyi's test at 5 %).",
    ),
    "profile": About(
        "Performance profile",
        "Fraction of runs above an accuracy, itself a fraction of the dense network's, with 95 % bands.",
    ),
    "iqm": About(
        "Interquartile mean",
        "Mean of the middle half of all runs, as a fraction of the dense network's accuracy, with a "
        "95 % interval from resampling runs within tasks.",
    ),
    "robustness": About(
        "Robustness",
        "Accuracy on corrupted and on adversarial images against that on clean ones. On the line, "
        "nothing is lost.",
    ),
    "calibration": About(
        "Calibration",
        "Expected calibration error (15 bins) and negative log-likelihood on the test set, with "
        "95 % intervals over seeds.",
    ),
}  # fmt: skip


def board_charts(boards: Sequence[Board], selection: Selection = ALL) -> dict[str, Any]:
    """Return the charts that boards and a selection allow by name, in Vega-Lite."""
    looks = styles([entry for board in boards for entry, _ in board.rows])
    found = {}
    for name, figure in FIGURES.items():
        rows = figure(boards, selection)
        if rows:
            found[name] = specification(name, _present(looks, rows)) | {
                "datasets": {ROWS: rows},
                "title": ABOUT[name].title,
                "description": ABOUT[name].text,
            }
    return found


def specifications(boards: Sequence[Board]) -> dict[str, Any]:
    """Return what the page draws from, ready for JSON.

    charts: name → title, text, specification (without rows, with the styles of all entries);
    styles: label → colour, dash, shape; themes: light, dark and picture → Vega-Lite's
    configuration.
    """
    looks = styles([entry for board in boards for entry, _ in board.rows])
    charts = {}
    for name, about in ABOUT.items():
        form = specification(name, looks)
        charts[name] = {"title": about.title, "text": about.text, "specification": form}
    return {"charts": charts, "themes": themes()}


def pictures(specification: Mapping[str, Any]) -> dict[str, bytes]:
    """Return a chart with its rows as SVG, PNG and PDF, in the light theme on white.

    The same chart gives the same bytes; fonts within a PDF may stand in another order.
    """
    import vl_convert

    svg = vl_convert.vegalite_to_svg({**specification, "config": themes()["picture"]})
    return {
        "svg": svg.encode(),
        "png": vl_convert.svg_to_png(svg, scale=2),
        "pdf": vl_convert.svg_to_pdf(svg),
    }


def _present(looks: dict[str, Style], rows: Sequence[Row]) -> dict[str, Style]:
    here = {row.get("entry", row.get("row")) for row in rows}
    return {label: style for label, style in looks.items() if label in here}
