"""The page of one trial: what was run, what came out, and how it went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from markupsafe import Markup

from leaderboard.charts.vega import classic_script
from leaderboard.pages.templating import (
    DRAWING,
    asset,
    embedded_code,
    embedded_data,
    environment,
)
from leaderboard.submission import Header
from suite import __version__
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial, show
from suite.results.metrics import METRICS, rows
from suite.results.record import LayerRecord, Record
from suite.results.stored_evaluation import Evaluation

SHOWN = ("test_accuracy", "validation_accuracy", "test_nll", "test_ece")
"""What stands on cards, at the top."""
CARDS = [metric for metric in METRICS if metric.name in SHOWN]
NOTHING = "–"


@dataclass(frozen=True)
class TrialLinks:
    """Where a trial stands: titles and addresses of the pages above it, within the site.

    Attributes:
        task, task_page: its task's.
        method, method_page: its method's.
        left_out: why it is on no board; empty where it is.
    """

    task: str
    task_page: str
    method: str
    method_page: str
    left_out: str = ""


def trial_page(
    record: Record,
    curves: str,
    evaluations: Sequence[Evaluation] = (),
    place: TrialLinks | None = None,
    no_curves: str = "",
    sender: Header | None = None,
) -> str:
    """Return the page; all text from the record is escaped.

    `curves` is JSON of `leaderboard.pages.curves`, empty where there is none; then `no_curves` may
    say why. Without a place the page is a single file, with its style and its scripts. `sender`
    is who sent the record in a bundle.
    """
    trial = record.trial
    return _template().render(
        title=f"{trial['method']} · {trial['task']} · seed {trial['seed']}",
        heading=f"{_title(trial['method'])} on {trial['task']}",
        trail=[(place.task, place.task_page), (place.method, place.method_page)] if place else [],
        root="../" if place else "",
        alone=None if place else _alone(bool(curves)),
        version=__version__,
        record=record,
        sender=sender,
        facts=_facts(record),
        warnings=_warnings(record, place),
        command=_command(record),
        cards=_cards(record),
        curves=Markup(curves.replace("<", "\\u003c")),
        no_curves=no_curves,
        layers=Markup("".join(map(_layer, record.layers))),
        tables=[_table(name, tuple(found)) for name, found in _tables(record, evaluations)],
    )


def charts_script() -> str:
    """Return the script that holds what all trials' charts are drawn from."""
    from leaderboard.charts.style import themes  # Altair: a process that writes pages needs none
    from leaderboard.charts.trial import trial_charts

    charts = [
        {"name": c.name, "title": c.title, "series": c.series, "says": c.says,
         "specification": {n: v for n, v in c.specification.items() if n != "config"}}
        for c in trial_charts()
    ]  # fmt: skip
    content = {"charts": charts, "themes": themes()}
    return f"window.resonanceTrialCharts = {embedded_data(content)};\n"


@lru_cache
def _template() -> Any:
    return environment().get_template("trial.html")


def _alone(drawn: bool) -> Mapping[str, Any]:
    scripts = [asset("pages.js")]
    if drawn:
        scripts += [classic_script(), *map(asset, DRAWING), charts_script(), asset("trial.js")]
    return {
        "style": Markup(asset("style.css") + asset("pages.css")),
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
    if commit := record.environment.get("commit"):
        changed = " with changes" if record.environment.get("dirty") else ""
        facts.append(f"commit {str(commit)[:12]}{changed}")
    return facts


def _warnings(record: Record, place: TrialLinks | None) -> list[tuple[str, str]]:
    found = []
    if record.status == "failed":
        error = record.error or {}
        found.append(("Failed.", error.get("message") or error.get("type", "no message")))
    if place and place.left_out:
        found.append(("Not counted.", place.left_out))
    return found


def _command(record: Record) -> str:
    """Return the command that runs the trial again; none where it is not known here."""
    try:
        return Trial.make(**record.trial).command()
    except InvalidInput:
        return ""


def _cards(record: Record) -> list[tuple[str, str, str]]:
    if record.status != "done":
        return []
    cards = [
        (metric.title.split(" (")[0], metric.text(record.metrics[metric.name]), "")
        for metric in CARDS
        if metric.name in record.metrics
    ]
    flops = record.flops
    if dense := flops["inference_dense"]:
        cards.append(("inference FLOPs", f"{flops['inference'] / dense:.3f}×", "of dense"))
    cards.append(("realised sparsity", f"{100 * record.sparsity:.3f} %", ""))
    seconds, step = record.timing.get("seconds"), record.timing.get("seconds_per_step")
    # What is charged beside what it took: masks spare operations on paper, csr spares time.
    how = str(record.trial.get("execution", "masked"))
    if isinstance(seconds, int | float) and seconds > 0:
        how = f"{flops['training'] / seconds / 1e9:.3g} GFLOP/s {how}"
        more = f"{1000 * step:.2f} ms a step" if isinstance(step, int | float) else ""
        cards.append(("time", f"{seconds:,.1f} s", more))
    cards.append(("training FLOPs", f"{flops['training']:.3g}", how))
    return cards


def _layer(layer: LayerRecord) -> str:
    """Return a layer as a row of a table; `trial.html` has its head."""
    size = layer.size
    density = 1 - layer.zeros / size
    counts = (layer.units, layer.unconnected_units, layer.silent_units, layer.storage)
    before = (" × ".join(map(str, layer.shape)), f"{size:,}", f"{layer.zeros:,}", f"{density:.4f}")
    after = (NOTHING if value is None else value for value in counts)
    return (
        f'<tr><th scope="row">{escape(layer.name)}</th>{"".join(f"<td>{v}</td>" for v in before)}'
        f'<td class="bar"><span style="width: {100 * density:.1f}%"></span></td>'
        f"{''.join(f'<td>{v}</td>' for v in after)}</tr>\n"
    )


def _tables(
    record: Record, evaluations: Sequence[Evaluation]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the tables of two columns: their titles, and (name, value) of their rows."""
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
        ("Hyperparameters", settings), ("Recipe", recipe), ("Trial", rest),
        ("Timing", record.timing), ("FLOPs", record.flops),
        ("Environment", record.environment), ("Data", record.data), ("Digests", record.digests),
    ):  # fmt: skip
        named = content if isinstance(content, Mapping) else {"": content}
        tables.append((title, [(str(n), _show(v)) for n, v in named.items()]))
    return [(title, found) for title, found in tables if found]


@lru_cache(maxsize=1024)  # recipe, environment and data are those of many trials
def _table(title: str, pairs: tuple[tuple[str, str], ...]) -> Markup:
    """Return names and values as a table under its title: there are hundreds in a page."""
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
    """Return a value of a record as text; a hostile one may be anything that JSON can say."""
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
