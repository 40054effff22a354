"""Checks as lines of text: PASS or FAIL, what was checked, what was found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from suite.core.errors import first_line

WIDTH = 42
"""Columns of what was checked; what was found follows."""


@dataclass(frozen=True)
class Check:
    """What was checked, whether it holds, and what was found."""

    what: str
    passed: bool
    found: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.what:<{WIDTH}}  {self.found}".rstrip()


Lines = Iterator[Check | str]
"""What a part of the script yields: checks, and lines that are none."""


def reason(error: BaseException) -> str:
    """Return in one line what was raised."""
    line, name = first_line(error), type(error).__name__
    return line if line == name else f"{name}: {line}"


def attempt(what: str, check: Callable[[], Check]) -> Check:
    """Return a check; one that raises has failed, for the reason that it gives."""
    try:
        return check()
    except Exception as error:
        return Check(what, False, reason(error))


def run(parts: Iterable[tuple[str, Callable[[], Lines]]]) -> int:
    """Run every part, print its lines as they come and the counts; return the exit status.

    A part that raises counts as a check that failed.
    """
    checks: list[Check] = []
    for name, part in parts:
        print(f"\n{name}", flush=True)
        for line in _lines(name, part):
            print(line, flush=True)
            if isinstance(line, Check):
                checks.append(line)
    passed = sum(check.passed for check in checks)
    print(f"\n{passed} of {len(checks)} checks passed", flush=True)
    return 0 if checks and passed == len(checks) else 1


def _lines(name: str, part: Callable[[], Lines]) -> Lines:
    try:
        yield from part()
    except Exception as error:
        yield Check(name, False, reason(error))
