"""One trial, looked into: a self-contained page and pictures."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from leaderboard.charts import picture, specification, trial_charts
from suite.config import Trial, show
from suite.errors import InvalidInput
from suite.results.evaluation import Evaluation, load_evaluations
from suite.results.metrics import rows
from suite.results.record import Record
from suite.results.store import Store

TITLES = {
    "learning": "Learning",
    "sparsity": "Sparsity against its target",
    "threshold": "Amplitude and threshold",
    "churn": "Connections switched off and on",
    "frequency": "How resonance frequencies are distributed",
    "age": "How long active connections have been active",
    "spectra": "Spectra of some connections",
}


@dataclass(frozen=True)
class Inspected:
    """What `inspect` wrote."""

    page: Path
    pictures: list[Path]


def find_trial(store: Store, name: str) -> Record:
    """Return the finished trial whose key is `name` or begins with it.

    Raises:
        InvalidInput: there is none, there are several, or it failed.
    """
    known = store.keys()
    keys = [key for key in known if key.startswith(name)] if name else []
    if len(keys) != 1:
        found = f"{len(keys)} trials" if keys else "no trial"
        raise InvalidInput(
            f"trial '{name}': {found} in {store.location} with a key that begins so; "
            "site/trials.csv of `resonance leaderboard build` lists the keys"
        )
    record = store.read(keys[0])
    if record is None or record.status != "done":
        raise InvalidInput(f"trial {keys[0]} failed and has no curves; run it again")
    return record


def inspect(store: Store, name: str, out: Path) -> Inspected:
    """Write ``index.html`` and one PNG per chart of a trial into `out`.

    Raises:
        InvalidInput: no such trial, its curves are damaged, or `out` cannot be written.
    """
    record = find_trial(store, name)
    curves = _curves(store, record)
    later = load_evaluations(store, record)
    steps = int(curves["step"].max() or 1)  # type: ignore[arg-type]
    charts = trial_charts(curves, steps)
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = out / "index.html"
        specs = {name: specification(chart) for name, chart in charts.items()}
        page.write_text(render(record, specs, later), encoding="utf-8")
        pictures = []
        for name, chart in charts.items():
            pictures.append(out / f"{name}.png")
            pictures[-1].write_bytes(picture(chart))
    except OSError as error:
        raise InvalidInput(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error
    return Inspected(page, pictures)


def render(
    record: Record, specs: dict[str, dict[str, object]], evaluations: Sequence[Evaluation] = ()
) -> str:
    """Return the page: text from the record is escaped, the drawing code is part of it."""
    import vl_convert

    environment = Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("trial.html").render(
        record=record,
        trial=Trial.make(**record.trial),
        settings={n: show(v) for n, v in record.configuration["hyperparameters"].items()},
        recipe={n: show(v) for n, v in record.configuration["recipe"].items()},
        measures=rows(record.metrics, record.absent),
        evaluations=[(e, rows(e.metrics | e.latency, e.absent)) for e in evaluations],
        titles=TITLES,
        names=list(specs),
        specs=_data(specs),
        bundle=_code(vl_convert.javascript_bundle(None)),  # type: ignore[arg-type]
    )


def _data(content: object) -> Markup:
    """Return JSON that can stand in a script element, whatever texts it holds."""
    return Markup(json.dumps(content).replace("<", "\\u003c"))


def _code(script: str) -> Markup:
    """Return our own drawing code, safe from ending its element by a text it holds."""
    return Markup(re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE))


def _curves(store: Store, record: Record) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(store.load(record.key, "curves.parquet")))
    except (OSError, pl.exceptions.PolarsError) as error:
        path = f"{store.where(record.key)}/curves.parquet"
        raise InvalidInput(f"{path} cannot be read ({error}): run the trial again") from error
