"""Run the benchmarks named, or all; the exit code says whether all bars are met."""

import sys

from tests.bench import detector, loop, overhead, robustness, store, update

BENCHMARKS = {
    "loop": loop.run,
    "update": update.run,
    "detector": detector.run,
    "lenet": overhead.lenet,
    "resnet": overhead.resnet_20,
    "memory": overhead.memory,
    "corruptions": robustness.corrupted,
    "measures": robustness.added,
    "store": store.run,
}

if __name__ == "__main__":
    met = [BENCHMARKS[name]() for name in sys.argv[1:] or BENCHMARKS]
    sys.exit(0 if all(met) else 1)
