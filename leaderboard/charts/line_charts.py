"""Charts of lines: accuracy and other metrics against sparsity, and performance profiles.

The names of methods are at the ends of their lines. Vega warns about the axis of a layer without
rows; so every layer has the first row of its panel, and shows it only if it should.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from leaderboard.charts.end_labels import (
    LIMIT,
    LINE,
    MARGIN,
    name_layers,
    panel_height,
    placed_names,
)
from leaderboard.charts.panels import TASK_ABOVE, TASK_HEADER, rows_data, shown_if, with_ends
from leaderboard.charts.theme import (
    SHARE_LABEL,
    Style,
    accuracy_axis,
    encodings_of,
    error,
    families_of,
    family_panels,
    tooltips,
)
from leaderboard.statistics.paired_comparisons import MIN_SEEDS

ALL_METHODS = "all methods"
DENSITIES = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
"""Fractions of weights left at which the axis of sparsities may have a label."""
SPARE_DENSITY = 1.6
"""How far the axis reaches around a single sparsity, as a factor. Its square is more than any step
of `DENSITIES`, so that there is a label."""


def _density(field: str = "density") -> alt.X:
    """Return the axis of sparsities, on a logarithmic scale of the fraction of weights left."""
    return alt.X(
        f"{field}:Q",
        title="sparsity",
        scale=alt.Scale(type="log", reverse=True, nice=False, padding=8),
        axis=alt.Axis(labelExpr=SHARE_LABEL, values=DENSITIES),
    )


def _density_range(sparse: Any) -> Any:
    """Return an invisible layer, so that the axis is never a single point.

    Vega draws all labels at the middle of an axis whose ends are the same.
    """
    return sparse.mark_rule(opacity=0).encode(x=_density("sparsest"), x2="densest:Q")


def _with_densities(chart: Any, *groupby: str) -> Any:
    """Return a chart whose rows have their density, and the ends of the axis of their group."""
    return (
        chart.transform_calculate(density="isValid(datum.sparsity) ? 1 - datum.sparsity : null")
        .transform_joinaggregate(
            sparsest="min(density)", densest="max(density)", groupby=[*groupby]
        )
        .transform_calculate(spare=f"datum.sparsest == datum.densest ? {SPARE_DENSITY} : 1")
        .transform_calculate(
            sparsest="datum.sparsest / datum.spare", densest="datum.densest * datum.spare"
        )
    )


def accuracy(looks: dict[str, Style]) -> Any:
    """Return a row of panels per task, one for each family."""
    return _accuracy_panels(_sparse(looks), families_of(_sparse(looks)))


def accuracy_narrow(looks: dict[str, Style]) -> Any:
    """Return one panel per task, with all methods."""
    return _accuracy_panels(_sparse(looks), [])


def _sparse(looks: dict[str, Style]) -> dict[str, Style]:
    return {label: look for label, look in looks.items() if not look.dense}


def _accuracy_panels(looks: dict[str, Style], families: list[str]) -> Any:
    encodings = encodings_of(looks, legend=False)
    sparse = alt.Chart().transform_filter("isValid(datum.sparsity)").encode(x=_density())
    y = accuracy_axis("error", None)
    layers = alt.layer(
        *_reference_layers("dense_error", axis=accuracy_axis("dense_error", None)),
        _density_range(sparse),
        *_line_layers(sparse, encodings, y, "accuracy", bands=bool(families)),
        *_names(
            encodings,
            ["task", "panel"],
            accuracy_axis("placed", None),
            "datum.least * pow(datum.most / datum.least, datum.place)",
            {"x": _density(), "y": y},
        ),
        data=rows_data(),
    )
    panels = family_panels(_numbered(layers), families or [ALL_METHODS])
    own = "datum.panel == datum.family" if families else "isValid(datum.family)"
    facets: dict[str, Any] = {
        "row": alt.Row("task:N", title="test accuracy", header=TASK_HEADER),
        "column": alt.Column("panel:N", title=None, sort=families),
        "spacing": {"row": 16, "column": 8},
        "align": {"row": "all", "column": "each"},  # names of a family may be short
    }
    if not families:
        facets = {"facet": alt.Facet("task:N", title=None, header=TASK_ABOVE), "columns": 2}
    return (
        _with_densities(panels)
        .transform_calculate(own=f"{own} && isValid(datum.sparsity)")
        .transform_calculate(error=error("accuracy"))
        .transform_calculate(of_dense="isValid(datum.sparsity) ? null : datum.error")
        .transform_joinaggregate(
            least="min(error)", most="max(error)", dense_error="max(of_dense)", groupby=["task"]
        )
        .transform_calculate(
            least="datum.least / 1.25",
            most="datum.most * 1.1",
            has_dense="isValid(datum.dense_error)",
        )
        # Bands are clipped to the range of the means: one wide interval would flatten all lines.
        .transform_calculate(
            dense_error="isValid(datum.dense_error) ? datum.dense_error : datum.least",
            upper="clamp(1 - datum.high, datum.least, datum.most)",
            lower="clamp(1 - datum.low, datum.least, datum.most)",
        )
        .transform_joinaggregate(ended="max(sparsity)", groupby=["task", "entry"])
        .transform_calculate(end="log(datum.error / datum.least) / log(datum.most / datum.least)")
        .properties(width=130 if families else 300, height=_height(looks, families, 130))
        .facet(**facets)
        .resolve_scale(**{"y": "independent"} | ({} if families else {"x": "independent"}))
    )


def _numbered(chart: Any) -> Any:
    """Return a chart whose rows have a `number` in their task; the first has a sparsity."""
    order = [alt.SortField("sparsity", order="descending"), alt.SortField("entry")]
    return chart.transform_window(
        number="row_number()", sort=order, groupby=["task"], ignorePeers=True
    )


def _some(chart: Any, test: str) -> Any:
    """Return a chart with the rows that pass a test, and the first of the panel."""
    return chart.transform_filter(f"{test} || datum.number == 1")


def _reference_layers(field: str, axis: alt.Y) -> list[Any]:
    """Return the line of the dense network, and the ends of the axis, which all panels share."""
    first = alt.Chart().transform_filter("datum.number == 1")
    dense = first.encode(y=axis, opacity=shown_if("datum.has_dense"))
    return [
        dense.mark_rule(style="reference"),
        dense.mark_text(style="note", align="left", dy=-6, text="dense").encode(x=alt.value(3)),
        first.mark_point(opacity=0).encode(y="least:Q"),
        first.mark_point(opacity=0).encode(y="most:Q"),
    ]


def _line_layers(
    sparse: Any, encodings: dict[str, Any], y: alt.Y, *shown: str, bands: bool
) -> list[Any]:
    """Return the lines of other panels in grey, and the panel's own with points and intervals.

    Intervals are bands, or bars where a panel has the methods of all families.
    """
    own = _some(sparse, "datum.own")
    sure = _some(sparse, f"datum.own && datum.n >= {MIN_SEEDS}")
    ends = {"y": "upper:Q", "y2": "lower:Q", "color": encodings["color"]}
    interval = sure.mark_area() if bands else sure.mark_rule(strokeWidth=1)
    return [
        _some(sparse, "!datum.own").mark_line(style="background").encode(y=y, detail="entry:N"),
        interval.encode(opacity=shown_if("datum.own", 0.16 if bands else 0.4), **ends),
        own.mark_line(strokeWidth=1.6).encode(
            y=y,
            color=encodings["color"],
            strokeDash=encodings["strokeDash"],
            opacity=shown_if("datum.own"),
        ),
        own.mark_point(filled=True, size=34).encode(
            y=y,
            color=encodings["color"],
            shape=encodings["shape"],
            opacity=shown_if("datum.own"),
            tooltip=tooltips("entry", "sparsity", *shown, "low", "high", "n"),
        ),
    ]


def _names(
    encodings: dict[str, Any], groupby: list[str], axis: alt.Y, value: str, leader: Any
) -> list[Any]:
    """Return the names at the ends of lines; `value` is the axis's value at a name's place."""
    test = "datum.own && datum.sparsity == datum.ended"
    ends = placed_names(_some(alt.Chart(), test), "end", groupby, test)
    shown = ends.transform_calculate(placed=value).encode(opacity=shown_if(test))
    return name_layers(shown, encodings, axis, leader)


def _height(looks: dict[str, Style], families: Sequence[str], least: int) -> int:
    """Return the height of panels of these families, or of one of all, that holds their names."""
    panels: dict[str, list[str]] = {}
    for label, look in looks.items():
        panels.setdefault(look.family if families else "", []).append(label)
    return panel_height(panels, least)


def score(looks: dict[str, Style]) -> Any:
    """Return a panel per task, with all methods."""
    looks = _sparse(looks)
    encodings = encodings_of(looks, legend=False)
    sparse = alt.Chart().transform_filter("isValid(datum.sparsity)").encode(x=_density())
    axis: dict[str, Any] = {
        "title": None,
        "axis": alt.Axis(tickCount=5),
        "scale": alt.Scale(zero=False, nice=False),
    }
    y = alt.Y("value:Q", **axis)
    layers = alt.layer(
        *_reference_layers("dense", axis=alt.Y("dense:Q", **axis)),
        _density_range(sparse),
        *_line_layers(sparse, encodings, y, "metric", "value", bands=False),
        *_names(
            encodings,
            ["scored"],
            alt.Y("placed:Q", title=None),
            "datum.most - datum.place * (datum.most - datum.least)",
            {"x": _density(), "y": y},
        ),
        data=rows_data(),
    )
    titled = _numbered(layers).transform_calculate(
        scored="datum.task + '/' + datum.metric",
        own="isValid(datum.family) && isValid(datum.sparsity)",
        of_dense="isValid(datum.sparsity) ? null : datum.value",
    )
    return (
        with_ends(_with_densities(titled, "scored"), "value")
        # The axis shows the means and a margin: one wide interval would flatten all lines.
        .transform_joinaggregate(
            lowest="min(value)", highest="max(value)", dense="max(of_dense)", groupby=["scored"]
        )
        .transform_calculate(
            spare="datum.highest > datum.lowest ? (datum.highest - datum.lowest) / 8"
            " : abs(datum.highest) / 8 || 1",
            has_dense="isValid(datum.dense)",
        )
        .transform_calculate(
            least="datum.lowest - datum.spare",
            most="datum.highest + datum.spare",
            dense="isValid(datum.dense) ? datum.dense : datum.lowest",
        )
        .transform_calculate(
            upper="clamp(datum.upper, datum.least, datum.most)",
            lower="clamp(datum.lower, datum.least, datum.most)",
        )
        .transform_joinaggregate(ended="max(sparsity)", groupby=["scored", "entry"])
        .transform_calculate(end="(datum.most - datum.value) / (datum.most - datum.least)")
        .properties(width=300, height=_height(looks, [], 180))
        .facet(facet=alt.Facet("scored:N", title=None, header=TASK_ABOVE), columns=2)
        .resolve_scale(x="independent", y="independent")
    )


def profile(looks: dict[str, Style]) -> Any:
    """Return a panel per family."""
    encodings = encodings_of(looks, legend=False)
    x = alt.X(
        "threshold:Q",
        title="accuracy (fraction of dense)",
        axis=alt.Axis(format="~%", tickCount=5, labelFlush=True, labelOverlap="greedy"),
        scale=alt.Scale(zero=False, nice=False),
    )
    y = alt.Y(
        "share:Q",
        title="fraction of runs above",
        axis=alt.Axis(format="~%", tickCount=5),
        scale=alt.Scale(domain=[0, 1]),
    )
    base = alt.Chart().encode(x=x)
    own = base.transform_filter("datum.own")  # there is a panel for each family of the rows
    # All lines end at 0. Names are in the order of the areas below lines, at their mean height.
    ends = alt.Chart().transform_filter("datum.own && datum.threshold == datum.last")
    named = placed_names(ends, "end", ["panel"], "true").transform_calculate(
        placed="1 - datum.place"
    )
    key = {"color": encodings["color"], "strokeDash": encodings["strokeDash"]}
    right, place = alt.value("width"), alt.Y("placed:Q", title=None)
    layers = alt.layer(
        _some(base, "!datum.own").mark_line(style="background").encode(y=y, detail="entry:N"),
        with_ends(own, "share")
        .mark_area(opacity=0.16)
        .encode(y="lower:Q", y2="upper:Q", color=encodings["color"]),
        own.mark_line(strokeWidth=1.6).encode(
            y=y, tooltip=tooltips("entry", "threshold", "share", "low", "high"), **key
        ),
        named.mark_tick(orient="horizontal", size=20, thickness=1.6, xOffset=MARGIN + 10).encode(
            x=right, y=place, **key
        ),
        named.mark_text(
            align="left",
            baseline="middle",
            dx=MARGIN + 24,
            fontSize=10,
            lineHeight=LINE,
            limit=LIMIT,
        ).encode(x=right, y=place, text="words:N"),
        data=rows_data(),
    )
    return (
        family_panels(
            layers.transform_window(number="row_number()", groupby=[]), families_of(looks)
        )
        .transform_calculate(own="datum.panel == datum.family")
        .transform_joinaggregate(last="max(threshold)", groupby=["panel"])
        .transform_joinaggregate(mean="mean(share)", groupby=["entry"])
        .transform_calculate(end="1 - datum.mean")
        .properties(width=200, height=_height(looks, families_of(looks), 150))
        .facet(facet=alt.Facet("panel:N", title=None, sort=families_of(looks)), columns=3)
    )
