"""Counted predictions: how many of a split are right, the confusion matrix, what follows from it.

Metrics that are fractions of predictions follow from these integers and from nothing else, so a
record that holds both can be checked exactly.
"""

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, StrictInt, StrictStr

MAX_CLASSES = 1000
"""With more classes a record has no confusion matrix."""
MAX_COUNT = 2**53
"""Larger integers are not exact as floating-point numbers, and no split has as many examples."""
MAX_ROW = MAX_CLASSES * len(f"{MAX_CLASSES - 1}:{MAX_COUNT} ")
"""Characters of the longest row; longer texts are refused before they are parsed."""

CountedSplit = Literal["test", "validation"]
Count = Annotated[StrictInt, Field(le=MAX_COUNT)]
Row = Annotated[StrictStr, Field(max_length=MAX_ROW)]

_NUMBER = r"(?:0|[1-9][0-9]{0,15})"
_ROW = re.compile(rf"(?:{_NUMBER}:{_NUMBER}(?: {_NUMBER}:{_NUMBER})*)?")


class Counts(BaseModel, frozen=True, extra="forbid"):
    """The predictions of a split, counted.

    Types and sizes are checked when it is made; `problem` checks the rest, which takes longer.

    Attributes:
        correct: predictions that are right.
        total: all of them: examples; of text, predicted characters.
        confusion: a row for each true class, empty for text and above 1,000 classes. A row holds
            the counts that are not 0 by predicted class, in ascending order, as "0:978 3:2"; a
            class that does not occur has an empty row.
    """

    correct: Annotated[Count, Field(ge=0)]
    total: Annotated[Count, Field(ge=1)]
    confusion: Annotated[tuple[Row, ...], Field(max_length=MAX_CLASSES)] = Field(
        default=(), exclude_if=operator.not_
    )

    @classmethod
    def of_cells(cls, cells: Iterable[Sequence[int]], classes: int) -> "Counts":
        """Return the counts of a confusion matrix from its cells that are not 0.

        `cells` are (true class, predicted class, count), ordered by class.
        """
        rows: list[list[str]] = [[] for _ in range(classes)]
        correct = total = 0
        for true, predicted, count in cells:
            rows[true].append(f"{predicted}:{count}")
            total += count
            correct += count if true == predicted else 0
        return cls(correct=correct, total=total, confusion=tuple(map(" ".join, rows)))

    @property
    def words(self) -> str:
        """How many are right, as "978 of 1,000"."""
        return f"{self.correct:,} of {self.total:,}"

    @property
    def problem(self) -> str:
        """Why these counts are not possible, in one line; empty if they are."""
        if self.correct > self.total:
            return f"{self.correct} of {self.total} predictions cannot be right"
        if not self.confusion:
            return ""
        correct = total = 0
        for true, row in enumerate(self.confusion):
            if _ROW.fullmatch(row) is None:
                return (
                    f"row {true} of the confusion matrix is {row!r:.40}: give CLASS:COUNT, "
                    "separated by single spaces"
                )
            predicted, counts = _cells(row)
            if not all(map(operator.lt, predicted, predicted[1:])):
                return f"row {true} of the confusion matrix does not name its classes in order"
            if predicted and predicted[-1] >= len(self.confusion):
                return (
                    f"row {true} of the confusion matrix has class {predicted[-1]} of "
                    f"{len(self.confusion)}"
                )
            if 0 in counts:
                return f"row {true} of the confusion matrix has a count of 0: leave it out"
            total += sum(counts)
            if true in predicted:
                correct += counts[predicted.index(true)]
        if total != self.total:
            return f"the confusion matrix has {total} predictions, not {self.total}"
        if correct != self.correct:
            return f"the confusion matrix has {correct} right predictions, not {self.correct}"
        return ""

    @property
    def one_class_predicted(self) -> bool:
        """Whether all examples are predicted as one class, though they are of several."""
        occurring, predicted, _ = ClassTotals.of(self)
        return sum(map(bool, predicted)) == 1 < sum(map(bool, occurring))

    def matrix(self) -> list[list[int]]:
        """Return the confusion matrix by true and predicted class; empty if there is none."""
        matrix = [[0] * len(self.confusion) for _ in self.confusion]
        for true, row in enumerate(self.confusion):
            for predicted, count in zip(*_cells(row), strict=True):
                matrix[true][predicted] = count
        return matrix


class ClassTotals(NamedTuple):
    """By class: how many examples it has, how often it is predicted, and how often rightly."""

    occurring: Sequence[int]
    predicted: Sequence[int]
    right: Sequence[int]

    @classmethod
    def of(cls, counts: Counts) -> "ClassTotals":
        """Return the sums of a confusion matrix's rows and columns, and its diagonal."""
        occurring, predicted, right = ([0] * len(counts.confusion) for _ in range(3))
        for true, row in enumerate(counts.confusion):
            labels, counted = _cells(row)
            occurring[true] = sum(counted)
            for label, count in zip(labels, counted, strict=True):
                predicted[label] += count
            if true in labels:
                right[true] = counted[labels.index(true)]
        return cls(occurring, predicted, right)

    @property
    def balanced_accuracy(self) -> float:
        """Mean, over the classes that occur, of the fraction found; as scikit-learn defines it."""
        occurring, _, right = self
        return _mean([r / n for r, n in zip(right, occurring, strict=True) if n])

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur or were predicted; 0 for one never right."""
        return _mean([2 * r / (n + p) for n, p, r in zip(*self, strict=True) if n + p])


def accuracy(counts: Counts) -> float:
    """Return the fraction of right predictions."""
    return counts.correct / counts.total


def balanced_accuracy(counts: Counts) -> float:
    """Return the balanced accuracy that follows from a confusion matrix without a `problem`."""
    return ClassTotals.of(counts).balanced_accuracy


def macro_f1(counts: Counts) -> float:
    """Return the macro-F1 that follows from a confusion matrix without a `problem`."""
    return ClassTotals.of(counts).macro_f1


def check_counts(
    counts: Mapping[CountedSplit, Counts], metrics: Mapping[str, float], data: Mapping[str, Any]
) -> None:
    """Check a record's counts against its metrics and the sizes of its splits: what is quick.

    Raises:
        ValueError: a split has another number of examples, or its accuracy is another.
    """
    for split, counted in counts.items():
        if counted.correct > counted.total:
            raise ValueError(f"counts.{split}: {counted.problem}")
        if (size := data.get(split)) is not None:
            # A text's examples are windows of as many predictions each.
            text = f"{split}_bits_per_character" in metrics
            fits = type(size) is int and size > 0
            if not fits or (counted.total % size if text else counted.total != size):
                raise ValueError(
                    f"counts.{split} has {counted.total} predictions, and data.{split} {size!r:.40}"
                    + (" windows of text" if text else " examples")
                )
        name = f"{split}_accuracy"
        if name in metrics and metrics[name] != accuracy(counted):
            raise ValueError(
                f"{name} is {metrics[name]!r}, and {counted.correct} of {counted.total} "
                f"predictions are right: {accuracy(counted)!r}"
            )


def confusion_problem(counts: Mapping[CountedSplit, Counts], metrics: Mapping[str, float]) -> str:
    """Return why a record's confusion matrices are not possible, in one line; empty if they are.

    Balanced accuracy and macro-F1 must follow from them to the last bit.
    """
    for split, counted in counts.items():
        if problem := counted.problem:
            return f"counts.{split}: {problem}"
        if not counted.confusion:
            continue
        totals = ClassTotals.of(counted)
        for kind in ("balanced_accuracy", "macro_f1"):
            name, follows = f"{split}_{kind}", getattr(totals, kind)
            if name in metrics and metrics[name] != follows:
                return f"{name} is {metrics[name]!r}, and {follows!r} by its confusion matrix"
    return ""


def _cells(row: str) -> tuple[list[int], list[int]]:
    """Return a row's predicted classes and their counts."""
    numbers = list(map(int, row.replace(":", " ").split()))
    return numbers[::2], numbers[1::2]


def _mean(values: Sequence[float]) -> float:
    """Return the mean of a correctly rounded sum, which does not depend on the order of classes."""
    return math.fsum(values) / len(values)
