"""Layers that do not use their weight as it is, found by what they compute.

A convolution with weight standardisation (Qiao et al. 2019, arXiv:1903.10520) subtracts the mean of
a filter and divides by its standard deviation in every forward pass, so a weight of 0 is not a
connection of 0: a mask on the parameter has no effect on the network.
"""

import copy
from collections.abc import Mapping

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
    a forward that needs more than one input, and depthwise convolutions without any other of the
    same class.

    Args:
        modules: by layer name; those other than Linear and convolutions are ignored.

    Raises:
        InvalidInput: a layer's outputs depend on an input all of whose weights are 0.
    """
    smallest: dict[type[nn.Module], tuple[int, str, Layer]] = {}
    for name, module in modules.items():
        if not isinstance(module, (nn.Linear, *_CONV, *_TRANSPOSED)) or not _has_own(module):
            continue
        inputs, size = _inputs(module), module.weight.numel()
        if inputs < 2 or module.weight.is_meta:
            continue
        best = smallest.get(type(module))
        if best is None or size < best[0]:
            smallest[type(module)] = (size, name, module)
    for kind, (_, name, module) in smallest.items():
        if _ignores_zeros(module):
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


@torch.no_grad()
def _ignores_zeros(module: Layer) -> bool:
    """Return whether outputs depend on inputs whose weights are all 0; False if it cannot be tried.

    Half of the inputs have weights of 0, and change their sign: a forward that scales its inputs,
    as quantised layers do, still finds the same maximum and the same mean square.
    """
    device = module.weight.device
    half = max(1, _inputs(module) // 2)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            tried = copy.deepcopy(module).eval()
            for parameter in tried.parameters():
                parameter.fill_(1)
            weight = tried.weight
            # Of unequal size and a mean that is not 0, which standardisation would remove.
            values = torch.linspace(0.5, 1.5, weight.numel(), device=device).view(weight.shape)
            along = 0 if isinstance(module, _TRANSPOSED) else 1
            values.narrow(along, 0, half).zero_()
            weight.copy_(values)
            x = _example(tried)
            turned = x.clone()
            turned.narrow(1, 0, half).neg_()
            # Not the call: the copy has the hooks of the original.
            before, after = (_tensors(tried.forward(given)) for given in (x, turned))
        except Exception:  # a forward of the user's, perhaps made for other arguments
            return False
    if [tensor.shape for tensor in before] != [tensor.shape for tensor in after]:
        return False
    pairs = [(a.double(), b.double()) for a, b in zip(before, after, strict=True) if a.numel()]
    return any(bool((a - b).abs().max() > TOLERANCE * a.abs().max()) for a, b in pairs)


def _example(module: Layer) -> Tensor:
    """Return an input of 2 examples, as large as the kernel needs."""
    if isinstance(module, nn.Linear):
        shape: tuple[int, ...] = (2, module.in_features)
    else:
        places = zip(module.kernel_size, module.dilation, strict=True)
        shape = (2, module.in_channels, *(2 + d * (k - 1) for k, d in places))
    # All positive, so that what a sum over channels adds does not cancel.
    x = torch.linspace(0.5, 1.5, torch.Size(shape).numel(), device=module.weight.device)
    return x.view(shape).to(module.weight.dtype)


def _tensors(output: object) -> list[Tensor]:
    outputs = output if isinstance(output, list | tuple) else [output]
    return [value for value in outputs if isinstance(value, Tensor)]
