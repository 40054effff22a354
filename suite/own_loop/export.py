"""Export of a model from a training loop of one's own."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.export.network import (
    Exported,
    Format,
    write_compact,
    write_condensed,
    write_onnx,
    write_semi_structured,
    write_weights,
)
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import unwrap


def export(
    model: nn.Module,
    layers: Sequence[PrunableWeight],
    path: str | os.PathLike[str],
    to: str = "safetensors",
    example: Tensor | None = None,
) -> Exported:
    """Write `model` to a file, as an ordinary network; it is not changed.

    Args:
        model: also one whose layers are stored sparse (CSR), which are exported as ordinary ones.
        layers: its prunable weights.
        path: of the file; an existing one is replaced once the new one is complete.
        to: one of

            - ``safetensors``: the state dict, dense with zeros, and the masks, as
              ``mask/<layer>``; ``masks=path`` starts from them
            - ``onnx``: a network of one input for batches of any size, in evaluation mode; needs
              the extra ``onnx``
            - ``compact``: weights without dead units, which
              `suite.export.network.load_network` reads back, as it does the next two
            - ``condensed``: Linear weights as values and indices [out, k], k the largest fan-in,
              where that is smaller; for inference
            - ``semi_structured``: 2:4 Linear weights in PyTorch's format, half the values and two
              bits for each

        example: inputs [n, …], n ≥ 2, for onnx, compact and condensed.

    Raises:
        InvalidInput: an argument cannot be used, the format does not support the model, or the
            file cannot be written.
    """
    if to not in list(Format):
        raise InvalidInput(f"to={to!r} is not a format: give {' or '.join(Format)}")
    form = Format(to)
    if not isinstance(path, str | os.PathLike) or not Path(path).name:
        raise InvalidInput(f"path={path!r} is not usable: give the name of the file to write")
    network = unwrap(model)
    if form in (Format.SAFETENSORS, Format.SEMI_STRUCTURED):
        masks = {layer.name: layer.mask.cpu() for layer in layers}
        if form is Format.SAFETENSORS:
            return write_weights(network, masks, Path(path), {})
        return write_semi_structured(copy.deepcopy(network).cpu(), masks, Path(path), {})
    batch = _checked(example, form)
    # Layers in CSR are copied as ordinary ones.
    network = copy.deepcopy(network).cpu().eval()
    if form is Format.COMPACT:
        return write_compact(network, Path(path), batch, {})
    if form is Format.CONDENSED:
        return write_condensed(network, Path(path), batch, {})
    return write_onnx(network, Path(path), batch)


def _checked(example: Any, form: Format) -> Tensor:
    """Return a batch to trace the network with, on the CPU."""
    if example is None:
        raise InvalidInput(f"to='{form}' needs example=x, a batch of at least two inputs")
    if not isinstance(example, Tensor):
        raise InvalidInput(
            f"example: a {type(example).__name__} is not usable: give a batch of inputs as one "
            "tensor"
        )
    if example.ndim == 0 or len(example) < 2:
        raise InvalidInput(
            f"example: shape {tuple(example.shape)} is not usable: give a batch of at least two "
            "inputs"
        )
    return example.detach().cpu()
