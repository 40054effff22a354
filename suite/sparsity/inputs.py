"""A model's inputs and outputs of one or several tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from suite.core.errors import InvalidInput

Tensors = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""One tensor, several in order (positional arguments), or several by name (keyword arguments)."""


def tensors_of(given: Tensors | None) -> list[Tensor]:
    """Return the tensors of `given`, in order."""
    if given is None:
        return []
    if isinstance(given, Tensor):
        return [given]
    return list(given.values() if isinstance(given, Mapping) else given)


def map_tensors(function: Callable[[Tensor], Tensor], given: Tensors) -> Tensors:
    """Return `given` with `function` applied to each tensor; a sequence becomes a tuple."""
    if isinstance(given, Tensor):
        return function(given)
    if isinstance(given, Mapping):
        return {name: function(tensor) for name, tensor in given.items()}
    return tuple(function(tensor) for tensor in given)


def describe(given: object) -> str:
    """Return the shapes of tensors, or the type of anything else, for a message."""
    if isinstance(given, Tensor):
        return str(tuple(given.shape))
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{name}: {describe(part)}" for name, part in given.items()) + "}"
    if isinstance(given, tuple | list):
        return "(" + ", ".join(map(describe, given)) + ")"
    return type(given).__name__


def logits_of(outputs: Any) -> Tensor:
    """Return the logits among a model's outputs.

    These are the outputs themselves, their attribute or key ``logits``, or the first tensor of a
    tuple that has a dimension (a loss may come before it, states may follow).

    Raises:
        InvalidInput: there are none.
    """
    found: Any = outputs
    if isinstance(outputs, Mapping):
        found = outputs.get("logits")
    elif not isinstance(outputs, Tensor):
        found = getattr(outputs, "logits", None)
    if found is None and isinstance(outputs, tuple | list):
        found = next((part for part in outputs if isinstance(part, Tensor) and part.ndim), None)
    if not isinstance(found, Tensor):
        raise InvalidInput(
            f"the model's outputs, {type(outputs).__name__}, hold no logits: it must return a "
            "tensor, an object or a dict with 'logits', or a tuple that starts with them"
        )
    return found
