"""One trial, looked into: a self-contained page and pictures."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from leaderboard.charts.trial import drawn, picture
from leaderboard.folder import write_whole
from leaderboard.pages.curves import curves_json, read_curves
from leaderboard.pages.trial import trial_page
from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_evaluation import load_evaluations

CURVES = "curves.parquet"


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
    content, curves = _curves(store, record)
    later = load_evaluations(store, record)
    charts = drawn(curves)
    try:
        out.mkdir(parents=True, exist_ok=True)
        page = out / "index.html"
        write_whole(page, trial_page(record, curves_json({"": content})[""], later))
        pictures = [out / f"{name}.png" for name in charts]
        for path, chart in zip(pictures, charts.values(), strict=True):
            write_whole(path, picture(chart))
    except OSError as error:
        raise InvalidInput(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error
    return Inspected(page, pictures)


def _curves(store: Store, record: Record) -> tuple[bytes, pl.DataFrame]:
    try:
        content = store.load(record.key, CURVES)
        return content, read_curves(content)
    except (OSError, ValueError) as error:
        path = f"{store.where(record.key)}/{CURVES}"
        raise InvalidInput(f"{path} cannot be read ({error}): run the trial again") from error
