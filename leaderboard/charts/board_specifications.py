"""Vega-Lite specifications of the charts of boards, without rows, from the styles of entries."""

import json
from functools import lru_cache
from typing import Any

import altair as alt

from leaderboard.charts.remembered import remembered
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
from leaderboard.output_folder import code_digest, inputs_digest
from leaderboard.statistics.paired_comparisons import MIN_SEEDS

ROWS = "rows"
"""Name of the dataset that a chart draws."""


def _rows() -> alt.NamedData:
    return alt.NamedData(ROWS)


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


def _accuracy(looks: dict[str, Style]) -> Any:
    looks = {label: look for label, look in looks.items() if not look.dense}
    encodings = encodings_of(looks)
    sparse = alt.Chart().transform_filter("isValid(datum.sparsity)").encode(x=_density())
    dense = alt.Chart().transform_filter("!isValid(datum.sparsity)")
    own = sparse.transform_filter("datum.own")
    y = accuracy_axis("error", None)
    layers = alt.layer(
        dense.mark_rule(style="reference").encode(y=y),
        dense.mark_text(style="note", align="left", dy=-6, text="dense").encode(
            x=alt.value(3), y=y
        ),
        # Two invisible points in every panel of a task, so that all panels have the same axis.
        dense.mark_point(opacity=0).encode(y="least:Q"),
        dense.mark_point(opacity=0).encode(y="most:Q"),
        _density_range(sparse),
        sparse.transform_filter("!datum.own")
        .mark_line(style="background")
        .encode(y=y, detail="entry:N"),
        own.transform_filter(f"datum.n >= {MIN_SEEDS}")
        .mark_area(opacity=0.16)
        .encode(y="upper:Q", y2="lower:Q", color=encodings["color"]),
        own.mark_line(strokeWidth=1.6).encode(
            y=y, color=encodings["color"], strokeDash=encodings["strokeDash"]
        ),
        own.mark_point(filled=True, size=34, opacity=1).encode(
            y=y,
            color=encodings["color"],
            shape=encodings["shape"],
            tooltip=tooltips("entry", "sparsity", "accuracy", "low", "high", "n"),
        ),
        data=_rows(),
    )
    # Intervals are clipped to the range of the means: their errors may be below 0.
    return (
        _with_densities(family_panels(layers, looks, "isValid(datum.sparsity)"))
        .transform_calculate(error=error("accuracy"))
        .transform_joinaggregate(least="min(error)", most="max(error)", groupby=["task"])
        .transform_calculate(least="datum.least / 1.25", most="datum.most * 1.1")
        .transform_calculate(
            upper="clamp(1 - datum.high, datum.least, datum.most)",
            lower="clamp(1 - datum.low, datum.least, datum.most)",
        )
        .properties(width=120, height=130)
        .facet(
            row=alt.Row("task:N", title="test accuracy", header=TASK_HEADER),
            column=alt.Column("panel:N", title=None, sort=families_of(looks)),
            spacing={"row": 16, "column": 8},
        )
        .resolve_scale(y="independent")
    )


def _score(looks: dict[str, Style]) -> Any:
    looks = {label: look for label, look in looks.items() if not look.dense}
    encodings = encodings_of(looks)
    sparse = alt.Chart().transform_filter("isValid(datum.sparsity)").encode(x=_density())
    own = sparse.transform_filter("isValid(datum.family)")
    dense = alt.Chart().transform_filter("!isValid(datum.sparsity)")
    y = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=5), scale=_spare())
    layers = alt.layer(
        dense.mark_rule(style="reference").encode(y=y),
        _density_range(sparse),
        # All lines, since Vega warns about a layer without rows; coloured ones cover theirs.
        sparse.mark_line(style="background").encode(y=y, detail="entry:N"),
        _ends(own.transform_filter(f"datum.n >= {MIN_SEEDS}"), "value")
        .mark_area(opacity=0.16)
        .encode(y="lower:Q", y2="upper:Q", color=encodings["color"]),
        own.mark_line(strokeWidth=1.6).encode(
            y=y, color=encodings["color"], strokeDash=encodings["strokeDash"]
        ),
        own.mark_point(filled=True, size=34, opacity=1).encode(
            y=y,
            color=encodings["color"],
            shape=encodings["shape"],
            tooltip=tooltips("entry", "sparsity", "metric", "value", "low", "high", "n"),
        ),
        data=_rows(),
    )
    return (
        _with_densities(
            layers.transform_calculate(scored="datum.task + ': ' + datum.metric"), "scored"
        )
        .properties(width=300, height=180)
        .facet(facet=alt.Facet("scored:N", title=None), columns=2)
        .resolve_scale(x="independent", y="independent")
    )


TASK_LINES = "split(replace(replace(datum.value, ' (', '/('), regexp(', ', 'g'), ',/'), '/')"
"""A task's title in lines: of its name, and of each setting. On one line they would overlap."""
TASK_HEADER = alt.Header(
    labelExpr=TASK_LINES,
    labelAngle=-90,
    labelAlign="center",
    labelFontSize=11,
    titleFontWeight="normal",
)
TASK_ABOVE = alt.Header(labelExpr=TASK_LINES, labelFontSize=11)


def _cost(looks: dict[str, Style]) -> Any:
    encodings = encodings_of(looks)
    x = alt.X(
        "cost:Q",
        title="training FLOPs (× dense)",
        scale=alt.Scale(type="log", nice=False, padding=32),
        axis=alt.Axis(format="~", values=COSTS, labelOverlap="greedy"),
    )
    y = accuracy_axis("error", "test accuracy")
    points = alt.Chart().encode(
        x=x,
        y=y,
        color=encodings["color"],
        shape=encodings["shape"],
        tooltip=tooltips("entry", "sparsity", "cost", "accuracy", "n"),
    )
    front = alt.Chart().transform_filter("datum.front").encode(x=x, y=y)
    layers = alt.layer(
        front.mark_line(style="front", interpolate="step-after"),
        points.transform_filter("!datum.front").mark_point(filled=True, size=45, opacity=0.55),
        points.transform_filter("datum.front").mark_point(filled=True, size=80, opacity=1),
        # Above and to the left of the front, names cover nothing.
        # A point is not named if the next one costs hardly more.
        front.transform_window(next="lead(cost)", sort=[alt.SortField("cost")], groupby=["task"])
        .transform_filter("!isValid(datum.next) || datum.next > 1.12 * datum.cost")
        .transform_calculate(
            name="isValid(datum.sparsity) ? format(datum.sparsity, '~%') : 'dense'"
        )
        .mark_text(align="right", baseline="bottom", dx=-5, dy=-3, fontSize=10)
        .encode(text="name:N"),
        data=_rows(),
    )
    return (
        layers.transform_calculate(error=error("accuracy"))
        .properties(width=300, height=220)
        .facet(facet=alt.Facet("task:N", title=None, header=TASK_ABOVE), columns=2)
        .resolve_scale(x="independent", y="independent")
    )


COSTS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 10, 20, 50]


def _rating(looks: dict[str, Style]) -> Any:
    return _dots(
        looks,
        "rating",
        alt.X("rating:Q", title="rating (Elo points)", scale=alt.Scale(zero=False)),
        "tasks",
    )


def _iqm(looks: dict[str, Style]) -> Any:
    x = alt.X(
        "mean:Q",
        title="interquartile mean of accuracy (fraction of dense)",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(format="~%"),
    )
    return _dots(looks, "mean", x, "n")


def _dots(looks: dict[str, Style], value: str, x: alt.X, count: str) -> Any:
    """Return a dot with an interval for each entry, in row order."""
    encodings = encodings_of(looks, legend=False)
    y = alt.Y(
        "entry:N", sort=None, title=None, axis=alt.Axis(grid=True, labelLimit=260, ticks=False)
    )
    base = alt.Chart(_rows()).encode(y=y, color=encodings["color"])
    dot = base.mark_point(filled=True, size=60, opacity=1)
    return alt.layer(
        _ends(base, value).mark_rule(style="interval").encode(x="lower:Q", x2="upper:Q"),
        dot.encode(
            x=x, shape=encodings["shape"], tooltip=tooltips("entry", value, "low", "high", count)
        ),
    ).properties(width=420, height=alt.Step(20))


def _ends(chart: Any, value: str) -> Any:
    """Return a chart with the ends of its interval, or the value if there is none.

    Vega warns about an axis of a field without any number.
    """
    return chart.transform_calculate(
        lower=f"isValid(datum.low) ? datum.low : datum.{value}",
        upper=f"isValid(datum.high) ? datum.high : datum.{value}",
    )


def _win_rate(looks: dict[str, Style]) -> Any:
    base = alt.Chart(_rows()).encode(
        x=alt.X(
            "column:N",
            sort=None,
            title="… than this",
            axis=alt.Axis(orient="top", labelAngle=-45, labelLimit=200, ticks=False, domain=False),
        ),
        y=alt.Y(
            "row:N",
            sort=None,
            title="this is better …",
            axis=alt.Axis(labelLimit=200, ticks=False, domain=False),
        ),
    )
    pairs = base.transform_filter("isValid(datum.probability)")
    scale = alt.Scale(
        domain=[0, 0.5, 1], range=["#c8641a", "#f4f1ec", "#1f66ad"], interpolate="rgb"
    )
    legend = alt.Legend(title=["probability"], format="~%", gradientLength=160)
    tiles = pairs.mark_rect().encode(
        color=alt.Color("probability:Q", scale=scale, legend=legend),
        tooltip=tooltips("row", "column", "probability", "low", "high"),
    )
    ink = alt.condition(
        "abs(datum.probability - 0.5) > 0.34", alt.value("#ffffff"), alt.value("#1c1c1c")
    )
    sure = "isValid(datum.low) && (datum.low > 0.5 || datum.high < 0.5)"
    words = pairs.transform_calculate(percent="round(100 * datum.probability)").encode(
        text="percent:Q", color=ink
    )
    return alt.layer(
        base.mark_text(style="note", text="–").transform_filter("!isValid(datum.probability)"),
        tiles,
        words.transform_filter(sure).mark_text(fontWeight="bold", fontSize=10),
        words.transform_filter(f"!({sure})").mark_text(fontSize=10),
    ).properties(width=alt.Step(26), height=alt.Step(22))


def _ranks(looks: dict[str, Style]) -> Any:
    """Return the diagram: axis on top, bars over methods that do not differ, names at the sides."""
    encodings = encodings_of(looks, legend=False)
    data = alt.Chart(_rows())
    y = alt.Y("level:O", axis=None)
    axis = alt.Axis(
        orient="top", title="average rank (1 is best)", tickMinStep=1, format="d", grid=False
    )
    scale = alt.Scale(zero=False, nice=False, padding=12)
    x = alt.X("rank:Q", axis=axis, scale=scale)
    method = data.transform_filter("datum.kind == 'method'")
    groups = data.transform_filter("datum.kind == 'group'").mark_rule(style="group")
    layers = [
        method.transform_calculate(axis="0")
        .mark_rule(style="leader")
        .encode(x=x, y=alt.Y("axis:O", axis=None), y2="level:O", color=encodings["color"]),
        groups.encode(x="from:Q", x2="to:Q", y=y),
    ]
    for side in ("left", "right"):
        left = side == "left"
        edge = alt.value(0) if left else alt.value("width")
        named = method.transform_filter(f"datum.side == '{side}'").encode(y=y)
        layers += [
            named.mark_rule(style="leader").encode(x=x, x2=edge, color=encodings["color"]),
            named.transform_calculate(name="datum.entry + '  ' + format(datum.rank, '.2f')")
            .mark_text(align="right" if left else "left", dx=-6 if left else 6, limit=260)
            .encode(x=edge, text="name:N"),
        ]
    test = (
        data.transform_filter("datum.kind == 'test'")
        .transform_calculate(
            words="(isValid(datum.p) ? 'Friedman p = ' + format(datum.p, '.2~g') + ' · ' : '')"
            " + 'critical difference ' + format(datum.critical_difference, '.2f')"
            " + (datum.decides ? '' : ': more than ranks can differ, so it cannot decide') + ' · '"
            " + datum.tasks + (datum.tasks == 1 ? ' task' : ' tasks')"
        )
        .mark_text(style="note", align="left", dy=14)
        .encode(x=alt.value(0), y=alt.value("height"), text="words:N")
    )
    return alt.layer(*layers, test).properties(width=420, height=alt.Step(18))


def _profile(looks: dict[str, Style]) -> Any:
    encodings = encodings_of(looks, lines=True)
    x = alt.X(
        "threshold:Q",
        title="accuracy (fraction of dense)",
        axis=alt.Axis(format="~%", tickCount=5),
        scale=alt.Scale(zero=False, nice=False),
    )
    y = alt.Y(
        "share:Q",
        title="fraction of runs above",
        axis=alt.Axis(format="~%", tickCount=5),
        scale=alt.Scale(domain=[0, 1]),
    )
    base = alt.Chart().encode(x=x)
    own = base.transform_filter("datum.own")
    layers = alt.layer(
        base.transform_filter("!datum.own")
        .mark_line(style="background")
        .encode(y=y, detail="entry:N"),
        _ends(own, "share")
        .mark_area(opacity=0.16)
        .encode(y="lower:Q", y2="upper:Q", color=encodings["color"]),
        own.mark_line(strokeWidth=1.6).encode(
            y=y,
            color=encodings["color"],
            strokeDash=encodings["strokeDash"],
            tooltip=tooltips("entry", "threshold", "share", "low", "high"),
        ),
        data=_rows(),
    )
    return (
        family_panels(layers, looks)
        .properties(width=200, height=150)
        .facet(facet=alt.Facet("panel:N", title=None, sort=families_of(looks)), columns=3)
    )


def _robustness(looks: dict[str, Style]) -> Any:
    x = alt.X("accuracy:Q", title="clean accuracy", axis=_shares(), scale=_spare())
    y = alt.Y("robust:Q", title=None, axis=_shares(), scale=_spare())
    points = _points(looks, x, y, "robust")
    kept = alt.Chart().mark_line(style="reference").encode(x=x, y=alt.Y("accuracy:Q", title=None))
    return _by_measure([kept, points], "accuracy on")


def _calibration(looks: dict[str, Style]) -> Any:
    x = alt.X("accuracy:Q", title="test accuracy", axis=_shares(), scale=_spare())
    y = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=5), scale=alt.Scale(zero=True))
    return _by_measure([_points(looks, x, y, "value", "low", "high")], None)


def _shares() -> alt.Axis:
    return alt.Axis(format="~%", tickCount=4)


def _spare() -> alt.Scale:
    return alt.Scale(zero=False, padding=6)


def _points(looks: dict[str, Style], x: alt.X, y: alt.Y, *shown: str) -> Any:
    """Return a point per entry and sparsity."""
    encodings = encodings_of(looks)
    return (
        alt.Chart()
        .mark_point(filled=True, size=36, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=encodings["color"],
            shape=encodings["shape"],
            tooltip=tooltips("entry", "sparsity", "accuracy", *shown, "n"),
        )
    )


def _by_measure(layers: list[Any], title: str | None) -> Any:
    """Return one panel per measure and task.

    Sorted by name: Vega misplaces panels of an explicit order if a task lacks a measure.
    """
    return (
        alt.layer(*layers, data=_rows())
        .properties(width=140, height=140)
        .facet(
            row=alt.Row(
                "measure:N",
                title=title,
                header=alt.Header(
                    labelFontWeight="normal", labelFontSize=11, titleFontWeight="normal"
                ),
            ),
            column=alt.Column("task:N", title=None, header=TASK_ABOVE),
            spacing=12,
        )
        .resolve_scale(x="independent", y="independent")
    )


CHART_BUILDERS = {
    "accuracy": _accuracy,
    "score": _score,
    "cost": _cost,
    "rating": _rating,
    "win_rate": _win_rate,
    "ranks": _ranks,
    "profile": _profile,
    "iqm": _iqm,
    "robustness": _robustness,
    "calibration": _calibration,
}


def specification(name: str, looks: dict[str, Style]) -> dict[str, Any]:
    """Return a chart in Vega-Lite, without rows, title and theme.

    Cached, since Altair takes a tenth of a second for one.
    """
    return json.loads(_specification(name, tuple(looks.items())))


@lru_cache(maxsize=64)
def _specification(name: str, looks: tuple[tuple[str, Style], ...]) -> str:
    inputs = inputs_digest(code_digest(), alt.__version__, name, repr(looks))
    return remembered(inputs, lambda: _made(name, looks))


def _made(name: str, looks: tuple[tuple[str, Style], ...]) -> str:
    form = CHART_BUILDERS[name](dict(looks)).properties(datasets={ROWS: []})
    # A test validates every chart against Vega-Lite's schema; doing so here takes as long again.
    found = form.to_dict(validate=False)
    found.pop("config", None)
    return json.dumps(found)
