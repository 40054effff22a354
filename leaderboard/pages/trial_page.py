"""The page of one trial: configuration, results, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from markupsafe import Markup

from leaderboard.bundles.bundle_file import Sender
from leaderboard.bundles.reruns import Rerun
from leaderboard.charts.vega_bundle import classic_script
from leaderboard.pages.navigation import PLAIN, TASKS, Navigation
from leaderboard.pages.templating import (
    CHART_SCRIPTS,
    asset,
    embedded_code,
    embedded_data,
    environment,
)
from suite import __version__
from suite.core.errors import InvalidInput
from suite.core.shown_text import shown_json
from suite.experiments import registry
from suite.experiments.trial_config import Trial, show
from suite.results.metrics import METRICS, rows
from suite.results.record import LayerRecord, Record
from suite.results.stored_evaluation import Evaluation
from suite.results.training_flops import parts_of

CARD_METRICS = [
    metric
    for metric in METRICS
    if metric.name
    in (
        "test_accuracy",
        "validation_accuracy",
        "test_r2",
        "test_rmse",
        "validation_r2",
        "test_bits_per_character",
        "test_nll",
        "test_ece",
    )
]
"""Shown on cards at the top of the page."""
NOT_MEASURED = "–"
MAX_CLASSES_SHOWN = 20
"""With more, no page has the confusion matrix."""


@dataclass(frozen=True)
class TrialLinks:
    """The parent pages of a trial's page: titles, and addresses within the site.

    Attributes:
        task, task_page: of its task.
        method, method_page: of its method.
        left_out: why it is not on its board; empty if it is.
    """

    task: str
    task_page: str
    method: str
    method_page: str
    left_out: str = ""


@dataclass(frozen=True)
class ShownTrial:
    """A trial with all that its page says of it.

    Attributes:
        record: the trial's own.
        evaluations: what was measured later.
        links: the parent pages; None if it is not a page of a site.
        sender: who sent the record, if it came in a bundle.
        reruns: who ran the trial again.
        navigation: the bar of the site; a page without links has none.
    """

    record: Record
    evaluations: Sequence[Evaluation] = ()
    links: TrialLinks | None = None
    sender: Sender | None = None
    reruns: Sequence[Rerun] = ()
    navigation: Navigation = PLAIN


def trial_page(shown: ShownTrial, curves: str, no_curves: str = "") -> str:
    """Return the page; all text from the record is escaped.

    `curves` is JSON of `leaderboard.pages.curve_data`; if empty, `no_curves` may give the reason.
    Without links the page is a self-contained file, with style and scripts, and links to its
    charts as PDF beside it.
    """
    record, links = shown.record, shown.links
    trial = record.trial
    return _template().render(
        title=f"{trial['method']} · {trial['task']} · seed {trial['seed']}",
        heading=f"{_title(trial['method'])} on {trial['task']}",
        trail=[(links.task, links.task_page), (links.method, links.method_page)] if links else [],
        root="../" if links else "",
        standalone=None if links else _embedded_assets(bool(curves)),
        version=__version__,
        navigation=shown.navigation if links else None,
        section=TASKS,
        record=record,
        sender=shown.sender,
        reruns=shown.reruns,
        facts=_facts(record),
        warnings=_warnings(record, links),
        command=_command(record),
        cards=_cards(record),
        curves=Markup(shown_json(curves).replace("<", "\\u003c")),
        no_curves=no_curves,
        layers=Markup("".join(map(_layer, record.layers))),
        confusion=_confusion(record),
        tables=[_table(name, tuple(found)) for name, found in _tables(record, shown.evaluations)],
    )


def trial_chart_data_script() -> str:
    """Return the script that holds the specifications of all charts of trials."""
    from leaderboard.charts.theme import (
        themes,  # here, since a process that writes pages does not need Altair
    )
    from leaderboard.charts.trial_charts import trial_charts

    charts = [
        {
            "name": c.name,
            "title": c.title,
            "series": c.series,
            "description": c.description,
            "specification": {n: v for n, v in c.specification.items() if n != "config"},
        }
        for c in trial_charts()
    ]
    content = {"charts": charts, "themes": themes()}
    return f"window.resonanceTrialCharts = {embedded_data(content)};\n"


@lru_cache
def _template() -> Any:
    return environment().get_template("trial.html")


def _embedded_assets(charts: bool) -> Mapping[str, Any]:
    scripts = [asset("copy_buttons.js")]
    if charts:
        scripts += [
            classic_script(),
            *map(asset, (*CHART_SCRIPTS, "chart_figure.js")),
            trial_chart_data_script(),
            asset("trial_curves.js"),
        ]
    return {
        "style": Markup(asset("style.css") + asset("subpages.css")),
        "scripts": [embedded_code(script) for script in scripts],
    }


def _title(method: str) -> str:
    known = registry.methods()
    return known[method].title if method in known else method


def _facts(record: Record) -> list[str]:
    trial = record.trial
    facts = [f"sparsity {trial['sparsity']:g}", f"seed {trial['seed']}", f"trial {record.key}"]
    facts += [f"{name} = {_show(value)}" for name, value in trial["hyperparameters"].items()]
    if started := record.timing.get("started"):
        facts.append(str(started)[:19].replace("T", " ") + " UTC")
    if code := record.configuration.get("code"):
        facts.append(f"own code {code!s:.6}: {', '.join(sorted(record.code))}"[:200])
    if commit := record.environment.get("commit"):
        changed = " with changes" if record.environment.get("dirty") else ""
        facts.append(f"commit {str(commit)[:12]}{changed}")
    return facts


def _warnings(record: Record, links: TrialLinks | None) -> list[tuple[str, str]]:
    found = []
    if record.status == "failed":
        error = record.error or {}
        found.append(("Failed.", error.get("message") or error.get("type", "no message")))
    if links and links.left_out:
        found.append(("Not counted.", links.left_out))
    return found


def _command(record: Record) -> str:
    """Return the command that runs the trial again; empty if its method or task is unknown here."""
    try:
        return Trial.make(**record.trial).command()
    except InvalidInput:
        return ""


def _cards(record: Record) -> list[tuple[str, str, str]]:
    if record.status != "done":
        return []
    right = {f"{split}_accuracy": counts.words for split, counts in record.counts.items()}
    cards = [
        (
            metric.title.split(" (")[0],
            metric.text(record.metrics[metric.name]),
            right.get(metric.name, ""),
        )
        for metric in CARD_METRICS
        if metric.name in record.metrics
    ]
    flops = record.flops
    if dense := flops["inference_dense"]:
        cards.append(("inference FLOPs", f"{flops['inference'] / dense:.3f}×", "of dense"))
    cards.append(("realised sparsity", f"{100 * record.sparsity:.3f} %", ""))
    seconds, step = record.timing.get("seconds"), record.timing.get("seconds_per_step")
    # FLOPs charged per second: masked execution does not skip operations with zeros, csr does.
    how = str(record.trial.get("execution", "masked"))
    if isinstance(seconds, int | float) and seconds > 0:
        how = f"{flops['training'] / seconds / 1e9:.3g} GFLOP/s {how}"
        more = f"{1000 * step:.2f} ms a step" if isinstance(step, int | float) else ""
        cards.append(("time", f"{seconds:,.1f} s", more))
    cards.append(("training FLOPs", f"{flops['training']:.3g}", how))
    return cards


def _layer(layer: LayerRecord) -> str:
    """Return a layer as a table row; `trial.html` has the head."""
    size = layer.size
    density = 1 - layer.zeros / size
    counts = (layer.units, layer.unconnected_units, layer.silent_units, layer.storage)
    before = (" × ".join(map(str, layer.shape)), f"{size:,}", f"{layer.zeros:,}", f"{density:.4f}")
    after = (NOT_MEASURED if value is None else value for value in counts)
    return (
        f'<tr><th scope="row">{escape(layer.name)}</th>{"".join(f"<td>{v}</td>" for v in before)}'
        f'<td class="bar"><span style="width: {100 * density:.1f}%"></span></td>'
        f"{''.join(f'<td>{v}</td>' for v in after)}</tr>\n"
    )


def _confusion(record: Record) -> Markup:
    """Return head and body of the table of the test split's confusion matrix.

    Empty without one, with many classes, and for one that is not possible (a record of others).
    """
    counts = record.counts.get("test")
    if counts is None or not 0 < len(counts.confusion) <= MAX_CLASSES_SHOWN or counts.problem:
        return Markup("")
    head = "".join(f'<th scope="col">{label}</th>' for label in range(len(counts.confusion)))
    rows = (
        f'<tr><th scope="row">{true}</th><td>{"</td><td>".join(map(str, row))}</td></tr>\n'
        for true, row in enumerate(counts.matrix())
    )
    return Markup(  # integers only
        f'<thead><tr><th scope="col">true ↓ predicted →</th>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody>"
    )


def _tables(
    record: Record, evaluations: Sequence[Evaluation]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the tables of names and values, with their titles."""
    settings = record.configuration.get("hyperparameters", record.trial["hyperparameters"])
    recipe = record.configuration.get("recipe", record.trial["recipe"])
    rest = {
        name: value
        for name, value in {**record.trial, **record.configuration}.items()
        if name not in ("hyperparameters", "recipe")
    }
    tables = [("Measures", rows(record.metrics, record.absent))]
    for evaluation in evaluations:
        title = f"Measured later on {evaluation.device}, {evaluation.threads} threads"
        tables.append((title, rows(evaluation.metrics | evaluation.latency, evaluation.absent)))
    for title, content in (
        ("Hyperparameters", settings),
        ("Recipe", recipe),
        ("Trial", rest),
        ("Timing", record.timing),
        ("FLOPs", _flops(record)),
        ("Environment", record.environment),
        ("Data", record.data),
        ("Digests", record.digests),
    ):
        named = content if isinstance(content, Mapping) else {"": content}
        tables.append((title, [(str(n), _show(v)) for n, v in named.items()]))
    return [(title, found) for title, found in tables if found]


def _flops(record: Record) -> dict[str, float | str]:
    """Return the FLOPs of a record by name, and what those of training consist of."""
    parts = parts_of(record.flops)
    found: dict[str, float | str] = {**record.flops}
    if parts is not None:
        found["training, in parts"] = parts.words
    if dense := record.flops.get("dense_training"):
        found["training, of dense training"] = f"{record.flops['training'] / dense:.4g} ×"
    return found


@lru_cache(maxsize=1024)  # many trials share recipe, environment and data
def _table(title: str, pairs: tuple[tuple[str, str], ...]) -> Markup:
    """Return a table of names and values under its title."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n'
        for name, value in pairs
    )
    title = escape(title)
    return Markup(
        f'<section>\n<h2>{title}</h2>\n<table class="pairs">'
        f'<caption class="hidden-text">{title}</caption>\n<tbody>\n{rows}</tbody></table>\n'
        "</section>\n"
    )


def _show(value: Any) -> str:
    """Return a value of a record as text; a hostile record may hold any JSON value."""
    if isinstance(value, str):
        return value
    if value is None:
        return "not known"
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:.10g}"
    if isinstance(value, list | tuple) and not value:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return show(value) if isinstance(value, bool | int) else str(value)
