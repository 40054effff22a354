"""Given masks to start from: of another run, of a file, or the zeros that the weights have."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from suite.core.bounded_safetensors import metadata_of_file
from suite.core.errors import InvalidInput
from suite.export.network import MASK
from suite.sparsity.layers import PrunableWeight
from suite.training.serialization import STATE, unpack

NONZERO = "nonzero"
"""Masks where the weights are not 0."""

ACCEPTED = (
    f"give a dict of layer names and boolean tensors, a handle's state_dict(), '{NONZERO}' or the "
    "path of a .safetensors file"
)
PICKLES = (b"PK\x03\x04", b"\x80")
"""How files of torch.save and pickle start; files of safetensors start with a length."""

MAX_NAMES = 5
"""Most layer names in a message."""


def read_masks(given: Any, layers: Sequence[PrunableWeight]) -> dict[str, Tensor]:
    """Return the masks to start from: boolean, by layer name, on each layer's device.

    Args:
        given: one of

            - a mapping of layer names to masks: boolean tensors, or tensors of 0 and 1
            - ``"nonzero"``: masks that keep what is not 0 now
            - what a handle's ``state_dict()`` returned
            - the path of a .safetensors file: an exported network, the stored network of a trial
              (``model.safetensors``), saved masks by layer name, or the packed state of a handle

        layers: the model's prunable weights. Each needs a mask of its shape; one without zeros
            stays dense.

    Raises:
        InvalidInput: it is none of these, a layer has no mask or one that does not fit, there is a
            mask of another layer, no mask has any zeros, or all have nothing else.
    """
    if isinstance(given, str) and given == NONZERO:
        masks = {layer.name: layer.values != 0 for layer in layers}
        return _with_both(masks, "the weights")
    if isinstance(given, str | os.PathLike):
        largest = max((math.prod(layer.shape) for layer in layers), default=0)
        found = _of_file(Path(given), largest)
    else:
        found = _of_mapping(given)
    return _with_both(_checked(found, layers), "they")


def _with_both(masks: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    """Return the masks, which must have zeros and ones; messages call them `what`."""
    if all(bool(mask.all()) for mask in masks.values()):
        raise InvalidInput(f"masks: {what} have no zeros: give sparsity instead of masks")
    if not any(bool(mask.any()) for mask in masks.values()):
        raise InvalidInput(
            f"masks: {what} are 0 everywhere, which leaves nothing to train: give masks that keep "
            "some weights, or sparsity"
        )
    return masks


def _of_mapping(given: Any) -> Mapping[str, Any]:
    """Return the masks by layer name of a mapping that may be the state of a handle."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"masks: a {type(given).__name__} is not usable: {ACCEPTED}")
    for state in (given.get("sparsifier"), given):
        if isinstance(state, Mapping) and isinstance(masks := state.get("masks"), Mapping):
            return masks
    named = {
        name.removeprefix(MASK): mask
        for name, mask in given.items()
        if isinstance(name, str) and name.startswith(MASK)
    }
    return named or given


def _of_file(path: Path, largest: int) -> Mapping[str, Any]:
    """Return the masks by layer name of a safetensors file; nothing else of it is read.

    `largest` is the number of weights of the largest layer.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # The length of a safetensors header may start like a pickle; behind it is the header.
        if start.startswith(PICKLES) and start[8:] != b"{":
            raise InvalidInput(
                f"masks: {path} is a pickle (torch.save), which could execute code and is not "
                "read: load it yourself and give the masks as a dict, or save them with safetensors"
            )
        with path.open("rb") as file:
            about = metadata_of_file(file, path.stat().st_size)
        if STATE in about:
            return _of_mapping(unpack(path.read_bytes())[0])
        with safe_open(path, framework="pt") as opened:
            names = list(opened.keys())
            wanted = [name for name in names if name.startswith(MASK)] or names
            for name in wanted:
                if math.prod(shape := opened.get_slice(name).get_shape()) > largest:
                    raise InvalidInput(
                        f"masks: '{name}' of {path} has shape {tuple(shape)}, larger than any "
                        "layer: give the masks of this model"
                    )
            return _of_mapping({name: opened.get_tensor(name) for name in wanted})
    except InvalidInput:  # a ValueError too
        raise
    except OSError as error:
        raise InvalidInput(
            f"masks: {path} cannot be read ({error.strerror or error}): {ACCEPTED}"
        ) from error
    except (SafetensorError, ValueError) as error:
        raise InvalidInput(f"masks: {path} is not a safetensors file: {ACCEPTED}") from error


def _checked(found: Mapping[str, Any], layers: Sequence[PrunableWeight]) -> dict[str, Tensor]:
    own = [layer.name for layer in layers]
    if unknown := [name for name in found if name not in own]:
        raise InvalidInput(
            f"masks: this model has no prunable layer {_listed(unknown)}; it has {_listed(own)}. "
            f"To keep the zeros of weights, load them and give masks='{NONZERO}'"
        )
    if missing := [name for name in own if name not in found]:
        raise InvalidInput(
            f"masks: there is none for layer {_listed(missing)}: give one for every layer, all "
            "True for one that stays dense"
        )
    return {layer.name: _boolean(layer, found[layer.name]) for layer in layers}


@torch.no_grad()
def _boolean(layer: PrunableWeight, mask: Any) -> Tensor:
    """Return a layer's mask as booleans, on the layer's device; a copy."""
    if not isinstance(mask, Tensor) or mask.layout is not torch.strided:
        kind = f"a tensor of {mask.layout}" if isinstance(mask, Tensor) else type(mask).__name__
        raise InvalidInput(
            f"masks: that of layer '{layer.name}' is {kind}: give an ordinary boolean tensor"
        )
    if mask.shape != layer.shape:
        raise InvalidInput(
            f"masks: that of layer '{layer.name}' has shape {tuple(mask.shape)}: give the "
            f"weight's, {tuple(layer.shape)}"
        )
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise InvalidInput(
            f"masks: that of layer '{layer.name}' has other values than 0 and 1: give booleans, "
            "weight != 0 for instance"
        )
    return mask.to(layer.device, torch.bool, copy=True).contiguous()


def _listed(names: Iterable[Any]) -> str:
    shown = [f"'{name}'" for name in names]
    more = f" and {len(shown) - MAX_NAMES} more" if len(shown) > MAX_NAMES else ""
    return ", ".join(shown[:MAX_NAMES]) + more
