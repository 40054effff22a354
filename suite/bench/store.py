"""Reading the results of many trials, as commands do: absolute seconds, and peak memory.

A store is measured as a study leaves it: a folder for each trial, and an index of their records.
Without the index it is as one that was copied without its times.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from suite.bench.commands import run_command, run_process
from suite.bench.measurement import Bar, Measurement
from suite.bench.synthetic_store import MANY, fill, study_of
from suite.results.record_index import FOLDER, write_index
from suite.results.store import Store

RECORDS, TRIALS = 10_000, 100_000
RUNS = 3
MEMORY = Bar(2.0)
READ = """
import sys, time
from suite.results.store import Store
if sys.argv[2] == "warm":
    import polars
began = time.perf_counter()
count = sum(1 for record in list(Store(sys.argv[1]).records()))
print(count, time.perf_counter() - began)
"""


def records(trials: int = RECORDS, runs: int = RUNS) -> Iterator[Measurement]:
    """Read all records in one process, one by one and from the index."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        fill(store, trials, MANY)
        what = f"{trials:,} records in a process"
        yield _read(store, f"{what}, one by one", "cold", runs, Bar(5.0))
        write_index(store.backend)
        yield _read(store, f"{what}, from the index", "warm", runs, Bar(1.0))
        yield _read(store, f"{what}, from the index, with the import of polars", "cold", runs)


def _read(store: Store, what: str, start: str, runs: int, bar: Bar | None = None) -> Measurement:
    """Return the best of several processes: what else the machine does only ever adds."""
    times = []
    for _ in range(runs):
        output = run_process([sys.executable, "-c", READ, store.location, start]).output
        count, seconds = output.split()
        if int(count) != len(store.keys()):
            raise RuntimeError(f"{count} records were read")
        times.append(float(seconds))
    return _best(what, times, bar)


def commands(trials: int = TRIALS, runs: int = RUNS) -> Iterator[Measurement]:
    """Come back to a store of many trials of one study: `status`, `study`, `list trials`."""
    with prepared(trials) as (store, file):
        verbs = {
            "status": (["status"], Bar(8.0)),
            "second run of the study": (["study", file, "--max-trials", str(trials)], Bar(15.0)),
            "list trials --limit 20": (
                ["list", "trials", "--limit", "20"],
                Bar(1.5) if trials <= RECORDS else None,
            ),
        }
        at = ["--store", store.location]
        for name, (words, bar) in verbs.items():
            what = f"{trials:,} trials: {name}"
            with a_home() as home:
                first = run_command([*words, *at], home)
                yield Measurement(f"{what}, first time", first.seconds, "s", bar=bar)
                again = [run_command([*words, *at], home) for _ in range(runs)]
            yield _best(f"{what}, again", [one.seconds for one in again], bar)
            most = max(one.memory for one in (first, *again))
            yield Measurement(f"{what}, memory", most, "GiB", bar=MEMORY)
        shutil.rmtree(store.root / FOLDER)
        with a_home() as home:
            first = run_command(["status", *at], home)
        what = f"{trials:,} trials: status, first time, without an index"
        yield Measurement(what, first.seconds, "s")


def fewer_trials() -> Iterator[Measurement]:
    """Come back to a store of 10,000 trials."""
    yield from commands(RECORDS)


@contextmanager
def prepared(trials: int) -> Iterator[tuple[Store, str]]:
    """Yield a store as a study of so many trials leaves it, and the study's file.

    It is made in a temporary folder, or kept in the one that RESONANCE_BENCH_STORES names.
    """
    kept = os.environ.get("RESONANCE_BENCH_STORES")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(kept or temporary) / f"{trials}-trials"
        store = Store(folder / "results")
        fill(store, trials, MANY)
        write_index(store.backend)
        file = folder / "synthetic.yaml"
        file.write_text(study_of(trials, MANY).model_dump_json(exclude_defaults=True))
        yield store, str(file)


@contextmanager
def a_home() -> Iterator[Mapping[str, str]]:
    """Yield an environment in which nothing is remembered of any store."""
    with tempfile.TemporaryDirectory() as folder:
        yield os.environ | {"HOME": folder}


def _best(what: str, times: list[float], bar: Bar | None = None) -> Measurement:
    return Measurement(what, min(times), "s", (min(times), max(times)), bar, "best of its runs")
