"""The appearance of charts: colour, dash and shape of methods, light and dark themes, axes.

A method looks the same in every chart: its hue is its family's; lightness, dash and shape
distinguish the members of a family.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from leaderboard.boards import Entry

FAMILIES = {
    "reference": ("#7a7a7a", "#676767", "#8d8d8d"),
    "before training": ("#b36592", "#9e527e", "#c878a5"),
    "after training": ("#a161e5", "#8b4ecf", "#b475f8"),
    "dense to sparse": ("#4a8e68", "#377b56", "#5ea27b"),
    "iterative": ("#a07a48", "#8b6736", "#b58d5a"),
    "sparse to sparse": ("#577bb3", "#42689e", "#6b8ec7"),
    "resonance": ("#d95816", "#c14500", "#f16c2b"),
}
"""Family → colours of its members in turn: of one hue, in three lightnesses.

Found by a search for colours that stay apart (CIEDE2000 of about 7, whichever two families) under
simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009), with a contrast of 3:1 to
white and to the dark page. Tests measure both."""
OTHERS = (
    ("#7a872e", "#67741c", "#8b983e"),
    ("#2a8b93", "#137880", "#429ea6"),
    ("#c0564f", "#aa433d", "#d66a62"),
)
"""Colours of families that plug-ins add; these are not measured against the others."""
SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross",
          "triangle-right", "triangle-left")  # fmt: skip
DASHES = ([1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3], [10, 3], [6, 2, 1, 2, 1, 2])
FONT = "system-ui, 'Liberation Sans', Arial, sans-serif"
PICTURE_FONT = "'Liberation Sans', Arial, Helvetica, sans-serif"
"""Font of saved pictures: the one they are measured with, and others of the same widths.

In a wider font, long labels would be cut off at the edge.
"""


@dataclass(frozen=True)
class Style:
    """The style of one entry."""

    family: str
    dense: bool
    colour: str
    dash: tuple[int, ...]
    shape: str


def styles(entries: Sequence[Entry]) -> dict[str, Style]:
    """Return label → style, sorted by family and then by label, as in the legend."""
    dense = {e.label for e in entries if e.dense}
    others = sorted({e.family for e in entries} - FAMILIES.keys())
    known = FAMILIES | {f: OTHERS[i % len(OTHERS)] for i, f in enumerate(others)}
    found = {}
    for family, colours in known.items():
        members = sorted({e.label for e in entries if e.family == family})
        for i, label in enumerate(members):
            found[label] = Style(
                family,
                label in dense,
                colours[i % len(colours)],
                tuple(DASHES[i % len(DASHES)]),
                # Another pairing of dash and shape in each further round.
                SHAPES[(i + i // len(DASHES)) % len(SHAPES)],
            )
    return found


def theme(*, dark: bool = False) -> dict[str, Any]:
    """Return the configuration of Vega-Lite for a light or dark page."""
    ink, soft, faint, quiet = (
        ("#e8e8e8", "#a9a9a9", "#34373c", "#4b4f56")
        if dark
        else ("#1c1c1c", "#666", "#ececec", "#d4d4d4")
    )
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 11}
    return {
        "background": "transparent",
        "font": FONT,
        "aria": False,
        "axis": words
        | {
            "gridColor": faint,
            "domainColor": soft,
            "tickColor": soft,
            "titleFontWeight": "normal",
            "labelSeparation": 6,
        },
        "legend": words | {"title": None, "symbolSize": 60, "rowPadding": 3, "labelLimit": 240},
        "header": words | {"labelFontWeight": "bold", "labelFontSize": 12, "labelLimit": 400},
        "title": {"color": ink, "anchor": "start", "fontSize": 14, "offset": 12},
        "view": {"stroke": None},
        "text": {"color": ink, "fontSize": 11},
        "style": {
            "reference": {"color": soft, "strokeDash": [4, 3], "strokeWidth": 1.2},
            "background": {"color": quiet, "strokeWidth": 1},
            "front": {"color": soft, "strokeWidth": 1.2},
            "interval": {"strokeWidth": 1.6},
            "leader": {"strokeWidth": 1},
            "group": {"color": ink, "strokeWidth": 4, "strokeCap": "round"},
            "note": {"color": soft, "fontSize": 11},
        },
    }


PICTURE = {"background": "white", "font": PICTURE_FONT, "padding": 10}
"""Configuration of saved pictures on top of the light theme."""


def themes() -> dict[str, dict[str, Any]]:
    """Return the themes of a page: light, dark, and picture for saved files."""
    return {"light": theme(), "dark": theme(dark=True), "picture": theme() | PICTURE}


def encodings_of(looks: dict[str, Style], *, legend: bool = True) -> dict[str, Any]:
    """Return colour, dash and shape of entries, with one legend of points below the chart."""
    labels = list(looks)
    # Vega merges legends of the same entries; point symbols need no dashed outline.
    shown: Any = None
    if legend:
        shown = alt.Legend(
            orient="bottom",
            columns=LEGEND_COLUMNS,
            symbolLimit=len(labels) or 1,
            symbolOpacity=1,
            symbolStrokeWidth=0,
            symbolSize=75,
        )

    def scale(values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=labels, range=values)

    return {
        "color": alt.Color(
            "entry:N", scale=scale([s.colour for s in looks.values()]), legend=shown
        ),
        "strokeDash": alt.StrokeDash(
            "entry:N", scale=scale([list(s.dash) for s in looks.values()]), legend=shown
        ),
        "shape": alt.Shape("entry:N", scale=scale([s.shape for s in looks.values()]), legend=shown),
    }


LEGEND_COLUMNS = 4
"""Columns of a legend in a picture; `assets/fitting.js` chooses as many as a page has room for."""

# Accuracies crowd near 1, where methods differ: the axis is the error, logarithmic.
MIN_ERROR = 0.0005
SHARE_LABEL = "format(1 - datum.value, '.3~%')"
ERRORS = [
    x / 1000
    for x in (900, 700, 500, 400, 300, 200, 150, 100, 70, 50, 30, 20, 15, 10, 7, 5, 3, 2, 1)
]


def error(field: str) -> str:
    """Return the expression of the error for a field of accuracies."""
    return f"max(1 - datum.{field}, {MIN_ERROR})"


def accuracy_axis(field: str, title: str | None) -> alt.Y:
    """Return an axis labelled with accuracies for a field of errors."""
    return alt.Y(
        f"{field}:Q",
        title=title,
        axis=alt.Axis(labelExpr=SHARE_LABEL, values=ERRORS, labelOverlap="greedy"),
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=4),
    )


def families_of(looks: dict[str, Style]) -> list[str]:
    """Return the families of entries, in the order of the legend."""
    return list(dict.fromkeys(style.family for style in looks.values()))


def family_panels(layers: Any, panels: list[str]) -> Any:
    """Repeat each row in the `panel` of every family, where it is in its own or for comparison."""
    return layers.transform_calculate(panel=json.dumps(panels)).transform_flatten(["panel"])


def tooltips(*fields: str) -> list[Any]:
    """Return the tooltip of a row."""
    kinds = {"n": "Q", "tasks": "Q", "sparsity": "Q"} | dict.fromkeys(TEXTS, "N")
    return [
        alt.Tooltip(
            f"{name}:{kinds.get(name, 'Q')}", format=alt.Undefined if name in kinds else ".4~r"
        )
        for name in fields
    ]


TEXTS = (
    "task",
    "method",
    "control",
    "verdict",
    "metric",
    "entry",
    "family",
    "row",
    "column",
    "measure",
)
