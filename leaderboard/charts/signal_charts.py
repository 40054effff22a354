"""Charts of what gradient signals say: reliability by k, relations, pruning at once."""

import statistics
from typing import Any

import altair as alt

from leaderboard.charts.ablation_charts import LEVELS
from leaderboard.charts.board_charts import ChartText
from leaderboard.charts.panels import ROWS
from leaderboard.signal_figures import SignalGroup
from suite.results.signal_measures import (
    AVERAGED,
    KEPT,
    READINGS,
    RELATED,
    pruned,
    spearman_brown,
)

Row = dict[str, Any]

SIGNAL_CHART_TEXTS = {
    "reliability": ChartText(
        "Test–retest reliability of each reading",
        "Rank correlation of two means over k windows each, over the connections of a layer; "
        "dashed, what Spearman and Brown's formula expects of one window's.",
    ),
    "relations": ChartText(
        "What the averaged readings are related to",
        "Rank correlation of each reading, averaged over training, with |w|, with the saliency "
        "F·w², and with it at equal |w|; a point for each layer.",
    ),
    "pruning": ChartText(
        "Half of every layer pruned at once",
        "Test accuracy that is left, by what connections are ranked by and which half is kept.",
    ),
}


def signal_charts(group: SignalGroup) -> dict[str, Any]:
    """Return the charts of a group that there are rows for, by name, with their rows."""
    made = {"reliability": _reliability, "relations": _relations, "pruning": _pruning}
    rows = {
        "reliability": reliability_rows(group),
        "relations": relation_rows(group),
        "pruning": pruning_rows(group),
    }
    return {
        name: made[name](group)
        .properties(
            datasets={ROWS: found},
            title=f"{SIGNAL_CHART_TEXTS[name].title}: {group.title}",
            description=SIGNAL_CHART_TEXTS[name].text,
        )
        .to_dict()
        for name, found in rows.items()
        if found
    }


def reliability_rows(group: SignalGroup) -> list[Row]:
    """Return a row for each layer, reading and k that was measured."""
    rows = []
    for layer in group.layers:
        for reading, title in READINGS.items():
            once = group.reliability(layer, reading, 1)
            for k in AVERAGED:
                value = group.reliability(layer, reading, k)
                if value is not None and once is not None:
                    expected = spearman_brown(once, k)
                    row = {"layer": layer, "reading": title, "k": k, "expected": expected}
                    rows.append(row | {"reliability": value})
    return rows


def relation_rows(group: SignalGroup) -> list[Row]:
    """Return a row for each layer, reading and what it is related to."""
    return [
        {"layer": layer, "reading": title, "with": with_, "correlation": value}
        for layer in group.layers
        for reading, title in READINGS.items()
        for to, with_ in RELATED.items()
        if (value := group.related(layer, reading, to)) is not None
    ]


def pruning_rows(group: SignalGroup) -> list[Row]:
    """Return a row for each ranking and half that is kept."""
    given = [(title, reading, keep) for reading, title in READINGS.items() for keep in KEPT]
    given += [("|w|", "magnitude", ""), ("at random", "random", "")]
    rows = []
    for title, ranking, keep in given:
        if values := group.accuracy(pruned(ranking, keep)):
            kept = KEPT.get(keep, "a random half" if ranking == "random" else KEPT["high"])
            mean = statistics.fmean(values)
            rows.append({"ranking": title, "kept": kept, "accuracy": mean, "n": len(values)})
    return rows


def _layers(group: SignalGroup) -> alt.Color:
    scale = alt.Scale(
        domain=list(group.layers),
        range=[LEVELS[i % len(LEVELS)] for i in range(len(group.layers))],
    )
    legend = alt.Legend(title="layer", orient="bottom", symbolOpacity=1)
    return alt.Color("layer:N", scale=scale, legend=legend)


def _reliability(group: SignalGroup) -> Any:
    ks = [k for k in AVERAGED if k <= group.largest_k()]
    x = alt.X(
        "k:Q",
        title="windows averaged, k",
        scale=alt.Scale(type="log", base=2),
        axis=alt.Axis(values=ks, format="d"),
    )
    shared = alt.Chart().encode(x=x, color=_layers(group))
    layers = alt.layer(
        shared.mark_line(strokeDash=[4, 3], strokeWidth=1.2, opacity=0.7).encode(y="expected:Q"),
        shared.mark_line(point=alt.OverlayMarkDef(size=26, opacity=1), strokeWidth=1.8).encode(
            y=alt.Y("reliability:Q", title="reliability", scale=alt.Scale(domainMax=1)),
            tooltip=[
                alt.Tooltip("reading:N"),
                alt.Tooltip("layer:N"),
                alt.Tooltip("k:Q"),
                alt.Tooltip("reliability:Q", format=".3f"),
                alt.Tooltip("expected:Q", format=".3f", title="Spearman–Brown"),
            ],
        ),
        data=alt.NamedData(ROWS),
    ).properties(width=180, height=130)
    return layers.facet(
        facet=alt.Facet("reading:N", title=None, sort=list(READINGS.values())), columns=4
    )


def _relations(group: SignalGroup) -> Any:
    layers = alt.layer(
        alt.Chart().mark_rule(style="reference").encode(x=alt.datum(0)),
        alt.Chart()
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            x=alt.X("correlation:Q", title="rank correlation", scale=alt.Scale(domain=[-1, 1])),
            y=alt.Y(
                "reading:N",
                title=None,
                sort=list(READINGS.values()),
                axis=alt.Axis(labelLimit=260),
            ),
            color=_layers(group),
            tooltip=[
                alt.Tooltip("reading:N"),
                alt.Tooltip("layer:N"),
                alt.Tooltip("with:N"),
                alt.Tooltip("correlation:Q", format=".3f"),
            ],
        ),
        data=alt.NamedData(ROWS),
    ).properties(width=210, height=alt.Step(22))
    return layers.facet(
        facet=alt.Facet("with:N", title=None, sort=list(RELATED.values())), columns=3
    )


def _pruning(group: SignalGroup) -> Any:
    whole = statistics.fmean(record.score for record in group.records)
    kept = [*KEPT.values(), "a random half"]
    order = [*READINGS.values(), "|w|", "at random"]
    colour = alt.Color(
        "kept:N",
        scale=alt.Scale(domain=kept, range=[LEVELS[1], LEVELS[0], LEVELS[6]]),
        legend=alt.Legend(title="kept", orient="bottom", symbolOpacity=1),
    )
    return alt.layer(
        alt.Chart().mark_rule(style="reference").encode(x=alt.datum(whole)),
        alt.Chart()
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            x=alt.X(
                "accuracy:Q",
                title=["test accuracy", "(dashed: nothing is pruned)"],  # two lines: phones
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("ranking:N", title=None, sort=order, axis=alt.Axis(labelLimit=260)),
            color=colour,
            tooltip=[
                alt.Tooltip("ranking:N"),
                alt.Tooltip("kept:N"),
                alt.Tooltip("accuracy:Q", format=".1%"),
                alt.Tooltip("n:Q", title="seeds"),
            ],
        ),
        data=alt.NamedData(ROWS),
    ).properties(width=420, height=alt.Step(22))
