"""Run the benchmarks named, or all; the exit code says whether all bars are met."""

import sys

from tests.bench import (
    engine,
    finding,
    loop,
    page,
    pipeline,
    robustness,
    site,
    store,
)

BENCHMARKS = {
    "loop": loop.run,
    "pipeline": pipeline.run,
    "epoch": pipeline.share,
    "corruptions": robustness.corrupted,
    "measures": robustness.added,
    "store": store.run,
    "finding": finding.run,
    "site": site.run,
    "engine": engine.overhead,
    "page": page.run,
}

if __name__ == "__main__":
    met = [BENCHMARKS[name]() for name in sys.argv[1:] or BENCHMARKS]
    sys.exit(0 if all(met) else 1)
