"""The exceptions that the project raises on purpose, and the first line of any other."""

from collections.abc import Sequence


class InvalidInput(ValueError):
    """What a user gave cannot be used.

    The message is one line: the value, what is allowed, what to do. The command line prints it
    without a traceback and exits with code 2.
    """


class TrialFailed(RuntimeError):
    """A trial that had started cannot be finished (its loss is NaN, for instance).

    The study records the failure and continues.
    """


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
    return (str(error).splitlines() or [type(error).__name__])[0]
