"""Run the benchmarks named, or all; the exit code says whether all bars are met."""

import sys

from tests.bench import (
    detector,
    engine,
    loop,
    overhead,
    own_loop,
    page,
    pipeline,
    robustness,
    site,
    update,
)

BENCHMARKS = {
    "loop": loop.run,
    "pipeline": pipeline.run,
    "epoch": pipeline.share,
    "update": update.run,
    "detector": detector.run,
    "own-loop": own_loop.run,
    "lenet": overhead.lenet,
    "resnet": overhead.resnet_20,
    "memory": overhead.memory,
    "corruptions": robustness.corrupted,
    "measures": robustness.added,
    "site": site.run,
    "engine": engine.overhead,
    "page": page.run,
}

if __name__ == "__main__":
    met = [BENCHMARKS[name]() for name in sys.argv[1:] or BENCHMARKS]
    sys.exit(0 if all(met) else 1)
