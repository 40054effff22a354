"""The exceptions that the project raises on purpose, and the first line of any other."""

from collections.abc import Sequence

from suite.core.redact import redact

MAX_MESSAGE = 100_000
"""Longer messages are cut in the middle."""


class InvalidInput(ValueError):
    """What a user gave cannot be used.

    The message is one line: the value, what is allowed, what to do; line ends in the value become
    spaces. The command line prints it without a traceback and exits with code 2. Secrets of this
    machine are not shown.
    """

    def __str__(self) -> str:
        return redact(" ".join(super().__str__().splitlines()))


class TrialFailed(RuntimeError):
    """A trial that had started cannot be finished (its loss is NaN, for instance).

    The study records the failure and continues. Secrets of this machine are not shown.
    """

    def __str__(self) -> str:
        return redact(super().__str__())


class Interrupted(KeyboardInterrupt):
    """A trial was asked to stop, and has stopped where it can resume."""


class TrialPruned(Interrupted):
    """A trial has ended early, because its validation scores are below a bound.

    Attributes:
        scores: after each epoch up to then.
    """

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__(f"pruned after {len(scores)} epochs")
        self.scores = tuple(scores)


class SparsityWarning(UserWarning):
    """A network that is being sparsified will not be what one would expect."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message; its type's name if it has none."""
    return (message_of(error).splitlines() or [type(error).__name__])[0]


def message_of(error: BaseException) -> str:
    """Return an exception's message, which may be anything, as text that can be written."""
    try:
        text = str(error)
    except Exception as failed:  # its own __str__ is wrong
        text = f"its message cannot be shown: {type(failed).__name__}"
    return printable(text)


def printable(text: str) -> str:
    """Return `text` so that every file and terminal takes it: without halves of surrogate pairs.

    Of a very long one the beginning and the end are kept.
    """
    if len(text) > MAX_MESSAGE:
        half = MAX_MESSAGE // 2
        text = f"{text[:half]} […] {text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()
