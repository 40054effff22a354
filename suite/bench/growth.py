"""How the cost of many trials grows with their number: seconds, memory, and the exponent.

The same commands at each size, each the first time, with nothing remembered. Between the last two
sizes seconds grow as the number of trials to the power of the exponent: 1 is linear.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from suite.bench.commands import run_command
from suite.bench.measurement import Bar, Measurement
from suite.bench.store import MEMORY, a_home, prepared
from suite.results.store import Store

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LINEAR = Bar(1.1)
MOST = 100_000
BARS = {"status": Bar(8.0), "second run of the study": Bar(15.0), "leaderboard build": Bar(150.0)}
"""Of `MOST` trials."""
NOTE, TREE = "first time", "all its processes, at most"
Words = Callable[[Store, str, Path], list[str]]
"""The words of a command, of a store, the file of its study, and a folder to write to."""
COMMANDS: dict[str, Words] = {
    "status": lambda store, file, out: ["status", "--store", store.location],
    "second run of the study": lambda store, file, out: [
        "study", file, "--max-trials", "100000", "--store", store.location
    ],
    "list trials": lambda store, file, out: ["list", "trials", "--store", store.location],
    "compare": lambda store, file, out: [
        "compare", "rigl", "set", "-s", "0.9", "--store", store.location
    ],
    "store verify": lambda store, file, out: ["store", "verify", "--store", store.location],
    "store compact": lambda store, file, out: ["store", "compact", "--store", store.location],
    "leaderboard build": lambda store, file, out: [
        "leaderboard", "build", "--out", str(out / "site"), "--store", store.location
    ],
}  # fmt: skip


def growth(
    sizes: Sequence[int] = SIZES, commands: Sequence[str] = tuple(COMMANDS)
) -> Iterator[Measurement]:
    """Run every command at every size; sizes are in ascending order."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for size in sizes:
        with prepared(size) as (store, file):
            for name in commands:
                out = Path(tempfile.mkdtemp())
                try:
                    with a_home() as home:
                        ran = run_command(COMMANDS[name](store, file, out), home)
                finally:
                    shutil.rmtree(out)
                seconds[name].append(ran.seconds)
                bar = BARS.get(name) if size == MOST else None
                yield Measurement(name, ran.seconds, "s", bar=bar, note=NOTE, trials=size)
                what = f"{name}, memory"
                yield Measurement(what, ran.memory, "GiB", bar=MEMORY, note=TREE, trials=size)
    for name in commands:
        found = exponent(sizes[-2:], seconds[name][-2:])
        what = f"{name}: exponent from {sizes[-2]:,} to {sizes[-1]:,} trials"
        yield Measurement(what, found, "", bar=LINEAR, note="1 is linear")


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the power of its size that time grows with between two sizes."""
    return math.log(seconds[1] / seconds[0]) / math.log(sizes[1] / sizes[0])
