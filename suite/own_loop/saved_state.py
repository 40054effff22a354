"""What a handle's saved state must be, before anything of it is loaded."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.errors import InvalidInput


def check_handle_state(state: Any, method: str) -> None:
    """Check that something is what `Handle.state_dict` of a method returns.

    Raises:
        InvalidInput: it is not, or of another method.
    """
    what = "give what handle.state_dict() returned"
    needed = {"step", "round", "rewind", "sparsifier"}
    if not isinstance(state, Mapping) or not needed <= set(state):
        missing = needed - set(state) if isinstance(state, Mapping) else needed
        raise InvalidInput(
            f"this is not the state of a handle (it lacks {', '.join(sorted(missing))}): {what}"
        )
    for name in ("step", "round"):
        if type(state[name]) is not int or state[name] < 0:
            raise InvalidInput(f"the saved state has {name}={state[name]!r}, no count: {what}")
    stepped = state.get("stepped", [])
    if not isinstance(stepped, list) or not all(type(place) is int for place in stepped):
        raise InvalidInput(f"the saved state has stepped={stepped!r}, no list of places: {what}")
    names = ("rewind", "sparsifier", "curves", "cost")
    parts = {name: state[name] for name in names if name in state}
    inner = state["sparsifier"] if isinstance(state["sparsifier"], Mapping) else {}
    parts |= {name: inner.get(name) for name in ("configuration", "masks", "extra")}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise InvalidInput(
                f"the saved state has no usable '{name}' ({type(part).__name__}): {what}"
            )
    if not all(isinstance(mask, Tensor) for mask in inner["masks"].values()):
        raise InvalidInput(f"the saved state has masks that are no tensors: {what}")
    if state.get("method", method) != method:
        raise InvalidInput(
            f"the saved state is of {state['method']}, this handle is of {method}: resume with the "
            "method it was saved under"
        )
