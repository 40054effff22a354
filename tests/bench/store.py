"""Reading a store of 10,000 trials, as it is and compacted: absolute seconds."""

import os
import subprocess
import sys
import tempfile

from suite.results.record_index import compact
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

TRIALS = 10_000
BAR, COMPACTED_BAR = 5.0, 1.0
READ = """
import sys, time
from suite.results.store import Store
if sys.argv[2] == "warm":
    import polars
began = time.perf_counter()
records = list(Store(sys.argv[1]).records())
print(len(records), time.perf_counter() - began)
"""


def run() -> bool:
    """Print the seconds it takes to read all records; return whether both bars are met."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        _fill(store)
        met = [_report("store: 10,000 records, one by one", folder, "cold", BAR)]
        compact(store.backend)
        met.append(_report("store: 10,000 records, compacted", folder, "warm", COMPACTED_BAR))
        _report("store: the same, with the import of polars", folder, "cold", None)
    return all(met)


def _fill(store: Store) -> None:
    """Write trials as they are left by training; without its fsyncs, which are not measured."""
    fsync, os.fsync = os.fsync, lambda descriptor: None
    try:
        for seed in range(TRIALS):
            trial = make_trial("resonance", seed=seed)
            files = {"record.json": done(trial).to_json(), "curves.parquet": b"PAR1" * 1000}
            store.write(trial.key, files)
    finally:
        os.fsync = fsync


def _report(what: str, folder: str, start: str, bar: float | None) -> bool:
    """Print the best of three processes: the machine's other work only ever adds."""
    words = [sys.executable, "-c", READ, folder, start]
    times = []
    for _ in range(3):
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        count, seconds = done.stdout.split()
        assert int(count) == TRIALS
        times.append(float(seconds))
    met = bar is None or min(times) <= bar
    judged = f"  bar ≤ {bar:g} s  {'ok' if met else 'MISSED'}" if bar is not None else ""
    print(f"{what:<58} {min(times):6.2f} s (… {max(times):.2f}){judged}", flush=True)
    return met
