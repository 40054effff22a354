"""Charts of an ablation: differences to controls and base, main effects, heat map, interactions.

Values are of what the task ranks by: accuracies in per cent and their differences in points, others
in their own unit. Bars are 95 % intervals over seeds. A chart holds its rows.
"""

from collections.abc import Iterable
from typing import Any

import altair as alt

from leaderboard.ablation_effects import SHUFFLE, DesignEffects
from leaderboard.ablation_tables import control_label, has_control_cells
from leaderboard.board_columns import Column
from leaderboard.charts.board_charts import ChartText
from leaderboard.charts.panels import ROWS, shown_if
from leaderboard.charts.theme import FAMILIES
from leaderboard.score_text import heading
from leaderboard.statistics.intervals import Interval

Row = dict[str, Any]

LEVELS = [
    FAMILIES[family][0]
    for family in (
        "sparse to sparse",
        "resonance",
        "dense to sparse",
        "iterative",
        "before training",
        "after training",
        "reference",
    )
]
"""Colours of levels, apart from one another as those of families are."""
COLOUR = LEVELS[0]
DIVERGING = ["#b34100", "#f4f1ec", "#2f5590"]
"""Colours of differences: below 0, 0, above 0."""
STRONG = 0.6
"""From this fraction of the largest difference on, words on its colour are white."""

ABLATION_CHART_TEXTS = {
    "controls": ChartText(
        "Difference from the shuffled control",
        "The score of a cell minus that of the same cell with shuffled signals, paired on seeds, "
        "with 95 % intervals (not corrected for their number), which end where a difference of "
        "possible values does.",
    ),
    "differences": ChartText(
        "Difference from the base",
        "The score at a level minus the score at the base's, paired on seeds, with 95 % "
        "intervals (not corrected for their number), which end where a difference of possible "
        "values does.",
    ),
    "main_effects": ChartText(
        "Main effects",
        "Mean score at each level, averaged over the levels of other factors that were varied "
        "together; 95 % intervals over seeds, which end where possible values do. "
        "The ring marks the base.",
    ),
    "heat": ChartText(
        "Two factors at once",
        "Mean score of each combination, coloured by its difference from that of the base, which "
        "has a box: blue is above it, orange below, and the strongest colour is the largest "
        "difference.",
    ),
    "interaction": ChartText(
        "Interaction",
        "Mean score over the levels of one factor, a line for each level of the other: parallel "
        "lines mean no interaction. The axis is as long as the means need; 95 % intervals end at "
        "its ends.",
    ),
    "interaction_effects": ChartText(
        "Size of interactions",
        "Difference of differences: how much more two levels change the score together than one "
        "after the other, with 95 % intervals over seeds (not corrected for their number). The "
        "axis is as long as the effects need, the same to both sides of 0; intervals end at its "
        "ends.",
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
        "interaction_effects": _interaction_effects,
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
        "interaction_effects": _interaction_rows(one),
    }


def _interval(metric: Column, found: Interval, ends: tuple[float, float]) -> Row:
    """Return mean, low and high within `ends`; without an interval all three are equal.

    Fractions are in per cent.
    """
    low, high = (found.mean if x is None else x for x in (found.low, found.high))
    factor = 100 if metric.unit == "percent" else 1
    low, high = (min(max(x, ends[0]), ends[1]) for x in (low, high))
    return {"mean": factor * found.mean, "low": factor * low, "high": factor * high, "n": found.n}


def _differences_of(metric: Column, steps: int = 1) -> tuple[float, float]:
    """Return the least and the greatest difference of values, or of `steps` differences."""
    least, most = metric.possible
    return (-steps * (most - least), steps * (most - least))


def _difference_title(metric: Column) -> str:
    return "difference in points" if metric.unit == "percent" else f"difference in {metric.title}"


def _difference_rows(one: DesignEffects) -> list[Row]:
    rows, ends = [], _differences_of(one.metric)
    for order, x in enumerate(one.levels):
        if x.against_base is not None and x.against_base.comparison.difference is not None:
            rows.append(
                {
                    "factor": x.factor,
                    "level": f"{x.factor}={x.level}",
                    "order": order,
                    **_interval(one.metric, x.against_base.comparison.difference, ends),
                    "verdict": x.against_base.verdict,
                }
            )
    return rows


def _control_rows(one: DesignEffects) -> list[Row]:
    """Return the cells of a grid that have a control, as the table of controls does."""
    if not has_control_cells(one):
        return []
    ends = _differences_of(one.metric)
    return [
        {
            "factor": SHUFFLE,
            "level": control_label(one, x),
            "order": order,
            **_interval(one.metric, x.effect.comparison.difference, ends),
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
            **_interval(one.metric, x.mean, one.metric.possible),
        }
        for order, x in enumerate(one.levels)
        if x.mean is not None and len(one.factors[x.factor]) > 2
    ]


def _pair_rows(one: DesignEffects) -> list[Row]:
    """Return the combinations of two factors, with the difference from the base's."""
    found = [(x, x.mean) for x in one.pairs if x.mean is not None]
    base = {
        (x.first[0], x.second[0]): mean.mean
        for x, mean in found
        if _is_base(one, x.first) and _is_base(one, x.second)
    }
    rows = [
        {
            "pair": f"{x.first[0]} × {x.second[0]}",
            "first": f"{x.first[0]}={x.first[1]}",
            "second": f"{x.second[0]}={x.second[1]}",
            "first_order": one.factors[x.first[0]].index(x.first[1]),
            "second_order": one.factors[x.second[0]].index(x.second[1]),
            "base": _is_base(one, x.first) and _is_base(one, x.second),
            **_interval(one.metric, mean, one.metric.possible),
        }
        for x, mean in found
    ]
    factor = 100 if one.metric.unit == "percent" else 1
    for row, (x, mean) in zip(rows, found, strict=True):
        row["change"] = factor * (mean.mean - base.get((x.first[0], x.second[0]), mean.mean))
    largest = max((abs(row["change"]) for row in rows), default=0.0)
    return [row | {"strong": abs(row["change"]) > STRONG * largest} for row in rows]


def _is_base(one: DesignEffects, place: tuple[str, str]) -> bool:
    return one.base[place[0]] == place[1]


def _interaction_rows(one: DesignEffects) -> list[Row]:
    ends = _differences_of(one.metric, 2)
    return [
        {
            "levels": f"{x.first[0]}={x.first[1]} × {x.second[0]}={x.second[1]}",
            "order": order,
            **_interval(one.metric, x.effect.comparison.difference, ends),
            "verdict": x.effect.verdict,
        }
        for order, x in enumerate(one.interactions)
        if x.effect.comparison.difference is not None
    ]


def _tips(metric: Column, *fields: str) -> list[alt.Tooltip]:
    percent = metric.unit == "percent"
    return [
        alt.Tooltip(f"{field}:Q", format=".2f" if percent else ".4~r")
        if field in ("mean", "change", "low", "high")
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
        shared.mark_line(color=COLOUR, strokeWidth=1.6, invalid=None).encode(y=y),
        shared.mark_rule(style="interval", color=COLOUR, invalid=None).encode(
            y="low:Q", y2="high:Q"
        ),
        shared.mark_point(filled=True, size=50, opacity=1, color=COLOUR, invalid=None).encode(
            y=y, tooltip=_tips(metric, "factor", "level", "mean", "low", "high", "n")
        ),
        shared.mark_point(size=170, color=COLOUR, invalid=None).encode(
            y=y, opacity=shown_if("datum.base")
        ),
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
        "change:Q",
        scale=_diverging(row["change"] for row in rows),
        legend=alt.Legend(title=_difference_title(metric), orient="bottom", gradientLength=220),
    )
    layers = alt.layer(
        shared.mark_rect(invalid=None).encode(
            color=colour,
            tooltip=_tips(metric, "first", "second", "mean", "change", "low", "high", "n"),
        ),
        # Without filters: Vega warns where layers of a panel have different rows.
        shared.mark_rect(filled=False, stroke="#1c1c1c", strokeWidth=2.5, invalid=None).encode(
            opacity=shown_if("datum.base")
        ),
        shared.mark_text(invalid=None).encode(
            text=alt.Text("mean:Q", format=_cell_format(metric)),
            color=alt.condition("datum.strong", alt.value("#ffffff"), alt.value("#1c1c1c")),
        ),
        data=_data(),
    )
    levels = max(row["first_order"] for row in rows) + 1
    return _by_pair(layers.properties(width=300, height=34 * levels), rows, columns=2)


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
        shared.mark_line(strokeWidth=1.6, invalid=None).encode(y=y),
        shared.mark_rule(opacity=0.5, invalid=None).encode(y="lower:Q", y2="upper:Q"),
        shared.mark_point(filled=True, size=46, opacity=1, invalid=None).encode(
            y=y, tooltip=_tips(metric, "first", "second", "mean", "low", "high", "n")
        ),
        data=_data(),
    )
    clipped = (
        layers.transform_joinaggregate(lowest="min(mean)", highest="max(mean)", groupby=["pair"])
        .transform_calculate(spare="(datum.highest - datum.lowest) / 2 || abs(datum.highest) / 10")
        .transform_calculate(
            lower="max(datum.low, datum.lowest - datum.spare)",
            upper="min(datum.high, datum.highest + datum.spare)",
        )
    )
    return _by_pair(clipped.properties(width=340, height=220), rows, columns=2)


def _interaction_effects(rows: list[Row], metric: Column) -> Any:
    """Return an axis with 0 in its middle, as long as the largest effect needs."""
    reach = 1.5 * _largest(row["mean"] for row in rows)
    y = alt.Y("levels:N", sort=alt.SortField("order"), title=None, axis=alt.Axis(labelLimit=340))
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    colour = alt.Color("mean:Q", scale=_diverging(row["mean"] for row in rows), legend=None)
    shared = alt.Chart().encode(y=y)
    return (
        alt.layer(
            alt.Chart().mark_rule(style="reference").encode(x=alt.datum(0)),
            shared.mark_rule(style="interval", color=LEVELS[-1]).encode(
                x=alt.X("lower:Q", title=_difference_title(metric), scale=scale), x2="upper:Q"
            ),
            shared.mark_point(filled=True, size=110, stroke=LEVELS[-1], opacity=1).encode(
                x=alt.X("mean:Q", scale=scale),
                color=colour,
                tooltip=_tips(metric, "levels", "mean", "low", "high", "n", "verdict"),
            ),
            data=_data(),
        )
        .transform_calculate(
            lower=f"max(datum.low, {-reach!r})", upper=f"min(datum.high, {reach!r})"
        )
        .properties(width=420, height=alt.Step(24))
    )


def _largest(values: Iterable[float]) -> float:
    """Return the largest size of values; 1 if all are 0."""
    return max(map(abs, values), default=0.0) or 1.0


def _diverging(values: Iterable[float]) -> alt.Scale:
    """Return a scale of colours with 0 in its middle, as long as the largest value needs."""
    reach = _largest(values)
    return alt.Scale(domain=[-reach, 0, reach], range=DIVERGING, interpolate="rgb")


def _by_pair(layers: Any, rows: list[Row], columns: int = 1) -> Any:
    """Draw a panel for each pair of factors, without a heading if there is only one."""
    pairs = _in_order(rows, "pair")
    if len(pairs) == 1:
        return layers
    facet = alt.Facet("pair:N", title=None, sort=pairs)
    return layers.facet(facet=facet, columns=columns).resolve_scale(
        x="independent", y="independent", xOffset="independent"
    )


def _in_order(rows: list[Row], field: str) -> list[str]:
    return list(dict.fromkeys(row[field] for row in rows))
