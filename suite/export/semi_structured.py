"""A network whose 2:4 Linear weights are packed in PyTorch's format; loading restores them."""

from collections.abc import Mapping

from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.export.stored_layer import StoredLayer
from suite.sparsity.storage.linear_layers import SHARED, plain_linear_layers, shared_parameters
from suite.sparsity.storage.semi_structured import (
    COLUMNS,
    ROWS,
    fits,
    is_two_four,
    pack,
    unpack,
)

PACKED, META = "packed", "meta"
"""What names of tensors in a file end in, in the place of ``weight``."""


def packed_state(
    model: nn.Module, masks: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[StoredLayer, ...]]:
    """Return the state dict of `model` with 2:4 Linear weights packed, and what became of each.

    `masks` are those of sparse layers, by name; what is dense by its mask or has none stays dense.

    Raises:
        InvalidInput: a sparse Linear layer is not 2:4, or there is none that can be packed.
    """
    linear, shared = dict(plain_linear_layers(model)), shared_parameters(model)
    packed, layers = dict(state), list[StoredLayer]()
    for name, layer in linear.items():
        mask, weight = masks.get(name), layer.weight.detach()
        sparse = mask is not None and not bool(mask.all())
        detail = SHARED if id(layer.weight) in shared else _why_dense(name, weight, sparse)
        if detail:
            layers.append(StoredLayer(name, "dense", detail))
            continue
        values, meta = pack(packed.pop(_key(name, "weight")))
        packed |= {_key(name, PACKED): values, _key(name, META): meta}
        detail = f"2 of every 4 of {layer.in_features} inputs for {layer.out_features} units"
        layers.append(StoredLayer(name, "semi_structured", detail))
    others = [StoredLayer(n, "dense", "it is not a Linear layer") for n in masks if n not in linear]
    if not any(layer.storage == "semi_structured" for layer in layers):
        reasons = "; ".join(f"layer '{one.name}': {one.detail}" for one in [*layers, *others][:3])
        raise InvalidInput(
            f"{type(model).__name__} has no Linear layer that can be packed as 2:4 ({reasons}): "
            "train it with pattern=2:4, or export it as condensed or safetensors"
        )
    return packed, (*layers, *others)


def _why_dense(name: str, weight: Tensor, sparse: bool) -> str:
    """Return why a weight stays dense; empty if it can be packed."""
    if not is_two_four(weight):
        if not sparse:
            return "it was left dense"
        raise InvalidInput(
            f"layer '{name}' is not 2:4: more than two weights in a group of four consecutive "
            "inputs, or no whole groups; train it with pattern=2:4, or export it as condensed or "
            "safetensors"
        )
    if not fits(weight.shape):
        rows, columns = weight.shape
        return (
            f"of {rows} × {columns}, where PyTorch's 2:4 format takes multiples of {ROWS} × "
            f"{COLUMNS}"
        )
    return ""


def unpacked_state(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors as a state dict of `model`, with dense weights.

    Raises:
        InvalidInput: a packed weight is damaged, or there as an ordinary one too.
    """
    restored = dict(state)
    for name, _ in plain_linear_layers(model):
        values, meta = (restored.pop(_key(name, end), None) for end in (PACKED, META))
        if values is None and meta is None:
            continue
        if values is None or meta is None:
            raise InvalidInput(f"layer '{name}' has values or metadata, but not both")
        if _key(name, "weight") in restored:
            raise InvalidInput(f"layer '{name}' has both a packed and an ordinary weight")
        try:
            restored[_key(name, "weight")] = unpack(values, meta)
        except ValueError as error:
            raise InvalidInput(f"layer '{name}': {error}") from error
    return restored


def _key(layer: str, end: str) -> str:
    return f"{layer}.{end}" if layer else end
