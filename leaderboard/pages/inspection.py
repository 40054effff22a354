"""`resonance inspect`: one trial as a self-contained page, with its charts as pictures."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from leaderboard.charts.pictures import pictures
from leaderboard.charts.trial_charts import filled_charts
from leaderboard.pages.curve_data import curves_json
from leaderboard.pages.trial_page import ShownTrial, trial_page
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.core.redact import redact_file
from suite.results.find_record import find_record
from suite.results.metadata_store import DamagedDocument
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_curves import CURVES_FILE, read_curves
from suite.results.stored_evaluation import load_evaluations


@dataclass(frozen=True)
class InspectionFiles:
    """The files that `inspect` wrote: the page, and each chart as PNG and as PDF.

    `damaged` are evaluations of the trial that cannot be read, and are not on the page.
    """

    page: Path
    pictures: list[Path]
    pdfs: list[Path]
    damaged: list[DamagedDocument]


def find_trial(store: Store, name: str) -> Record:
    """Return the finished trial whose key is `name` or begins with it.

    Raises:
        InvalidInput: there is none, there are several, or it failed.
    """
    record = find_record(store, name)
    if record.status != "done":
        raise InvalidInput(
            f"trial {record.key} failed and has no curves: `resonance show {record.key}` says why; "
            "run it again"
        )
    return record


def inspect(store: Store, name: str, out: Path) -> InspectionFiles:
    """Write ``index.html``, and each chart of a trial as PNG and PDF, into `out`.

    Raises:
        InvalidInput: no such trial, its curves are damaged, or `out` cannot be written.
    """
    record = find_trial(store, name)
    content, curves = _curves(store, record)
    later, damaged = load_evaluations(store, record)
    charts = filled_charts(curves)
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = out / "index.html"
        text = trial_page(ShownTrial(record, later), curves_json({"": content})[""])
        atomic_write(page, redact_file(text))
        for name, chart in charts.items():
            files = pictures(chart)
            for ending in ("png", "pdf"):
                atomic_write(out / f"{name}.{ending}", files[ending])
    except OSError as error:
        raise InvalidInput(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error
    pngs, pdfs = ([out / f"{name}.{ending}" for name in charts] for ending in ("png", "pdf"))
    return InspectionFiles(page, pngs, pdfs, damaged)


def _curves(store: Store, record: Record) -> tuple[bytes, pl.DataFrame]:
    try:
        content = store.load(record.key, CURVES_FILE)
        return content, read_curves(content)
    except InvalidInput:  # of the store, which names the file
        raise
    except (OSError, ValueError) as error:
        path = f"{store.where(record.key)}/{CURVES_FILE}"
        raise InvalidInput(f"{path} cannot be read ({error}): run the trial again") from error
