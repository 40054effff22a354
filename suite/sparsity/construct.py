"""A method's Sparsifier from its declaration, in the suite's trials and in own loops alike."""

from collections.abc import Mapping
from typing import Any

from suite.core.declarations import Method
from suite.core.discovery import load
from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier

DECIDING = (
    "start", "update", "end_round", "before_step", "after_step", "after_validation", "observe",
    "attach", "after_backward", "read_gradients", "update_connectivity", "finish",
)  # fmt: skip
"""What a method overrides of `Sparsifier` to choose masks: at least one of them."""


def make_sparsifier(method: Method, plan: Plan, options: Mapping[str, Any]) -> Sparsifier:
    """Return a method, not yet attached; this checks its class, and its options against the plan.

    Args:
        method: its declaration.
        plan: the training.
        options: every hyperparameter of the method, resolved.

    Raises:
        InvalidInput: the class cannot be imported or is not a Sparsifier that could prune; or
            options do not fit the training (a window longer than it, say).
    """
    implementation = load(method.implementation, method.origin)
    if not (isinstance(implementation, type) and issubclass(implementation, Sparsifier)):
        raise InvalidInput(
            f"method {method.name}: {method.implementation} in {method.origin} is not a Sparsifier"
        )
    if missing := sorted(getattr(implementation, "__abstractmethods__", ())):
        raise InvalidInput(
            f"method {method.name}: {method.implementation} lacks {', '.join(missing)}: define "
            "what its base class leaves open"
        )
    due, update = (getattr(implementation, n) for n in ("is_update", "update"))
    if (due is Sparsifier.is_update) != (update is Sparsifier.update):
        absent = "is_update" if due is Sparsifier.is_update else "update"
        raise InvalidInput(
            f"method {method.name}: {method.implementation} lacks {absent}: define both "
            "is_update and update, or neither"
        )
    own = (getattr(implementation, n) is not getattr(Sparsifier, n) for n in DECIDING)
    prunes = method.zeros and not method.dense and plan.sparsity > 0
    if prunes and not any(own):
        raise InvalidInput(
            f"method {method.name}: {method.implementation} defines none of "
            f"{', '.join(DECIDING)}: it would never prune"
        )
    return implementation(plan, options)
