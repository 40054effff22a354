"""Run every benchmark; the exit code says whether all bars are met."""

import sys

from tests.bench import loop

if __name__ == "__main__":
    met = [loop.run()]
    sys.exit(0 if all(met) else 1)
