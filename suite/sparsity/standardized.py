"""Layers that do not use their weight as it is, found by what they compute.

A convolution with weight standardisation (Qiao et al. 2019, arXiv:1903.10520) subtracts the mean of
a filter and divides by its standard deviation in every forward pass, so a weight of 0 is not a
connection of 0: a mask on the parameter has no effect on the network.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

TOLERANCE = 1e-3
"""Largest change of an output that counts as rounding, as a fraction of the largest output."""


Layer = nn.Linear | nn.modules.conv._ConvNd


def check_forward(modules: Mapping[str, nn.Module]) -> None:
    """Check that a weight of 0 is no connection, in every class of layers with its own forward.

    One module of each class is tried, on a copy; the random state is left as it is. Not judged are
    a forward that needs more than one input, and layers all of whose outputs have a single weight.

    Args:
        modules: by layer name; those other than Linear and convolutions are ignored.

    Raises:
        InvalidInput: a layer's outputs depend on an input all of whose weights are 0.
    """
    smallest: dict[type[nn.Module], tuple[bool, int, str, Layer]] = {}
    for name, module in modules.items():
        if not isinstance(module, (nn.Linear, *_CONV, *_TRANSPOSED)) or not _has_own(module):
            continue
        size, is_single = module.weight.numel(), _inputs(module) == 1
        if (is_single and _places(module) == 1) or module.weight.is_meta:
            continue
        best = smallest.get(type(module))
        if best is None or (is_single, size) < best[:2]:
            smallest[type(module)] = (is_single, size, name, module)
    for kind, (_, _, name, module) in smallest.items():
        if _is_standardized(module):
            raise InvalidInput(
                f"layer '{name}': the output of {kind.__name__} depends on inputs whose weights "
                "are all 0, as under weight standardisation in forward, so that masks would have "
                f"no effect; leave such layers alone with exclude={kind.__name__}, or use "
                "ordinary ones"
            )


def _has_own(module: nn.Module) -> bool:
    """Return whether a module's class computes its output by code that is not torch's."""
    methods = [getattr(type(module), name, None) for name in ("forward", "_conv_forward")]
    return any(not method.__module__.startswith("torch.nn.") for method in methods if method)


def _inputs(module: Layer) -> int:
    """Return the number of inputs of an output (Conv: input channels of a group)."""
    if isinstance(module, nn.Linear):
        return module.in_features
    return module.in_channels // module.groups


def _places(module: Layer) -> int:
    """Return the number of places of a kernel; 1 for Linear."""
    return 1 if isinstance(module, nn.Linear) else math.prod(module.kernel_size)


def _is_standardized(module: Layer) -> bool:
    """Return whether a weight of 0 is a connection; False if it cannot be tried."""
    try:
        return _ignores_shift(module) if _inputs(module) == 1 else _ignores_zeros(module)
    except Exception:  # a forward of the user's, perhaps made for other arguments or weights
        return False


def _ignores_zeros(module: Layer) -> bool:
    """Return whether outputs depend on inputs whose weights are all 0.

    Half of the inputs have weights of 0, and change their sign: a forward that scales its inputs,
    as quantised layers do, still finds the same maximum and the same mean square.
    """
    half = _inputs(module) // 2
    along = 0 if isinstance(module, _TRANSPOSED) else 1
    # Of unequal size and a mean that is not 0, which standardisation would remove.
    values = torch.linspace(0.5, 1.5, module.weight.numel()).view(module.weight.shape)
    values.narrow(along, 0, half).zero_()
    x = _example(module)
    turned = x.clone()
    turned.narrow(1, 0, half).neg_()
    return not _are_close(*_outputs(module, [(values, x), (values, turned)]))


def _ignores_shift(module: Layer) -> bool:
    """Return whether outputs stay where all weights, zeros too, grow by the same amount.

    They do where a mean is subtracted. This is asked of convolutions with one input channel in a
    group, whose zeros are at places of the kernel.
    """
    values = (torch.arange(module.weight.numel()) % 2).view(module.weight.shape)
    # Small, so that an activation in forward is not saturated.
    values = values / module.weight[0].numel()
    larger = values + values.max()
    x = _example(module)
    before, after, opposite = _outputs(module, [(values, x), (larger, x), (-larger, x)])
    # What the weights do not affect at all says nothing.
    return _are_close(before, after) and not _are_close(after, opposite)


@torch.no_grad()
def _outputs(module: Layer, tried: Sequence[tuple[Tensor, Tensor]]) -> list[list[Tensor]]:
    """Return what a copy of a layer gives with each of these (weight, input).

    All its other parameters are 1.
    """
    device = module.weight.device
    outputs = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        layer = copy.deepcopy(module).eval()
        for parameter in layer.parameters():
            parameter.fill_(1)
        for weight, x in tried:
            layer.weight.copy_(weight)
            # Not the call: the copy has the hooks of the original.
            outputs.append(_tensors(layer.forward(x)))
    return outputs


def _are_close(before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    """Return whether outputs differ by no more than rounding; True where their shapes differ."""
    if [tensor.shape for tensor in before] != [tensor.shape for tensor in after]:
        return True
    pairs = [(a.double(), b.double()) for a, b in zip(before, after, strict=True) if a.numel()]
    return not any(bool((a - b).abs().max() > TOLERANCE * a.abs().max()) for a, b in pairs)


def _example(module: Layer) -> Tensor:
    """Return an input of 2 examples, a little larger than the kernel."""
    if isinstance(module, nn.Linear):
        shape: tuple[int, ...] = (2, module.in_features)
    else:
        places = zip(module.kernel_size, module.dilation, strict=True)
        shape = (2, module.in_channels, *(4 + d * (k - 1) for k, d in places))
    # All positive, so that what a sum over channels adds does not cancel; not in a line, which
    # would leave outputs that a forward normalises without a trace of the kernel.
    x = torch.linspace(0.5, 1.5, torch.Size(shape).numel(), device=module.weight.device)
    x = 1 + torch.sin(97 * x) / 2
    return x.view(shape).to(module.weight.dtype)


def _tensors(output: object) -> list[Tensor]:
    outputs = output if isinstance(output, list | tuple) else [output]
    return [value for value in outputs if isinstance(value, Tensor)]
