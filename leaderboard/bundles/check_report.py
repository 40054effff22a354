"""What checking a bundle found: its issues, and a table of what was compared.

All of it is plain data, so it can be handed over as JSON (`to_json`, `from_json`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from leaderboard.bundles.signature import Signature
from suite.results.record_check import ORDER, RERUN, Check

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SIGNATURE = "signature of the file"
NOT_ASKED = "not asked for (--rerun)"


@dataclass(frozen=True)
class SubmissionIssue:
    """One issue: its severity, the trial or part of the file, and a description."""

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        text = f"{self.severity}: {self.where}: {self.what}"
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


@dataclass(frozen=True)
class Compared:
    """A row of the table: what was compared in how many records, and with what result.

    Attributes:
        check: what was compared.
        passed: records that passed, by the way in which they were compared ("" if there is one).
        wrong: records that did not.
        skipped: records that could not be checked, by reason.
    """

    check: str
    passed: Mapping[str, int] = field(default_factory=dict)
    wrong: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, checks: Iterable[Check]) -> "Compared":
        """Return the row of the checks of this name."""
        mine = [check for check in checks if check.name == name]
        made = [check for check in mine if not check.skipped]
        return cls(
            name,
            passed=_counts(check.how for check in made if not check.problems),
            wrong=sum(bool(check.problems) for check in made),
            skipped=_counts(check.skipped for check in mine if check.skipped),
        )

    @property
    def records(self) -> int:
        """Number of records that were compared."""
        return sum(self.passed.values()) + self.wrong

    @property
    def passed_text(self) -> str:
        """How many records passed, by the way in which they were compared."""
        if len(self.passed) == 1 and "" in self.passed:
            return str(self.passed[""])
        return ", ".join(f"{count} {how}".rstrip() for how, count in self.passed.items()) or "0"

    @property
    def skipped_text(self) -> str:
        """How many records were not checked, and why."""
        return "; ".join(f"{count}: {reason}" for reason, count in self.skipped.items())


@dataclass(frozen=True)
class CheckReport:
    """What checking a bundle found.

    Attributes:
        issues: the most severe first.
        compared: the rows of the table, in the order in which they are shown.
    """

    issues: Sequence[SubmissionIssue]
    compared: Sequence[Compared]

    @classmethod
    def of(cls, issues: Iterable[SubmissionIssue], checks: Sequence[Check]) -> "CheckReport":
        """Return the report of these issues and checks; none is run again."""
        records = sum(check.name == ORDER[1] for check in checks)
        rows = [Compared.of(name, checks) for name in ORDER if name != RERUN]
        rows.append(Compared(RERUN, skipped={NOT_ASKED: records}))
        return cls(_sorted(issues), rows)

    @property
    def has_errors(self) -> bool:
        """Whether any issue is an error."""
        return any(issue.severity == "error" for issue in self.issues)

    def with_row(self, row: Compared, issues: Iterable[SubmissionIssue] = ()) -> "CheckReport":
        """Return the report with one more row, in the place of one of the same name."""
        names = [old.check for old in self.compared]
        rows = list(self.compared)
        if row.check in names:
            rows[names.index(row.check)] = row
        else:
            rows.append(row)
        return replace(self, issues=_sorted([*self.issues, *issues]), compared=rows)

    def with_reruns(
        self, compared: Sequence[Sequence[SubmissionIssue]], records: int
    ) -> "CheckReport":
        """Return the report with the comparisons of some of so many records, run again."""
        severities = [{issue.severity for issue in issues} for issues in compared]
        wrong = sum("error" in one for one in severities)
        differs = sum("warning" in one and "error" not in one for one in severities)
        right = {"equal": len(compared) - wrong - differs, "different, made elsewhere": differs}
        others = {"not chosen": records - len(compared)}
        row = Compared(
            RERUN,
            {how: number for how, number in right.items() if number},
            wrong,
            {why: number for why, number in others.items() if number},
        )
        return self.with_row(row, [issue for issues in compared for issue in issues])

    def grouped(self) -> list[SubmissionIssue]:
        """Return the issues, those of several places that say the same as one."""
        places: dict[tuple[Severity, str], list[str]] = {}
        for issue in self.issues:
            places.setdefault((issue.severity, issue.what), []).append(issue.where)
        return [
            SubmissionIssue(
                severity,
                where[0] if len(where) == 1 else f"{where[0]} and {len(where) - 1:,} more",
                what,
            )
            for (severity, what), where in places.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        compared = [{**asdict(row), "records": row.records} for row in self.compared]
        return {"findings": [asdict(issue) for issue in self.issues], "compared": compared}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CheckReport":
        """Return what `to_json` wrote."""
        rows = [{k: v for k, v in row.items() if k != "records"} for row in content["compared"]]
        return cls(
            [SubmissionIssue(**issue) for issue in content["findings"]],
            [Compared(**row) for row in rows],
        )


def signature_row(file: str, signature: Signature) -> tuple[Compared, list[SubmissionIssue]]:
    """Return the row and the issue of a file's signature."""
    words = str(signature)
    if signature.status == "signed":
        return Compared(SIGNATURE, passed={words: 1}), []
    if signature.status == "invalid":
        return Compared(SIGNATURE, wrong=1), [SubmissionIssue("error", file, words)]
    issues = [SubmissionIssue("warning", file, words)] if signature.status != "unsigned" else []
    return Compared(SIGNATURE, skipped={words: 1}), issues


def _counts(words: Iterable[str]) -> dict[str, int]:
    """Return how often each word occurs, in alphabetical order."""
    return dict(sorted(Counter(words).items()))


def _sorted(issues: Iterable[SubmissionIssue]) -> list[SubmissionIssue]:
    return sorted(issues, key=lambda issue: SEVERITIES.index(issue.severity))
