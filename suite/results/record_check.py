"""What a check of a record found: the type that checks with and without torch share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


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
    """What follows from a trial's configuration: its optimizer steps (all rounds), and checks."""

    steps: int
    checks: tuple[Check, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong."""
        return problems_of(self.checks)


def problems_of(checks: Iterable[Check]) -> list[str]:
    """Return everything that checks found wrong, one line each."""
    return [problem for check in checks for problem in check.problems]
