"""Many trials' pages: curves are read together, and processes share the work."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from leaderboard.folder import SiteFolder, write_whole
from leaderboard.pages.curves import curves_json
from leaderboard.pages.trial import Place, trial_page
from leaderboard.submission import Header
from suite.errors import InvalidInput
from suite.results.evaluation import Evaluation
from suite.results.record import Record
from suite.results.store import Store

TOGETHER = 200
"""Trials whose curves are in memory at the same time."""
CURVES = "curves.parquet"
NO_CURVES = "The store holds no curves of this trial."
SENT = "This trial's record came in a bundle; its curves are not in a bundle."
DAMAGED = f"The curves of this trial cannot be read: {CURVES} is damaged."


@dataclass(frozen=True)
class Job:
    """A page to be written: its address, what it is made from (a digest), and its content.

    `sender` is who sent the record, where it came in a bundle.
    """

    name: str
    made_from: str
    record: Record
    evaluations: Sequence[Evaluation]
    place: Place
    sender: Header | None = None


@contextlib.contextmanager
def write_trials(
    folder: SiteFolder, store: str, jobs: Sequence[Job], workers: int = 1
) -> Iterator[None]:
    """Write the pages of trials that are not current; by processes while the context is open.

    `store` is the location that curves are read from, empty where there is none.

    Raises:
        OSError: a page cannot be written.
    """
    due = [job for job in jobs if not folder.current(job.name, job.made_from)]
    batches = [due[start : start + TOGETHER] for start in range(0, len(due), TOGETHER)]
    if workers < 2 or len(batches) < 2:
        yield
        for batch in batches:
            _write(folder.root, store, batch)
    else:
        context = multiprocessing.get_context("spawn")  # polars has threads: no fork
        with ProcessPoolExecutor(workers, context) as pool:
            begun = [pool.submit(_write, folder.root, store, batch) for batch in batches]
            try:
                yield
                for one in begun:
                    one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    for job in due:
        folder.wrote(job.name, job.made_from)


def _write(root: Path, store: str, jobs: Sequence[Job]) -> None:
    contents = _contents(store, jobs) if store else {}
    curves = curves_json(contents)
    for job in jobs:
        key = job.record.key
        why = (DAMAGED if key in contents else NO_CURVES) if store else ""
        if job.sender is not None:
            why = SENT
        page = trial_page(
            job.record, curves.get(key, ""), job.evaluations, job.place, why, job.sender
        )
        write_whole(root / job.name, page)


def _contents(store: str, jobs: Sequence[Job]) -> dict[str, bytes]:
    """Return the files of curves that are there, by key; the store has none of what was sent."""
    place = Store(store).place
    found = {}
    for job in (job for job in jobs if job.sender is None):
        seal = job.record.seal
        with contextlib.suppress(FileNotFoundError, InvalidInput):
            digest = seal.digest if seal is not None else None
            found[job.record.key] = place.load(job.record.key, CURVES, digest)
    return found
