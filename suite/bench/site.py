"""Building the leaderboard's site: from nothing, and after one record of the store has changed.

Two processes do the work. Each build is in a new Python, which has imported the package before the
clock starts.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from suite.bench.commands import run_process
from suite.bench.measurement import Bar, Measurement
from suite.bench.synthetic_store import fill
from suite.results.record import Record
from suite.results.storage_backend import RECORD
from suite.results.store import Store

TRIALS = 10_000
COLD, CHANGED = Bar(12.0), Bar(2.0)
ROUNDS = 3
BUILD = """
import sys, time
from pathlib import Path
from leaderboard.site.build import build
from suite.results.store import Store
if __name__ == "__main__":
    began = time.perf_counter()
    build(Store(sys.argv[1]), Path(sys.argv[2]), workers=2)
    print(time.perf_counter() - began)
"""


def site(trials: int = TRIALS, rounds: int = ROUNDS) -> Iterator[Measurement]:
    """Yield the seconds of a first build, and of one after a record was replaced, or removed."""
    note = f"{trials:,} trials, 2 processes"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder / "store")
        keys = fill(store, trials)
        cold = [_build(store, folder / f"site-{i}", folder) for i in range(rounds)]
        yield Measurement.of("site, first build", cold, "s", COLD, note)
        changed = []
        for key in keys[:rounds]:
            replace_record(store, key)
            changed.append(_build(store, folder / "site-0", folder))
        yield Measurement.of("site, one record replaced", changed, "s", CHANGED, note)
        removed = []
        for key in keys[:rounds]:
            (store.folder(key) / RECORD).unlink()
            removed.append(_build(store, folder / "site-0", folder))
        yield Measurement.of("site, one record removed", removed, "s", CHANGED, note)


def replace_record(store: Store, key: str) -> None:
    """Write a trial of a store again, with another time in its record."""
    record = store.read(key)
    assert record is not None
    content = json.loads(record.to_json())
    content["timing"]["seconds"] = content["timing"]["seconds"] + 1.0
    files = {name: store.load(key, name) for name in store.names(key) if name != RECORD}
    store.write(key, {**files, RECORD: Record.model_validate(content).to_json()})


def _build(store: Store, out: Path, folder: Path) -> float:
    """Return the seconds that a build takes once the package is imported."""
    script = folder / "build.py"
    script.write_text(BUILD)
    words = [sys.executable, str(script), store.location, str(out)]
    return float(run_process(words, samples_memory=False).output.split()[-1])
