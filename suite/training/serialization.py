"""Nested states as one safetensors file: tensors and JSON, nothing that could be executed.

A state consists of dicts, lists, tuples, tensors, numbers, strings and None. `unpack` restores it
exactly: types, keys, order, and every bit of every tensor and float.
"""

import json
from typing import Any

import torch
from safetensors.torch import load, save

from suite.core.bounded_json import Limits, parse
from suite.core.bounded_safetensors import metadata

STATE = "state"
LIMITS = Limits(size=32 * 2**20, values=4_000_000, depth=200, text=1_000_000, infinite=True)
"""Of the JSON that says how a state is built; a level of a dict is three there."""


def pack(state: Any, about: dict[str, str] | None = None) -> bytes:
    """Return `state` as a safetensors file; `about` is metadata, stored as strings beside it.

    Raises:
        TypeError: it holds something that is neither a tensor nor plain data.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = json.dumps(_flatten(state, tensors), separators=(",", ":"))
    return save(tensors, {**(about or {}), STATE: skeleton})


def unpack(content: bytes) -> tuple[Any, dict[str, str]]:
    """Return (state, about) of `pack`; tensors are on the CPU.

    Raises:
        ValueError: it is not such a file: cut short, altered, or of another kind.
    """
    try:
        about = metadata(content)
        structure = parse(about.pop(STATE), LIMITS)
        return _restore(structure, load(content)), about
    except Exception as error:  # safetensors raises its own exception and several of Python's
        raise ValueError(f"not a saved state: {type(error).__name__}: {error}") from error


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return JSON for `value`: an object is always one of the three marks below."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # Copied, because safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_flatten(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_flatten(item, tensors) for item in value]}
    if isinstance(value, dict):
        pairs = [[_flatten(k, tensors), _flatten(v, tensors)] for k, v in value.items()]
        return {"dict": pairs}
    raise TypeError(
        f"a state may hold tensors, numbers, texts, lists, tuples and dicts, not {type(value)}"
    )


def _restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((mark, content),) = value.items()
    if mark == "tensor":
        return tensors[content]
    if mark == "tuple":
        return tuple(_restore(item, tensors) for item in content)
    if mark == "dict":
        return {_restore(k, tensors): _restore(v, tensors) for k, v in content}
    raise ValueError(f"no such mark: {mark}")
