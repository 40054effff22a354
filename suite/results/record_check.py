"""What a check of a record found: the type that checks with and without torch share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

READABLE = "lines that are records"
KEY = "checksum, key, settings"
CONFIGURATION = "configuration and revisions"
STATED = "times, device, digests as stated"
DATA = "data as declared"
COUNTED = "metrics are counts: accuracy = k/n"
POSSIBLE = "metrics possible together"
TOTAL = "zeros in all"
ZEROS = "zeros of every layer"
LAYERS = "units and sizes follow from layers"
NETWORK = "outputs and size of its network"
UPDATES = "connectivity was updated"
INFERENCE = "inference FLOPs"
TRAINING = "training FLOPs"
WEIGHTS = "weights of its own"
TARGETS = "test targets of other records"
SEEDS = "seeds paired with other methods"
RERUN = "run again here"
ORDER = (
    READABLE, KEY, CONFIGURATION, STATED, DATA, COUNTED, POSSIBLE, TOTAL, ZEROS, LAYERS, NETWORK,
    UPDATES, INFERENCE, TRAINING, WEIGHTS, TARGETS, SEEDS, RERUN,
)  # fmt: skip
"""What is compared, in the order of the table."""


@dataclass(frozen=True)
class Check:
    """One check of one record.

    Attributes:
        name: what was compared, the same for all records: a row of the table.
        problems: why the record is wrong, each in one line; empty where it passed.
        how: in which way it was compared, where there are several ("exact", "within bounds").
        skipped: why it could not be made; empty where it was.
    """

    name: str
    problems: tuple[str, ...] = ()
    how: str = ""
    skipped: str = ""


class Recomputed(NamedTuple):
    """What follows from a trial's configuration: its optimizer steps (all rounds), and checks.

    Of a method that is not known here (`unknown` says so) there are 0 steps and fewer checks.
    """

    steps: int
    checks: tuple[Check, ...] = ()
    unknown: str = ""

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong."""
        return problems_of(self.checks)


def problems_of(checks: Iterable[Check]) -> list[str]:
    """Return everything that checks found wrong, one line each."""
    return [problem for check in checks for problem in check.problems]
