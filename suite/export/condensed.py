"""A network whose Linear layers are condensed: values and indices [out, k], for inference."""

import json
from collections.abc import Mapping

from torch import Tensor, nn

from suite.core.bounded_json import LINE, InvalidJson, parse
from suite.core.errors import InvalidInput
from suite.export.compact import compact
from suite.export.stored_layer import StoredLayer
from suite.sparsity.storage.condensed import (
    CondensedLinear,
    Kernel,
    why_dense,
    with_condensed,
)
from suite.sparsity.storage.linear_layers import plain_linear_layers, with_submodule

IN_FEATURES = "in_features"
"""Metadata of a file: the number of inputs of each condensed layer, by name, as JSON."""


def condensed_network(
    model: nn.Module, example: Tensor
) -> tuple[nn.Module, tuple[StoredLayer, ...]]:
    """Return a copy of `model` with condensed Linear layers, and what became of each layer.

    Dead units are removed first where that is possible (see `compact`). A layer that would not be
    smaller stays dense, and so do convolutions: with inputs unfolded for a condensed product they
    take k·k times the memory and, on a CPU, longer than dense.

    Raises:
        InvalidInput: the model has no Linear layer.
    """
    if not any(plain_linear_layers(model)):
        raise InvalidInput(
            f"{type(model).__name__} has no Linear layer that could be condensed: export it as "
            "safetensors, onnx or compact"
        )
    try:
        smaller, kept = compact(model, example), ""
    except InvalidInput:  # torch.fx cannot follow its forward
        smaller, kept = model, "; units without weights stay: torch.fx cannot trace the model"
    reasons = why_dense(smaller)
    network = with_condensed(smaller, "torch")
    layers = []
    for name, module in smaller.named_modules():
        if name in reasons and not reasons[name]:
            layer = network.get_submodule(name)
            assert isinstance(layer, CondensedLinear)
            layers.append(StoredLayer(name, "condensed", _sizes(layer) + kept))
        elif name in reasons:
            layers.append(StoredLayer(name, "dense", reasons[name]))
        elif isinstance(module, nn.modules.conv._ConvNd):
            layers.append(StoredLayer(name, "dense", "a convolution"))
    return network, tuple(layers)


def _sizes(layer: CondensedLinear) -> str:
    """Return a layer's sizes, how many of its values are padding, and rows without weights."""
    active = layer.values != 0
    padded, empty = int((~active).sum()), int((~active).all(1).sum())
    text = f"{layer.values.shape[1]} of {layer.in_features} inputs for {layer.out_features} units"
    text += f", {padded:,} of {active.numel():,} values are padding" if padded else ""
    return text + (f", units without weights: {empty:,}" if empty else "")


def condensed_metadata(network: nn.Module) -> dict[str, str]:
    """Return what a file says of a network beside its tensors."""
    layers = {n: m for n, m in network.named_modules() if isinstance(m, CondensedLinear)}
    return {IN_FEATURES: json.dumps({name: layer.in_features for name, layer in layers.items()})}


def with_condensed_of(
    model: nn.Module, state: Mapping[str, Tensor], about: Mapping[str, str], kernel: Kernel
) -> nn.Module:
    """Return `model`, changed, with the condensed layers of a file's tensors and metadata.

    They take the type and device of the model's own layers, as other tensors do that are loaded.

    Raises:
        InvalidInput: the file names layers that the model lacks or has in a smaller size, or its
            tensors are no condensed layers, or lack the bias of one.
    """
    try:
        inputs = parse(about.get(IN_FEATURES, ""), LINE)
        if not isinstance(inputs, dict) or not all(type(n) is int for n in inputs.values()):
            raise InvalidInput(f"'{IN_FEATURES}' of its metadata are not numbers by layer")
    except InvalidJson as error:
        raise InvalidInput(f"'{IN_FEATURES}' of its metadata: {error}") from error
    layers = dict(plain_linear_layers(model))
    for name, in_features in inputs.items():
        prefix = f"{name}." if name else ""
        values, indices = (state.get(f"{prefix}{one}") for one in ("values", "indices"))
        if values is None or indices is None or name not in layers:
            raise InvalidInput(f"condensed layer '{name}' is not in both the file and the model")
        old, bias = layers[name], state.get(f"{prefix}bias")
        try:
            layer = CondensedLinear(values, indices, bias, in_features, kernel)
        except InvalidInput as error:
            raise InvalidInput(f"layer '{name}': {error}") from error
        if bias is None and old.bias is not None:
            raise InvalidInput(f"condensed layer '{name}' has no bias, which the model's has")
        if in_features > old.in_features or layer.out_features > old.out_features:
            raise InvalidInput(
                f"condensed layer '{name}' of {layer.out_features} units and {in_features} inputs "
                f"is larger than the model's, of {old.out_features} and {old.in_features}"
            )
        model = with_submodule(model, name, layer.to(old.weight).train(old.training))
    return model
