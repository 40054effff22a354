"""Vega-Lite specifications of the charts of boards, without rows, from the styles of entries."""

import json
from functools import lru_cache
from typing import Any

import altair as alt

from leaderboard.charts import line_charts
from leaderboard.charts.panels import (
    MEASURED,
    ROWS,
    TASK_ABOVE,
    TASK_BESIDE,
    rows_data,
    shown_if,
    with_ends,
)
from leaderboard.charts.remembered import remembered
from leaderboard.charts.theme import (
    FAMILIES,
    Style,
    accuracy_axis,
    encodings_of,
    error,
    tooltips,
)
from leaderboard.output_folder import code_digest, inputs_digest
from leaderboard.statistics.paired_comparisons import Verdict

NARROW = "-narrow"
"""Ending of the name of a chart's form for narrow pages, where it has one."""


def _cost(looks: dict[str, Style]) -> Any:
    encodings = encodings_of(looks)
    x = alt.X(
        "cost:Q",
        title="training FLOPs (× dense)",
        scale=alt.Scale(type="log", nice=False, padding=8),
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
    # Nothing is above and to the left of the front, so names there cover no point.
    named = (
        _front_names(alt.Chart().transform_filter("datum.front"))
        .transform_calculate(placed="datum.least * pow(datum.most / datum.least, datum.place)")
        .encode(x=x)
    )
    placed = accuracy_axis("placed", None)
    layers = alt.layer(
        alt.Chart().mark_point(opacity=0).encode(x="cheapest:Q", y="least:Q"),
        alt.Chart().mark_point(opacity=0).encode(x="cheapest:Q", y="most:Q"),
        front.mark_line(style="front", interpolate="step-after"),
        named.mark_rule(style="leader", opacity=0.6, xOffset=-4, x2Offset=-12).encode(
            y=y, y2="placed:Q", x2="cost:Q", color=encodings["color"]
        ),
        points.mark_point(filled=True, size=45, opacity=0.45),
        points.transform_filter("datum.front").mark_point(filled=True, size=80, opacity=1),
        named.mark_text(align="right", baseline="middle", dx=-14, fontSize=10, limit=240).encode(
            y=placed, text="name:N"
        ),
        data=rows_data(),
    )
    return (
        _with_room(layers.transform_calculate(error=error("accuracy")))
        .properties(width=400, height=280)
        .facet(facet=alt.Facet("task:N", title=None, header=TASK_ABOVE), columns=3)
        .resolve_scale(x="independent", y="independent")
    )


def _with_room(chart: Any) -> Any:
    """Return a chart of costs whose axes leave room for the names of the front.

    Names are at the left of their points, and move up until none covers another. `up` and `left`
    are the fractions of the panel that this takes beyond the points; `end` and `number` are for
    `_front_names`.
    """
    step = f"{FRONT_LINE} / child_height"
    across = f"({FRONT_LETTER} * length(datum.name) + 20) / child_width"
    return (
        chart.transform_calculate(
            name="datum.entry + (isValid(datum.sparsity) ? '  ' + format(datum.sparsity, '.3~%')"
            " : '')"
        )
        .transform_window(
            number="row_number()",
            sort=[alt.SortField("error"), alt.SortField("entry")],
            groupby=["task", "front"],
            ignorePeers=True,
        )
        .transform_joinaggregate(
            best="min(error)",
            worst="max(error)",
            cheap="min(cost)",
            dear="max(cost)",
            groupby=["task"],
        )
        .transform_calculate(
            most="datum.worst * 1.1",
            down="log(datum.error / datum.best) / log(datum.worst * 1.1 / datum.best)",
            right="datum.dear > datum.cheap"
            " ? log(datum.cost / datum.cheap) / log(datum.dear / datum.cheap) : 1",
        )
        .transform_calculate(
            lacks_up=f"datum.front ? (datum.number * {step} - datum.down) / (1.02 - datum.down)"
            " : 0",
            lacks_left=f"datum.front ? ({across} - datum.right) / (1.02 - datum.right) : 0",
        )
        .transform_joinaggregate(
            most_up="max(lacks_up)", most_left="max(lacks_left)", groupby=["task"]
        )
        .transform_calculate(
            up="clamp(datum.most_up, 0.05, 0.7)", left="clamp(datum.most_left, 0.03, 0.6)"
        )
        .transform_calculate(
            least="datum.best / pow(datum.most / datum.best, datum.up / (1 - datum.up))",
            cheapest="datum.cheap / pow(datum.dear > datum.cheap ? datum.dear / datum.cheap : 4,"
            " datum.left / (1 - datum.left))",
            end="datum.up + (1 - datum.up) * datum.down",
        )
    )


def _front_names(front: Any) -> Any:
    """Return the rows of the front with the places of their names, moved up only."""
    order = {"sort": [alt.SortField("number")], "groupby": ["task"], "ignorePeers": True}
    step = f"{FRONT_LINE} / child_height"
    return (
        front.transform_calculate(loose=f"datum.end - datum.number * {step}")
        .transform_window(pulled="min(loose)", frame=[0, None], **order)
        .transform_calculate(place=f"(datum.number - 0.6) * {step} + max(0, datum.pulled)")
    )


FRONT_LETTER = 6
"""Mean width in pixels of a letter of a name on the front."""
FRONT_LINE = 12
"""Height in pixels of a name on the front."""
COSTS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 10, 20, 50]


def _controls(looks: dict[str, Style]) -> Any:
    """Return a panel for each task and each pair of a method and its control."""
    axis = alt.Axis(ticks=False, labelExpr="format(datum.value, '.3~%')")
    return (
        _control_layers(alt.Y("sparsity:O", title=None, axis=axis))
        .properties(width=150, height=alt.Step(15))
        .facet(
            row=alt.Row("task:N", title=None, header=TASK_BESIDE),
            column=alt.Column("pair:N", title=None, header=PAIR_HEADER),
            spacing={"row": 14, "column": 14},
        )
    )


def _controls_narrow(looks: dict[str, Style]) -> Any:
    """Return a panel for each pair of a method and its control, with all tasks."""
    axis = alt.Axis(ticks=False, labelLimit=220, labelFontSize=9)
    return (
        _control_layers(alt.Y("share:N", title=None, sort=None, axis=axis))
        .transform_calculate(share="format(datum.sparsity, '.3~%') + ' ' + datum.task")
        .properties(width=180, height=alt.Step(14))
        .facet(facet=alt.Facet("pair:N", title=None, header=PAIR_HEADER), columns=1)
    )


def _control_layers(y: alt.Y) -> Any:
    verdicts = [str(one) for one in (Verdict.BETTER, Verdict.EQUIVALENT, Verdict.NO_DIFFERENCE,
                                     Verdict.UNDECIDED, Verdict.WORSE)]  # fmt: skip
    legend = alt.Legend(orient="bottom", columns=len(verdicts), symbolOpacity=1)

    def scale(values: list[str]) -> alt.Scale:
        return alt.Scale(domain=verdicts, range=values)

    better, worse, other = (FAMILIES[f][0] for f in ("sparse to sparse", "resonance", "reference"))
    colour = alt.Color(
        "verdict:N", scale=scale([better, other, other, other, worse]), legend=legend
    )
    shapes = ["triangle-up", "square", "circle", "cross", "triangle-down"]
    # Differences of a tenth of a point and of thirty are in one chart.
    symmetric = alt.Scale(type="symlog", constant=0.5, zero=True, nice=False, padding=6)
    x = alt.X(
        "difference:Q",
        title="difference in points",
        scale=symmetric,
        axis=alt.Axis(values=DIFFERENCES, labelOverlap="greedy", format="d"),
    )
    base = alt.Chart().encode(y=y)
    layers = alt.layer(
        alt.Chart().mark_rule(style="reference").encode(x=alt.datum(0)),
        base.mark_rule(style="interval", invalid=None).encode(
            x=alt.X("lower:Q", scale=symmetric), x2="upper:Q", color=colour
        ),
        base.mark_point(filled=True, size=50, opacity=1, invalid=None).encode(
            x=x,
            color=colour,
            shape=alt.Shape("verdict:N", scale=scale(shapes), legend=legend),
            tooltip=tooltips(
                "method", "control", "task", "sparsity", "difference", "low", "high", "n", "verdict"
            ),
        ),
        data=rows_data(),
    )
    return with_ends(layers, "difference").transform_calculate(
        pair="datum.method + '|minus ' + datum.control"
    )  # fmt: skip


DIFFERENCES = [-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100]
PAIR_HEADER = alt.Header(
    labelExpr="split(replace(replace(datum.value, '|', '~'), regexp('([^~]{1,20})( +|~|$)', 'g'),"
    " '$1~'), '~')",
    labelFontSize=11,
)
"""A method and its control, in lines of at most 20 characters."""


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
        title="interquartile mean ÷ dense",
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
    base = alt.Chart(rows_data()).encode(y=y, color=encodings["color"])
    dot = base.mark_point(filled=True, size=60, opacity=1)
    return alt.layer(
        with_ends(base, value).mark_rule(style="interval").encode(x="lower:Q", x2="upper:Q"),
        dot.encode(
            x=x, shape=encodings["shape"], tooltip=tooltips("entry", value, "low", "high", count)
        ),
    ).properties(width=420, height=alt.Step(20))


def _win_rate(looks: dict[str, Style]) -> Any:
    base = alt.Chart(rows_data()).encode(
        x=alt.X(
            "column:N",
            sort=None,
            title="… than this",
            axis=alt.Axis(orient="top", labelAngle=-45, labelLimit=280, ticks=False, domain=False),
        ),
        y=alt.Y(
            "row:N",
            sort=None,
            title="this is better …",
            axis=alt.Axis(labelLimit=280, ticks=False, domain=False),
        ),
    )
    pairs = base.transform_filter("isValid(datum.probability)")
    scale = alt.Scale(
        domain=[0, 0.5, 1], range=["#c8641a", "#f4f1ec", "#1f66ad"], interpolate="rgb"
    )
    legend = alt.Legend(title=["probability"], format="~%", gradientLength=200, orient="bottom")
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
    data = alt.Chart(rows_data())
    y = alt.Y("level:O", axis=None)
    axis = alt.Axis(
        orient="top", title="average rank (1 is best)", tickMinStep=1, format="d", grid=False
    )
    scale = alt.Scale(zero=False, nice=False, padding=12)
    x = alt.X("rank:Q", axis=axis, scale=scale)
    method = data.transform_filter("datum.kind == 'method'")
    # Methods are there too, invisibly: Vega warns about an axis of a layer without rows.
    groups = data.transform_filter("datum.kind != 'test'").transform_calculate(
        **{
            "from": "datum.kind == 'group' ? datum.from : datum.rank",
            "to": "datum.kind == 'group' ? datum.to : datum.rank",
        }
    )
    layers = [
        method.transform_calculate(axis="0")
        .mark_rule(style="leader")
        .encode(x=x, y=alt.Y("axis:O", axis=None), y2="level:O", color=encodings["color"]),
        groups.mark_rule(style="group").encode(
            x="from:Q", x2="to:Q", y=y, opacity=shown_if("datum.kind == 'group'")
        ),
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
    return alt.Axis(format=".3~%", tickCount=3)


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
    """Return one panel per measure and task, in lines that end where the page does.

    Sorted by name: Vega misplaces panels of an explicit order if a task lacks a measure.
    """
    return (
        alt.layer(*layers, data=rows_data())
        .transform_calculate(measured=MEASURED)
        .properties(width=140, height=140)
        .facet(facet=alt.Facet("measured:N", title=title, header=TASK_ABOVE), columns=4, spacing=12)
        .resolve_scale(x="independent", y="independent")
    )


CHART_BUILDERS = {
    "accuracy": line_charts.accuracy,
    "accuracy-narrow": line_charts.accuracy_narrow,
    "score": line_charts.score,
    "cost": _cost,
    "controls": _controls,
    "controls-narrow": _controls_narrow,
    "rating": _rating,
    "win_rate": _win_rate,
    "ranks": _ranks,
    "profile": line_charts.profile,
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
