"""Charts of a trial, from its curves: declared once, drawn in a page and as pictures."""

from typing import Any

import altair as alt
import polars as pl

WIDTH, HEIGHT = 340, 170
BLUE, ORANGE, GREY = "#2a6fb5", "#d9772b", "#8a8a8a"


def trial_charts(curves: pl.DataFrame, steps: int) -> dict[str, alt.TopLevelMixin]:
    """Return the charts that a trial's curves allow, by name; `steps` is the length of a round.

    `curves` has the columns round, step, series, layer, index, value.
    """
    alt.data_transformers.disable_max_rows()
    charts = {
        "learning": _learning(curves),
        "sparsity": _sparsity(curves),
        "threshold": _lines(curves, ("amplitude", "threshold"), "amplitude A and threshold T"),
        "churn": _lines(curves, ("dropped", "grown"), "weights dropped and grown"),
        "frequency": _heat(curves, "frequency", "resonance frequency ν", 1.0),
        "age": _heat(curves, "age", "age of active connections (steps)", float(steps)),
        "spectra": _spectra(curves),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's Vega-Lite specification."""
    return chart.to_dict()


def picture(chart: alt.TopLevelMixin) -> bytes:
    """Return a chart as PNG."""
    import vl_convert

    return vl_convert.vegalite_to_png(specification(chart), scale=2)


def _lines(curves: pl.DataFrame, series: tuple[str, ...], title: str) -> Any:
    data = curves.filter(pl.col("series").is_in(series) & (pl.col("step") > 0))
    if data.is_empty():
        return None
    return _steps(data, alt.Y("value:Q", title=title), alt.Scale(range=[BLUE, ORANGE]))


def _steps(data: pl.DataFrame, y: alt.Y, colours: alt.Scale) -> Any:
    """Return the series of each layer as steps: a value stands until the next decision."""
    return _by_layer(
        alt.Chart(data.sort("step"))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("step:Q", title="step"),
            y=y,
            color=alt.Color("series:N", title=None, scale=colours),
        )
    )


def _learning(curves: pl.DataFrame) -> Any:
    names = {"train_loss": "training loss", "validation_accuracy": "validation accuracy"}
    data = curves.filter(pl.col("series").is_in(list(names)))
    if data.is_empty():
        return None
    data = data.with_columns(pl.col("series").replace(names), pl.col("round").cast(pl.String))
    return (
        alt.Chart(data.sort("round", "step"))
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            detail="round:N",
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("series:N", title=None), columns=2)
        .resolve_scale(y="independent")
    )


def _sparsity(curves: pl.DataFrame) -> Any:
    names = {"off": "off", "target": "target s*", "effective_target": "effective target"}
    data = curves.filter(pl.col("series").is_in(list(names)))
    if not data.is_empty():
        data = data.with_columns(pl.col("series").replace(names))
        colours = alt.Scale(domain=list(names.values()), range=[BLUE, GREY, ORANGE])
    else:
        density = (pl.col("series") == "density") & (pl.col("step") > 0)
        data = curves.filter(density).with_columns(
            value=1 - pl.col("value"), series=pl.lit("sparsity")
        )
        colours = alt.Scale(range=[BLUE])
    if data.is_empty():
        return None
    share = alt.Y("value:Q", title="share of connections", axis=alt.Axis(format="%"))
    return _steps(data, share, colours)


def _heat(curves: pl.DataFrame, series: str, title: str, extent: float) -> Any:
    data = curves.filter(pl.col("series") == series)
    if data.is_empty():
        return None
    width = extent / (int(data["index"].max()) + 1)  # type: ignore[arg-type]
    low = pl.col("index") * width
    data = _spans(data).with_columns(low=low, high=low + width)
    return _by_layer(
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("step:Q", title="step"),
            x2="until:Q",
            y=alt.Y("low:Q", title=title, scale=alt.Scale(domain=[0, extent])),
            y2="high:Q",
            color=alt.Color(
                "value:Q", title="share", scale=alt.Scale(scheme="viridis", type="sqrt")
            ),
        )
    )


def _spectra(curves: pl.DataFrame) -> Any:
    data = curves.filter(pl.col("series").str.starts_with("spectrum "))
    if data.is_empty():
        return None
    bins = int(data["index"].max()) + 1  # type: ignore[arg-type]
    peak = pl.col("value").max().over("series", "layer", "step")
    data = _spans(data).with_columns(
        layer=pl.lit("layer ") + pl.col("layer") + pl.col("series").str.replace("spectrum", ","),
        low=pl.col("index") / bins,
        high=(pl.col("index") + 1) / bins,
        value=pl.when(peak > 0).then(pl.col("value") / peak).otherwise(0.0),
    )
    return _by_layer(
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("step:Q", title="step"),
            x2="until:Q",
            y=alt.Y("low:Q", title="frequency / Nyquist", scale=alt.Scale(domain=[0, 1])),
            y2="high:Q",
            color=alt.Color(
                "value:Q", title="power / peak", scale=alt.Scale(scheme="viridis", type="sqrt")
            ),
        )
    )


def _spans(data: pl.DataFrame) -> pl.DataFrame:
    """Add the step until which a value stands: that of the next decision."""
    steps = data["step"].unique().sort()
    gaps = steps.diff().drop_nulls()
    usual = int(gaps.median()) if len(gaps) else 1  # type: ignore[arg-type]
    until = pl.DataFrame({"step": steps, "until": [*steps[1:], steps[-1] + usual]})
    return data.join(until, on="step", how="left")


def _by_layer(chart: alt.Chart) -> Any:
    return chart.properties(width=WIDTH, height=HEIGHT).facet(
        facet=alt.Facet("layer:N", title=None, sort=None), columns=2
    )
