"""Charts of a tuning, from its document: history, importance, slices, parallel coordinates."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from leaderboard.boards import Entry
from leaderboard.charts.theme import FAMILIES, OTHERS
from leaderboard.tuning_budget import budget_curve
from suite.tuning.schema import MAXIMISED, Candidate, Dimension, MethodResult, Tuning

WIDTH, HEIGHT = 340, 200
PANEL_SIZE = 150
BLUE, ORANGE, GREY = "#2a6fb5", "#d9772b", "#8a8a8a"
MAX_DIMENSIONS = 8
TITLES = {
    "accuracy": "validation accuracy",
    "balanced_accuracy": "validation balanced accuracy",
    "macro_f1": "validation macro-F1",
    "r2": "validation R²",
    "rmse": "validation RMSE",
    "bits_per_character": "validation bits per character",
    "train_flops": "training FLOPs",
    "inference_flops": "inference FLOPs",
}
LOW_TO_HIGH, EARLY_TO_LATE = [BLUE, GREY, ORANGE], [GREY, BLUE]
"""Of values, and of trials in their order: each with a contrast of 3:1 to light and dark pages."""
VALUES = alt.Color(
    "value:Q", title=None, scale=alt.Scale(range=LOW_TO_HIGH), legend=alt.Legend(type="gradient")
)
MARGIN = 8
"""Pixels between the outermost points and the edge of a plot, which would cut them off."""


def tuning_charts(tuning: Tuning) -> dict[str, alt.TopLevelMixin]:
    """Return the charts of a tuning: ``budget``, of all methods, and each ``METHOD-KIND``.

    The kinds are history, importance, slice, parallel, contour and, for several objectives, front.
    A kind is left out if there is too little data for it.
    """
    alt.data_transformers.disable_max_rows()
    goals = tuning.settings.objectives
    charts: dict[str, alt.TopLevelMixin] = {}
    if (budget := _budget(tuning)) is not None:
        charts["budget"] = budget
    for method, found in tuning.methods.items():
        drawn = {
            "history": _history(found, goals[0]),
            "importance": _importance(found),
            "slice": _slice(found, goals[0]),
            "parallel": _parallel(found, goals[0]),
            "contour": _contour(found, goals[0]),
            "front": _front(found, goals),
        }
        charts |= {f"{method}-{kind}": one for kind, one in drawn.items() if one is not None}
    return charts


def _budget(tuning: Tuning) -> Any:
    """Return the expected best value of all methods against the number of trials drawn."""
    goal = tuning.settings.objectives[0]
    curves = {method: budget_curve(found, goal) for method, found in tuning.methods.items()}
    names = {method: Entry(method, "").label for method in curves}
    rows = [
        {"method": names[method], "trials": k, "value": one.mean}
        | {"low": one.mean - one.std, "high": one.mean + one.std}
        for method, curve in curves.items()
        if curve is not None
        for k, one in enumerate(curve.points, start=1)
    ]
    if not rows:
        return None
    defaults = [
        {"method": names[method], "value": curve.default}
        for method, curve in curves.items()
        if curve is not None and curve.default is not None
    ]
    scale = alt.Scale(domain=[*names.values()], range=method_colours([*names]))
    colour = alt.Color("method:N", title=None, scale=scale, legend=alt.Legend(symbolOpacity=1))
    value = alt.Y("value:Q", title=TITLES[goal], scale=alt.Scale(zero=False))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("trials:Q", title="trials drawn", axis=alt.Axis(tickMinStep=1, format="d")),
        color=colour,
    )
    low = alt.Y("low:Q", title=TITLES[goal], scale=alt.Scale(zero=False))
    band = base.mark_area(opacity=0.15).encode(y=low, y2="high:Q")
    line = base.mark_line().encode(
        y=value, tooltip=["method:N", "trials:Q", "value:Q", "low:Q", "high:Q"]
    )
    usual = (
        alt.Chart(alt.InlineData(values=defaults))
        .mark_rule(strokeDash=[4, 3])
        .encode(y=value, color=colour, tooltip=["method:N", "value:Q"])
    )
    return (band + usual + line).properties(width=2 * WIDTH, height=HEIGHT)


def method_colours(methods: Sequence[str]) -> list[str]:
    """Return a colour for each method: its family's, or another one's if that is taken."""
    families = {method: Entry(method, "").family for method in methods}
    palette = {name: colours[0] for name, colours in FAMILIES.items()}
    found: dict[str, str] = {}
    for method, family in families.items():
        if family in palette and palette[family] not in found.values():
            found[method] = palette[family]
    others = [colour for name, colour in palette.items() if name != "reference"]
    left = [c for c in [*others, *(c[0] for c in OTHERS)] if c not in found.values()]
    for place, method in enumerate(one for one in methods if one not in found):
        found[method] = left[place % len(left)] if left else GREY
    return [found[method] for method in methods]


def _complete(found: MethodResult) -> list[Candidate]:
    return [trial for trial in found.trials if trial.state == "complete"]


def _ranked(found: MethodResult) -> list[Dimension]:
    """Return up to `MAX_DIMENSIONS` dimensions, the most important first."""
    order = {name: place for place, name in enumerate(found.importance)}
    ranked = sorted(found.space, key=lambda d: order.get(d.name, len(order)))
    return ranked[:MAX_DIMENSIONS]


def _history(found: MethodResult, goal: str) -> Any:
    complete = _complete(found)
    if not complete:
        return None
    better = max if MAXIMISED[goal] else min
    best = complete[0].values[0]
    rows = []
    for trial in complete:
        best = better(best, trial.values[0])
        kind = "default" if trial.number == 0 else "trial"
        kind = "winner" if trial.number == found.winner else kind
        rows.append({"number": trial.number, "value": trial.values[0], "best": best, "kind": kind})
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "number:Q",
            title="trial",
            axis=alt.Axis(tickMinStep=1, format="d"),
            scale=alt.Scale(nice=False, padding=MARGIN),
        )
    )
    value = alt.Y("value:Q", title=TITLES[goal], scale=_spread())
    colours = alt.Scale(domain=["default", "trial", "winner"], range=[GREY, BLUE, ORANGE])
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=value,
        color=alt.Color("kind:N", title=None, scale=colours),
        tooltip=["number:Q", "value:Q", "kind:N"],
    )
    line = base.mark_line(interpolate="step-after", color=GREY).encode(y="best:Q")
    return (line + points).properties(width=WIDTH, height=HEIGHT)


def _importance(found: MethodResult) -> Any:
    if not found.importance:
        return None
    rows = [{"dimension": name, "share": share} for name, share in found.importance.items()]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("share:Q", title="fraction of the variance", axis=alt.Axis(format="%")),
            y=alt.Y("dimension:N", title=None, sort="-x"),
            tooltip=["dimension:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH)
    )


def _slice(found: MethodResult, goal: str) -> Any:
    complete = _complete(found)
    panels = []
    for dimension in _ranked(found):
        rows = [
            {"x": trial.parameters[dimension.name], "value": trial.values[0], "n": trial.number}
            for trial in complete
            if dimension.name in trial.parameters
        ]
        if len({row["x"] for row in rows}) > 1:
            panels.append(
                alt.Chart(alt.InlineData(values=rows))
                .mark_point(filled=True, size=45, opacity=1)
                .encode(
                    x=_axis(dimension),
                    y=alt.Y("value:Q", title=TITLES[goal], scale=_spread()),
                    color=alt.Color("n:Q", title="trial", scale=alt.Scale(range=EARLY_TO_LATE)),
                    tooltip=["n:Q", "x:N", "value:Q"],
                )
                .properties(width=PANEL_SIZE, height=PANEL_SIZE)
            )
    return alt.concat(*panels, columns=4) if panels else None


def _spread() -> alt.Scale:
    """Return the scale of values that need not begin at 0."""
    return alt.Scale(zero=False, padding=MARGIN)


def _axis(dimension: Dimension, channel: type[Any] = alt.X, field: str = "x") -> Any:
    if dimension.choices:
        return channel(f"{field}:N", title=dimension.name)
    kind = {"type": "log"} if dimension.log else {"zero": False}
    scale = alt.Scale(nice=False, padding=MARGIN, **kind)
    return channel(f"{field}:Q", title=dimension.name, scale=scale)


def _parallel(found: MethodResult, goal: str) -> Any:
    """Return parallel coordinates: each dimension from lowest to highest, or by choice."""
    dimensions, complete = _ranked(found), _complete(found)
    rows = [
        {
            "dimension": dimension.name,
            "place": _place(dimension, trial.parameters[dimension.name]),
            "chosen": str(trial.parameters[dimension.name]),
            "value": trial.values[0],
            "number": trial.number,
        }
        for trial in complete
        for dimension in dimensions
        if dimension.name in trial.parameters
    ]
    if len(complete) < 2 or len(dimensions) < 2:
        return None
    names = [dimension.name for dimension in dimensions]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True, opacity=0.9)
        .encode(
            x=alt.X("dimension:N", title=None, sort=names, axis=alt.Axis(labelAngle=-35)),
            y=alt.Y("place:Q", title="low to high", axis=alt.Axis(labels=False, ticks=False)),
            color=VALUES.copy().title(TITLES[goal]),
            detail="number:N",
            tooltip=["number:Q", "dimension:N", "chosen:N", "value:Q"],
        )
        .properties(width=2 * WIDTH, height=HEIGHT)
    )


def _place(dimension: Dimension, value: Any) -> float:
    """Return the position of a value in its dimension, from 0 to 1."""
    if dimension.choices:
        return dimension.choices.index(value) / max(1, len(dimension.choices) - 1)
    assert dimension.low is not None
    assert dimension.high is not None
    scale = math.log if dimension.log else float
    low, high = scale(dimension.low), scale(dimension.high)
    return (scale(value) - low) / (high - low)


def _contour(found: MethodResult, goal: str) -> Any:
    """Return the trials over the two most important numeric dimensions, coloured by value.

    No surface is interpolated: there are too few points for the number of dimensions.
    """
    numbers = [dimension for dimension in _ranked(found) if not dimension.choices]
    for second in range(1, len(numbers)):
        first = numbers[second - 1]
        rows = [
            {
                "x": trial.parameters[first.name],
                "y": trial.parameters[numbers[second].name],
                "value": trial.values[0],
                "number": trial.number,
            }
            for trial in _complete(found)
            if {first.name, numbers[second].name} <= trial.parameters.keys()
        ]
        if len(rows) > 2:
            return (
                alt.Chart(alt.InlineData(values=rows))
                .mark_circle(size=110, opacity=1)
                .encode(
                    x=_axis(first),
                    y=_axis(numbers[second], alt.Y, "y"),
                    color=VALUES.copy().title(TITLES[goal]),
                    tooltip=["number:Q", "x:Q", "y:Q", "value:Q"],
                )
                .properties(width=WIDTH, height=HEIGHT)
            )
    return None


def _front(found: MethodResult, goals: tuple[str, ...]) -> Any:
    complete = _complete(found)
    if len(goals) < 2 or not complete:
        return None
    rows = [
        {
            "x": trial.values[1],
            "y": trial.values[0],
            "number": trial.number,
            "front": "on the front" if trial.number in found.front else "dominated",
        }
        for trial in complete
    ]
    colours = alt.Scale(domain=["on the front", "dominated"], range=[ORANGE, GREY])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("x:Q", title=TITLES[goals[1]], scale=_spread()),
        y=alt.Y("y:Q", title=TITLES[goals[0]], scale=_spread()),
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        color=alt.Color("front:N", title=None, scale=colours),
        tooltip=["number:Q", "x:Q", "y:Q"],
    )
    line = base.transform_filter("datum.front == 'on the front'").mark_line(
        color=ORANGE, interpolate="step-after"
    )
    return (line + points).properties(width=WIDTH, height=HEIGHT)
