"""Charts of a trial's curves, declared once: drawn in the browser, or as pictures.

A chart reads the dataset ``curves`` (columns round, step, series, layer, index, value; non-finite
values are missing) and the parameter ``steps``, the length of a round. `assets/trial_curves.js`
fills in both in the browser, as `filled_charts` does here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from leaderboard.charts.theme import FAMILIES, OTHERS

WIDTH, HEIGHT = 340, 170
BLUE, ORANGE, GREY = "#2a6fb5", "#d9772b", "#8a8a8a"
FIRST_TO_LAST = [BLUE, "#4a8e68", ORANGE]
"""Of layers: all between them have a contrast of 3:1 to light and dark pages."""
KINDS = [colours[0] for colours in (*FAMILIES.values(), *OTHERS)]
"""Of kinds of corruption."""
DATA = "curves"


@dataclass(frozen=True)
class TrialChart:
    """A chart of one trial.

    Attributes:
        name: of the chart within the page, and of its picture.
        title: shown to readers.
        series: those it shows; a name that ends with ``*`` matches every series with that prefix.
        description: text for readers, including those who use a screen reader.
        specification: in Vega-Lite, without data.
    """

    name: str
    title: str
    series: tuple[str, ...]
    description: str
    specification: dict[str, Any]

    def shows(self, series: str) -> bool:
        """Return whether a series is in the chart."""
        return any(
            series.startswith(name[:-1]) if name.endswith("*") else series == name
            for name in self.series
        )


@cache
def trial_charts() -> tuple[TrialChart, ...]:
    """Return all charts that a trial can have, in the order of the page."""
    found = (
        (
            "learning",
            "Learning",
            _LEARNING,
            _learning(),
            "training loss, and accuracy or R² on the validation split, over training",
        ),
        (
            "density",
            "Density of each layer",
            {"density": "density"},
            _density(),
            "the fraction of active connections in each layer over training",
        ),
        (
            "sparsity",
            "Sparsity against its target",
            _CONTROL,
            _control(),
            "the fraction of connections that are off in each layer, and its target",
        ),
        (
            "threshold",
            "Amplitude and threshold",
            _THRESHOLD,
            _threshold(),
            "amplitude A and threshold T of each layer over training",
        ),
        (
            "churn",
            "Connections switched off and on",
            _CHURN,
            _churn(),
            "the number of weights dropped and grown at each update of a layer",
        ),
        (
            "frequency",
            "How resonance frequencies are distributed",
            {"frequency": ""},
            _frequency(),
            "fractions of connections by resonance frequency ν at each decision",
        ),
        (
            "age",
            "How long active connections have been active",
            {"age": ""},
            _age(),
            "fractions of active connections by age at each decision",
        ),
        (
            "spectra",
            "Spectra of some connections",
            {"spectrum *": ""},
            _spectra(),
            "power by frequency of the gradients of single connections at each decision",
        ),
        (
            "reliability",
            "Reliability of the readings of gradients",
            {"reliability *": ""},
            _reliability(),
            "test-retest reliability of each reading by the number of windows that are averaged",
        ),
        (
            "own_reliability",
            "Reliability of the trial's own signal",
            {"signal_reliability": ""},
            _own_reliability(),
            "rank correlation of a decision's reading with the last one of other gradients",
        ),
        (
            "robustness",
            "Accuracy on corrupted inputs",
            {"corruption_*": ""},
            _robustness(),
            "test accuracy by kind and severity of corruption",
        ),
    )
    return tuple(
        TrialChart(name, title, tuple(series), description, chart.to_dict(validate=False))
        for name, title, series, chart, description in found
    )


def filled_charts(curves: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the charts that a trial's curves have data for, by name, with that data.

    A single value is not a curve.
    """
    steps = int(curves["step"].max() or 1)  # type: ignore[arg-type]
    finite = curves.with_columns(value=pl.when(pl.col("value").is_finite()).then(pl.col("value")))
    found = {}
    for chart in trial_charts():
        names = [name for name in curves["series"].unique().to_list() if chart.shows(name)]
        rows = finite.filter(pl.col("series").is_in(names))
        if len(rows) > 1:
            found[chart.name] = with_data(chart.specification, rows.to_dicts(), steps)
    return found


def with_data(specification: dict[str, Any], rows: Iterable[Any], steps: int) -> dict[str, Any]:
    """Return a specification with data, for rounds of `steps` steps."""
    params = [{"name": "steps", "value": steps}]
    return {**specification, "datasets": {DATA: list(rows)}, "params": params}


_LEARNING = {
    "train_loss": "training loss",
    "validation_accuracy": "validation accuracy",
    "validation_r2": "validation R²",
}
_CONTROL = {"off": "off", "target": "target s*", "effective_target": "effective target"}
_THRESHOLD = {"amplitude": "amplitude A", "threshold": "threshold T"}
_CHURN = {"dropped": "dropped", "grown": "grown"}


def _layers() -> alt.Color:
    """Return the colours of layers: as many as there are between three that stand out everywhere.

    A list as a scheme is Vega's; Altair knows named ones only, whose ends fade into a page.
    """
    return alt.Color("layer:O", sort=None, scale={"scheme": FIRST_TO_LAST})


def _curves() -> alt.Chart:
    return alt.Chart(alt.NamedData(DATA))


def _words(names: dict[str, str]) -> str:
    """Return the expression of a series' name for readers."""
    texts = ", ".join(f"'{name}': '{text}'" for name, text in names.items())
    return f"{{{texts}}}[datum.series]"


def _learning() -> Any:
    return (
        _curves()
        .mark_line(point={"size": 12})
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            detail="round:N",
            tooltip=[alt.Tooltip("round:Q"), alt.Tooltip("step:Q"), alt.Tooltip("value:Q")],
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("what:N", title=None), columns=2)
        .resolve_scale(y="independent")
        .transform_calculate(what=_words(_LEARNING))
    )


def _density() -> Any:
    return (
        _curves()
        .mark_line(interpolate="step-after", point={"size": 12})
        .encode(
            x=alt.X("step:Q", title="step", scale=alt.Scale(domain=[0, alt.ExprRef("steps")])),
            y=alt.Y("value:Q", title="density", axis=alt.Axis(format="%")),
            color=_layers(),
            detail="round:N",
            tooltip=["layer:N", "round:Q", "step:Q", alt.Tooltip("value:Q", format=".2%")],
        )
        .properties(width=2 * WIDTH, height=HEIGHT)
    )


def _control() -> Any:
    share = alt.Y("value:Q", title="fraction of connections", axis=alt.Axis(format="%"))
    colours = alt.Scale(domain=list(_CONTROL.values()), range=[BLUE, GREY, ORANGE])
    return _stairs(_CONTROL, share, colours)


def _threshold() -> Any:
    return _stairs(_THRESHOLD, alt.Y("value:Q", title="A and T"))


def _churn() -> Any:
    return _stairs(_CHURN, alt.Y("value:Q", title="weights"), after=0)


def _stairs(names: dict[str, str], y: alt.Y, colours: Any = None, after: int = -1) -> Any:
    """Return the series of each layer as steps: each value holds until the next decision.

    The first masks, at step 0, are not an update: `after=0` leaves them out.
    """
    scale = colours or alt.Scale(domain=list(names.values()), range=[BLUE, ORANGE])
    chart = (
        _curves()
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("step:Q", title="step"),
            y=y,
            color=alt.Color("what:N", title=None, scale=scale),
            detail="round:N",
            tooltip=[
                alt.Tooltip("what:N", title="series"),
                *(alt.Tooltip(f"{name}:Q") for name in ("step", "value")),
            ],
        )
    )
    return (
        _by_layer(chart)
        .transform_calculate(what=_words(names))
        .transform_filter(f"datum.step > {after}")
    )


def _frequency() -> Any:
    return _heat("resonance frequency ν", "1", "share")


def _age() -> Any:
    return _heat("age of active connections (steps)", "steps", "share")


def _heat(title: str, extent: str, value: str) -> Any:
    """Return a histogram over time: bins of one width from 0 to `extent`."""
    chart = _by_layer(_tiles(title, value)).transform_joinaggregate(last="max(index)")
    return _with_end_step(chart).transform_calculate(
        low=f"datum.index * {extent} / (datum.last + 1)",
        high=f"(datum.index + 1) * {extent} / (datum.last + 1)",
    )


def _spectra() -> Any:
    name = "'layer ' + datum.layer + ',' + replace(datum.series, 'spectrum', '')"
    chart = _by_layer(_tiles("frequency / Nyquist", "power / peak"), name)
    return (
        _with_end_step(chart)
        .transform_joinaggregate(last="max(index)")
        .transform_joinaggregate(peak="max(value)", groupby=["series", "layer", "step"])
        .transform_calculate(
            low="datum.index / (datum.last + 1)",
            high="(datum.index + 1) / (datum.last + 1)",
            value="datum.peak > 0 ? datum.value / datum.peak : 0",
        )
    )


def _with_end_step(chart: Any) -> Any:
    """Add the step until which a value holds: the next decision; after the last, a median gap."""
    return (
        chart.transform_window(
            window=[{"op": "lead", "field": "step", "as": "next"}],
            groupby=["round", "series", "layer", "index"],
            sort=[alt.SortField("step")],
        )
        .transform_calculate(gap="isValid(datum.next) ? datum.next - datum.step : null")
        .transform_joinaggregate(median_gap="median(gap)")
        .transform_calculate(until="datum.step + (datum.gap || datum.median_gap || 1)")
    )


def _tiles(title: str, value: str) -> alt.Chart:
    return (
        _curves()
        .mark_rect()
        .encode(
            x=alt.X("step:Q", title="step"),
            x2="until:Q",
            y=alt.Y("low:Q", title=title, scale=alt.Scale(nice=False)),
            y2="high:Q",
            color=alt.Color("value:Q", title=value, scale=alt.Scale(scheme="viridis", type="sqrt")),
            tooltip=[
                alt.Tooltip("step:Q"),
                alt.Tooltip("low:Q", title="from"),
                alt.Tooltip("high:Q", title="to"),
                alt.Tooltip("value:Q", title=value),
            ],
        )
    )


def _reliability() -> Any:
    """Return the readings of an analysis, one panel each; the step is k, the windows averaged."""
    return (
        _curves()
        .mark_line(point={"size": 24})
        .encode(
            x=alt.X("step:Q", title="windows averaged", scale=alt.Scale(type="log", base=2)),
            y=alt.Y("value:Q", title="rank correlation"),
            color=_layers(),
            tooltip=[
                "reading:N",
                "layer:N",
                alt.Tooltip("step:Q", title="windows"),
                alt.Tooltip("value:Q", format=".3f"),
            ],
        )
        .properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("reading:N", title=None, sort=None), columns=2)
        .transform_calculate(reading="replace(datum.series, 'reliability ', '')")
    )


def _own_reliability() -> Any:
    return (
        _curves()
        .mark_line(point={"size": 18})
        .encode(
            x=alt.X("step:Q", title="step of the decision"),
            y=alt.Y("value:Q", title="rank correlation"),
            color=_layers(),
            tooltip=["layer:N", "step:Q", alt.Tooltip("value:Q", format=".3f")],
        )
        .properties(width=2 * WIDTH, height=HEIGHT)
    )


def _robustness() -> Any:
    return (
        _curves()
        .mark_line(point=True)
        .encode(
            x=alt.X("severity:O", title="severity", axis=alt.Axis(labelAngle=0)),
            y=alt.Y(
                "value:Q",
                title="test accuracy",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(zero=False),
            ),
            color=alt.Color("kind:N", title="corruption", scale=alt.Scale(range=KINDS)),
            tooltip=["kind:N", "severity:O", alt.Tooltip("value:Q", format=".2%")],
        )
        .transform_calculate(
            kind="replace(datum.series, 'corruption_', '')", severity="datum.index + 1"
        )
        .properties(width=2 * WIDTH, height=HEIGHT)
    )


def _by_layer(chart: alt.Chart, name: str = "'layer ' + datum.layer") -> Any:
    return (
        chart.properties(width=WIDTH, height=HEIGHT)
        .facet(facet=alt.Facet("where:N", title=None, sort=None), columns=2)
        .transform_calculate(where=name)
    )
