"""Remove a sparse network's dead units: smaller, dense, with the same outputs up to rounding.

A unit (a neuron, a channel) is dead if it has no outgoing or no incoming weights. It then has no
effect, or a constant one that can be folded into the next layer's bias. Removing units can make
others dead, so this is repeated until nothing changes. Units that feed a sum (a residual
connection) and the network's outputs stay.
"""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from suite.core.errors import InvalidInput, first_line

POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Hardswish,
    nn.Identity, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SPATIAL = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
TENSORS = ("weight", "bias", "running_mean", "running_var")
"""Those of a layer or norm that have an entry for each of its units."""
FUNCTIONS = (F.relu, F.gelu, F.silu, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, torch.relu)


@dataclass
class Segment:
    """Units that one layer computes and exactly one other layer reads.

    Attributes:
        source, target: names of the two layers.
        norms: names of the normalisation layers between them.
    """

    source: str
    target: str
    norms: list[str]


def compact(model: nn.Module, example: Tensor) -> nn.Module:
    """Return a copy of `model`, in evaluation mode, without its dead units.

    `example` is a batch of at least two inputs, to find the constants that dead units output.

    Raises:
        InvalidInput: `torch.fx` cannot trace the model.
    """
    model = copy.deepcopy(model).eval()
    segments = find_segments(model)
    while sum(_shrink(model, segment, example) for segment in segments):  # a sum visits them all
        pass
    return model


def find_segments(model: nn.Module) -> list[Segment]:
    """Return the pairs of layers between which units can be removed."""
    try:
        graph = fx.symbolic_trace(model).graph
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"{type(model).__name__} cannot be compacted: torch.fx cannot trace its forward "
            f"({first_line(error)}); export it as safetensors or onnx"
        ) from error
    modules = dict(model.named_modules())
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    layers = [n for n in graph.nodes if _is_layer(n, modules) and calls[str(n.target)] == 1]
    segments = [_follow(layer, modules) for layer in layers]
    return [one for one in segments if one is not None and calls[one.target] == 1]


def _is_layer(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)


def _follow(source: fx.Node, modules: dict[str, nn.Module]) -> Segment | None:
    """Follow a layer's output, through operations that act per unit, to the next layer."""
    of_images = isinstance(modules[str(source.target)], nn.Conv2d)
    norms: list[str] = []
    node = source
    while len(node.users) == 1:
        (node,) = node.users
        name = str(node.target)
        if _is_layer(node, modules):
            return Segment(str(source.target), name, norms)
        if node.op == "call_module":
            module = modules[name]
            flattens = isinstance(module, nn.Flatten) and module.start_dim == 1
            if isinstance(module, NORMS) and module.track_running_stats:
                norms.append(name)
            elif not (
                isinstance(module, POINTWISE)
                or (of_images and (flattens or isinstance(module, SPATIAL)))
            ):
                return None
        elif node.op == "call_function":
            flattens = node.target is torch.flatten and node.args[1:] == (1,) and not node.kwargs
            if node.target not in FUNCTIONS and not (of_images and flattens):
                return None
        elif not (node.op == "call_method" and node.target == "relu"):
            return None
    return None


@torch.no_grad()
def _shrink(model: nn.Module, segment: Segment, example: Tensor) -> bool:
    """Remove the dead units of a segment; return whether there were any."""
    source = model.get_submodule(segment.source)
    target = model.get_submodule(segment.target)
    assert isinstance(source, nn.Linear | nn.Conv2d)
    assert isinstance(target, nn.Linear | nn.Conv2d)
    units = source.weight.shape[0]
    # The target's weights by unit: a flattened image gives each channel several columns.
    columns = target.weight.shape[1] // units
    outgoing = target.weight.unflatten(1, (units, columns)).transpose(0, 1).flatten(2)
    unused = (outgoing == 0).flatten(1).all(1)
    foldable = (source.weight == 0).flatten(1).all(1) & ~unused
    values = outgoing.new_zeros(units)
    if bool(foldable.any()):
        values = _constants(model, target, example, units)
        padded = isinstance(target, nn.Conv2d) and any(target.padding)
        foldable &= values.isfinite() & ((values == 0) | (not padded))
    keep = ~(unused | foldable)
    if not bool(keep.any()):
        keep[0] = True  # a layer must keep at least one unit
    if bool(keep.all()):
        return False
    shift = (outgoing.sum(2) * torch.where(foldable & ~keep, values, 0)[:, None]).sum(0)
    if bool((shift != 0).any()):
        target.bias = nn.Parameter(shift if target.bias is None else target.bias + shift)
    for module in (source, *map(model.get_submodule, segment.norms)):
        own = {name: getattr(module, name, None) for name in TENSORS}
        set_tensors(module, {name: x[keep] for name, x in own.items() if x is not None})
    set_tensors(target, {"weight": target.weight[:, keep.repeat_interleave(columns)]})
    return True


def _constants(model: nn.Module, target: nn.Module, example: Tensor, units: int) -> Tensor:
    """Return the constant that each unit passes to `target`; NaN if it is not constant."""
    seen: list[Tensor] = []
    handle = target.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        model(example.clone())
    finally:
        handle.remove()
    inputs = seen[0]
    if isinstance(target, nn.Linear):
        inputs = inputs.flatten(0, -2)  # tokens count as examples
    by_unit = inputs.unflatten(1, (units, -1)).transpose(0, 1).flatten(1)
    first = by_unit[:, 0]
    return torch.where((by_unit == first[:, None]).all(1), first, torch.nan)


def set_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters and buffers of a module, and set its size attributes from them."""
    for name, value in tensors.items():
        setattr(module, name, nn.Parameter(value) if name in module._parameters else value)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = module.weight.shape[:2]
    elif isinstance(module, NORMS) and module.running_mean is not None:
        module.num_features = len(module.running_mean)
