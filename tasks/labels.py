"""Labels as they stand in the data, numbered 0 … k − 1 for training."""

from collections.abc import Sequence

import numpy as np

from suite.core.errors import InvalidInput
from tasks.task import MAX_CLASSES

MAX_RECORDED = 1000
"""Largest number of labels that a record lists."""
FEW_REAL_NUMBERS = 20
"""So many different real numbers may be classes (ratings in steps of 0.5); more are not."""

Label = int | str

REGRESSION = "give data 'targets: real' for regression, or a column of classes"


def distinct(labels: np.ndarray, where: str) -> tuple[Label, ...]:
    """Return the labels that occur in a training split, in ascending order.

    Args:
        labels: one per example, integers or text [n].
        where: the data, for messages.

    Raises:
        InvalidInput: there is one class only, or there are too many to be classes.
    """
    values = tuple(np.unique(labels).tolist())
    check_classes(values, len(labels), where)
    return values


def check_classes(values: Sequence[object], examples: int, where: str) -> None:
    """Check that these labels of so many examples are classes.

    Raises:
        InvalidInput: there is one only, more than one for two examples, or more than
            `MAX_CLASSES`; the message shows some.
    """
    check_several(values, where)
    if 2 * len(values) > examples:
        raise InvalidInput(
            f"{where}: {len(values):,} classes for {examples:,} examples ({shown(values)}): these "
            f"look like real numbers or names of rows, not like classes: {REGRESSION}"
        )
    if len(values) > MAX_CLASSES:
        raise InvalidInput(
            f"{where}: {len(values):,} classes ({shown(values)}), more than the {MAX_CLASSES:,} "
            f"that are trained: {REGRESSION}"
        )


def check_several(values: Sequence[object], where: str) -> None:
    """Check that there is more than one class.

    Raises:
        InvalidInput: there is one only; the message names it.
    """
    if len(values) == 1:
        raise InvalidInput(
            f"{where}: one class only ({shown(values)}), so there is nothing to learn: add "
            "examples of another class"
        )


def why_not_stratified(labels: np.ndarray, held: int) -> str:
    """Return why no stratified split of `held` of these examples can be drawn; empty if it can.

    Args:
        labels: the class of each example [n].
        held: the size of the one part; the other has the rest.
    """
    _, counts = np.unique(labels, return_counts=True)
    if alone := int((counts < 2).sum()):
        return (
            f"{alone:,} of {len(counts):,} classes {'has' if alone == 1 else 'have'} one example "
            "only, and each needs one in both parts: add examples of them, or leave them out"
        )
    if min(held, len(labels) - held) < len(counts):
        return (
            f"each of the {len(counts):,} classes needs one, and one in the other "
            f"{len(labels) - held:,}: give another fraction, or more examples"
        )
    return ""


def check_real(values: Sequence[float], where: str) -> None:
    """Check that target values with fractions may be the names of classes.

    Raises:
        InvalidInput: there are too many of them.
    """
    if len(values) > FEW_REAL_NUMBERS and any(value != int(value) for value in values):
        raise InvalidInput(
            f"{where} holds {len(values):,} different real numbers ({shown(values)}): {REGRESSION}"
        )


def encode(labels: np.ndarray, values: Sequence[Label], where: str) -> np.ndarray:
    """Return each label's index in `values`, int64 [n].

    Raises:
        InvalidInput: a label is not among them; the message shows both.
    """
    known = np.array(values)
    indices = np.searchsorted(known, labels).clip(max=len(known) - 1)
    unknown = np.flatnonzero(known[indices] != labels)
    if len(unknown):
        row = int(unknown[0])
        raise InvalidInput(
            f"{where}: example {row} has the label {labels[row]!s:.80}, which the training data "
            f"lacks (it has {shown(values)}): remove it, or add training examples of it"
        )
    return indices.astype(np.int64)


def renamed(values: tuple[Label, ...]) -> tuple[Label, ...]:
    """Return the labels if numbering changes them, and nothing if they are 0 … k − 1 already."""
    return () if values == tuple(range(len(values))) else values


def shown(values: Sequence[object], most: int = 5) -> str:
    """Return the first few values for a message."""
    some = ", ".join(f"{value!s:.40}" for value in values[:most])
    return some if len(values) <= most else f"{some}, …"


def for_record(labels: Sequence[Label]) -> dict[str, object]:
    """Return what a record says of labels that were numbered: all, or the first thousand."""
    if not labels:
        return {}
    listed = [label if isinstance(label, int) else printable(label) for label in labels]
    return {"classes": len(labels), "labels": listed[:MAX_RECORDED]}


def notes(labels: Sequence[Label]) -> list[str]:
    """Return what a record notes where whole numbers were numbered again."""
    if not labels or isinstance(labels[0], str):
        return []
    return [f"the labels {shown(labels)} are the classes 0 … {len(labels) - 1}"]


def printable(text: str) -> str:
    """Return a name as it can be shown on one line: at most 200 characters, none of control."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
