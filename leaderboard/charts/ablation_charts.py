"""Charts of an ablation: differences to controls and base, main effects, heat map, interaction.

Values are of what the task ranks by: accuracies in per cent and their differences in points, others
in their own unit. Bars are 95 % intervals over seeds. A chart holds its rows.
"""

from typing import Any

import altair as alt

from leaderboard.ablation_effects import SHUFFLE, DesignEffects
from leaderboard.ablation_tables import control_label, has_control_cells
from leaderboard.board_columns import Column
from leaderboard.charts.board_charts import ChartText
from leaderboard.charts.panels import ROWS
from leaderboard.score_text import heading
from leaderboard.statistics.intervals import Interval

Row = dict[str, Any]

COLOUR = "#2a7fc4"
HEAT = ["#f3efe3", "#9fc6dd", "#3f87b8", "#0b3a63"]
LEVELS = ["#2a7fc4", "#d55e00", "#0a9170", "#b07c00", "#b8629b", "#6a6ad0", "#7d7d7d"]

ABLATION_CHART_TEXTS = {
    "controls": ChartText(
        "Difference from the shuffled control",
        "The score of a cell minus that of the same cell with shuffled signals, paired on seeds, "
        "with 95 % intervals (not corrected for their number).",
    ),
    "differences": ChartText(
        "Difference from the base",
        "The score at a level minus the score at the base's, paired on seeds, with 95 % "
        "intervals (not corrected for their number).",
    ),
    "main_effects": ChartText(
        "Main effects",
        "Mean score at each level, averaged over the levels of other factors that were varied "
        "together; 95 % intervals over seeds. The ring marks the base.",
    ),
    "heat": ChartText(
        "Two factors at once", "Mean score of each combination. The box marks the base."
    ),
    "interaction": ChartText(
        "Interaction",
        "Mean score over the levels of one factor, a line for each level of the other: parallel "
        "lines mean no interaction.",
    ),
}


def charts(one: DesignEffects) -> dict[str, Any]:
    """Return the charts that a design has rows for, by name."""
    made = {
        "controls": _differences,
        "differences": _differences,
        "main_effects": _main_effects,
        "heat": _heat,
        "interaction": _interaction,
    }
    found = {}
    for name, rows in chart_rows(one).items():
        if rows:
            found[name] = made[name](rows, one.metric).properties(
                datasets={ROWS: rows},
                title=ABLATION_CHART_TEXTS[name].title,
                description=ABLATION_CHART_TEXTS[name].text,
            )
    return found


def chart_rows(one: DesignEffects) -> dict[str, list[Row]]:
    """Return chart → rows, of trials that have run."""
    pairs = _pair_rows(one)
    return {
        "controls": _control_rows(one),
        "differences": _difference_rows(one),
        "main_effects": _level_rows(one),
        "heat": pairs,
        "interaction": pairs,
    }


def _interval(metric: Column, found: Interval, lowest: float) -> Row:
    """Return mean, low and high; without an interval all three are equal.

    Fractions are in per cent, and their interval ends at `lowest` and at 1.
    """
    low, high = (found.mean if x is None else x for x in (found.low, found.high))
    factor = 1
    if metric.unit == "percent":
        factor, low, high = 100, max(low, lowest), min(high, 1)
    return {"mean": factor * found.mean, "low": factor * low, "high": factor * high, "n": found.n}


def _difference_title(metric: Column) -> str:
    return "difference in points" if metric.unit == "percent" else f"difference in {metric.title}"


def _difference_rows(one: DesignEffects) -> list[Row]:
    rows = []
    for order, x in enumerate(one.levels):
        if x.against_base is not None and x.against_base.comparison.difference is not None:
            rows.append(
                {
                    "factor": x.factor,
                    "level": f"{x.factor}={x.level}",
                    "order": order,
                    **_interval(one.metric, x.against_base.comparison.difference, -1),
                    "verdict": x.against_base.verdict,
                }
            )
    return rows


def _control_rows(one: DesignEffects) -> list[Row]:
    """Return the cells of a grid that have a control, as the table of controls does."""
    if not has_control_cells(one):
        return []
    return [
        {
            "factor": SHUFFLE,
            "level": control_label(one, x),
            "order": order,
            **_interval(one.metric, x.effect.comparison.difference, -1),
            "verdict": x.effect.verdict,
        }
        for order, x in enumerate(one.controls)
        if x.effect.comparison.difference is not None
    ]


def _level_rows(one: DesignEffects) -> list[Row]:
    """Return the levels of factors that have at least two besides the base."""
    return [
        {
            "factor": x.factor,
            "level": x.level,
            "order": order,
            "base": x.against_base is None,
            **_interval(one.metric, x.mean, 0),
        }
        for order, x in enumerate(one.levels)
        if x.mean is not None and len(one.factors[x.factor]) > 2
    ]


def _pair_rows(one: DesignEffects) -> list[Row]:
    found = [(x, x.mean) for x in one.pairs if x.mean is not None]
    means = [mean.mean for _, mean in found]
    midpoint = (min(means) + max(means)) / 2 if means else 0.0
    return [
        {
            "pair": f"{x.first[0]} × {x.second[0]}",
            "first": f"{x.first[0]}={x.first[1]}",
            "second": f"{x.second[0]}={x.second[1]}",
            "first_order": one.factors[x.first[0]].index(x.first[1]),
            "second_order": one.factors[x.second[0]].index(x.second[1]),
            "base": one.base[x.first[0]] == x.first[1] and one.base[x.second[0]] == x.second[1],
            "high_half": mean.mean > midpoint,
            **_interval(one.metric, mean, 0),
        }
        for x, mean in found
    ]


def _tips(metric: Column, *fields: str) -> list[alt.Tooltip]:
    percent = metric.unit == "percent"
    return [
        alt.Tooltip(f"{field}:Q", format=".2f" if percent else ".4~r")
        if field in ("mean", "low", "high")
        else alt.Tooltip(f"{field}:N")
        for field in fields
    ]


def _cell_format(metric: Column) -> str:
    return ".1f" if metric.unit == "percent" else ".3~r"


def _data() -> alt.NamedData:
    return alt.NamedData(ROWS)


def _differences(rows: list[Row], metric: Column) -> Any:
    y = alt.Y("level:N", sort=alt.SortField("order"), title=None, axis=alt.Axis(labelLimit=340))
    shared = alt.Chart().encode(y=y)
    return alt.layer(
        alt.Chart().mark_rule(style="reference").encode(x=alt.datum(0)),
        shared.mark_rule(style="interval", color=COLOUR).encode(
            x=alt.X("low:Q", title=_difference_title(metric)), x2="high:Q"
        ),
        shared.mark_point(filled=True, size=60, opacity=1, color=COLOUR).encode(
            x="mean:Q", tooltip=_tips(metric, "level", "mean", "low", "high", "n", "verdict")
        ),
        data=_data(),
    ).properties(width=420, height=alt.Step(24))


def _main_effects(rows: list[Row], metric: Column) -> Any:
    x = alt.X("level:N", sort=alt.SortField("order"), title=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("mean:Q", title=heading(metric), scale=alt.Scale(zero=False))
    shared = alt.Chart().encode(x=x)
    layers = alt.layer(
        shared.mark_line(color=COLOUR, strokeWidth=1.6).encode(y=y),
        shared.mark_rule(style="interval", color=COLOUR).encode(y="low:Q", y2="high:Q"),
        shared.mark_point(filled=True, size=50, opacity=1, color=COLOUR).encode(
            y=y, tooltip=_tips(metric, "factor", "level", "mean", "low", "high", "n")
        ),
        shared.transform_filter("datum.base")
        .mark_point(size=170, opacity=1, color=COLOUR)
        .encode(y=y),
        data=_data(),
    )
    return (
        layers.properties(width=260, height=220)
        .facet(facet=alt.Facet("factor:N", title=None, sort=_in_order(rows, "factor")), columns=2)
        .resolve_scale(x="independent")
    )


def _heat(rows: list[Row], metric: Column) -> Any:
    x = alt.X(
        "second:N", sort=alt.SortField("second_order"), title=None, axis=alt.Axis(labelAngle=0)
    )
    y = alt.Y("first:N", sort=alt.SortField("first_order"), title=None)
    shared = alt.Chart().encode(x=x, y=y)
    colour = alt.Color(
        "mean:Q",
        title=heading(metric),
        scale=alt.Scale(range=HEAT, zero=False),
        legend=alt.Legend(title=heading(metric), orient="bottom", gradientLength=220),
    )
    layers = alt.layer(
        shared.mark_rect().encode(
            color=colour, tooltip=_tips(metric, "first", "second", "mean", "low", "high", "n")
        ),
        shared.transform_filter("datum.base").mark_rect(
            filled=False, stroke="#d55e00", strokeWidth=3
        ),
        shared.transform_filter("datum.high_half")
        .mark_text(color="white")
        .encode(text=alt.Text("mean:Q", format=_cell_format(metric))),
        shared.transform_filter("!datum.high_half")
        .mark_text(color="#1c1c1c")
        .encode(text=alt.Text("mean:Q", format=_cell_format(metric))),
        data=_data(),
    )
    return _by_pair(layers.properties(width=alt.Step(110), height=alt.Step(36)), rows)


def _interaction(rows: list[Row], metric: Column) -> Any:
    x = alt.X("first:N", sort=alt.SortField("first_order"), title=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("mean:Q", title=heading(metric), scale=alt.Scale(zero=False))
    seconds = _in_order(sorted(rows, key=lambda row: row["second_order"]), "second")
    colour = alt.Color(
        "second:N",
        sort=seconds,
        legend=alt.Legend(symbolOpacity=1, orient="bottom"),
        scale=alt.Scale(
            domain=seconds, range=[LEVELS[i % len(LEVELS)] for i in range(len(seconds))]
        ),
    )
    own = alt.XOffset("second:N", sort=alt.SortField("second_order"))  # the levels of the panel
    shared = alt.Chart().encode(x=x, color=colour, xOffset=own)
    layers = alt.layer(
        shared.mark_line(strokeWidth=1.6).encode(y=y),
        shared.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q"),
        shared.mark_point(filled=True, size=46, opacity=1).encode(
            y=y, tooltip=_tips(metric, "first", "second", "mean", "low", "high", "n")
        ),
        data=_data(),
    )
    return _by_pair(layers.properties(width=440, height=260), rows)


def _by_pair(layers: Any, rows: list[Row]) -> Any:
    """Draw a panel for each pair of factors, without a heading if there is only one."""
    pairs = _in_order(rows, "pair")
    if len(pairs) == 1:
        return layers
    facet = alt.Facet("pair:N", title=None, sort=pairs)
    return layers.facet(facet=facet, columns=1).resolve_scale(
        x="independent", y="independent", xOffset="independent"
    )


def _in_order(rows: list[Row], field: str) -> list[str]:
    return list(dict.fromkeys(row[field] for row in rows))
