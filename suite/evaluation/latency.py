"""Inference latency of a trained network: dense, and in sparse formats of the device.

Times are medians after warm-up, for batches of 1, 128 and 256 examples.
"""

import copy
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput, first_line
from suite.sparsity.modules import evaluation_mode
from suite.sparsity.storage.condensed import why_dense, with_condensed
from suite.sparsity.storage.semi_structured import fits, is_two_four
from suite.sparsity.storage.topology import Topology

BATCHES = (1, 128, 256)
WARM_UP = 5
MIN_RUNS, MAX_RUNS, MIN_SECONDS = 20, 500, 1.0
"""At least `MIN_RUNS`, more until `MIN_SECONDS` have passed, at most `MAX_RUNS`."""
MAX_SECONDS, MIN_RUNS_IF_SLOW = 10.0, 3
"""A network whose runs take longer than `MAX_SECONDS` in total needs only three."""


@dataclass
class Latency:
    """Median seconds by name (``dense_1``: dense, batch of 1), and why others are missing."""

    seconds: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def measure_latency(model: nn.Module, examples: Tensor) -> Latency:
    """Measure the latency of `model` for batches of 1, 128 and 256 of `examples`, on their device.

    dense: the model itself. csr (CPU): Linear weights in compressed rows. condensed (CPU): Linear
    weights as values and indices, with PyTorch's operators; condensed_numba: with the compiled
    kernel, which is for few examples, so for a batch of 1. half and two_four (GPU): half precision,
    dense and with 2:4 semi-structured Linear weights, if all of them are 2:4 sparse. The model is
    not changed.
    """
    latency = Latency()
    variants: dict[str, Callable[[], nn.Module]] = {"dense": lambda: model}
    if examples.device.type == "cuda":
        latency.absent |= dict.fromkeys(("csr", "condensed"), "measured on CPUs")
        if reason := why_not_two_four(model):
            latency.absent["two_four"] = reason
        else:
            variants["half"] = lambda: copy.deepcopy(model).half()
            variants["two_four"] = lambda: with_two_four(model)
    else:
        latency.absent["two_four"] = "2:4 sparsity is measured on GPUs"
        dense = why_dense(model)
        if dense:
            variants["csr"] = lambda: with_csr(model)
        else:
            latency.absent["csr"] = "the model has no Linear layer"
        if all(dense.values()):
            latency.absent["condensed"] = "no Linear layer would be smaller as values and indices"
        else:
            variants["condensed"] = lambda: with_condensed(model, "torch")
            variants["condensed_numba"] = lambda: with_condensed(model, "numba")
    index = torch.arange(max(BATCHES), device=examples.device) % len(examples)
    for name, make in variants.items():
        try:
            _measure(name, make(), model, examples[index], latency)
        # The device has no such kernel, numba is missing, or the model reads a layer's weight.
        except (RuntimeError, NotImplementedError, AttributeError, InvalidInput) as error:
            latency.absent[name] = first_line(error)
    return latency


def _measure(
    name: str, variant: nn.Module, model: nn.Module, examples: Tensor, latency: Latency
) -> None:
    """Time one variant if its outputs agree with the model's."""
    half = name in ("half", "two_four")
    inputs = examples.half() if half else examples
    batches = BATCHES[:1] if name == "condensed_numba" else BATCHES
    with torch.no_grad(), evaluation_mode(variant), evaluation_mode(model):
        for batch in batches:  # each may have its own kernel
            expected = model(examples[:batch].clone()).float()
            difference = (variant(inputs[:batch].clone()).float() - expected).abs().max()
            if not difference <= (0.05 if half else 1e-3) * expected.abs().max().clamp_min(1):
                latency.absent[name] = f"its outputs are off by {float(difference):.2g}"
                return
        for batch in batches:
            latency.seconds[f"{name}_{batch}"] = _median_seconds(variant, inputs[:batch])


def _median_seconds(model: nn.Module, batch: Tensor) -> float:
    warm_up, times = [_seconds(model, batch)], list[float]()
    while len(warm_up) < WARM_UP and sum(warm_up) < MIN_SECONDS:
        warm_up.append(_seconds(model, batch))
    while not _enough(times):
        times.append(_seconds(model, batch))
    return statistics.median(times)


def _enough(times: list[float]) -> bool:
    if sum(times) > MAX_SECONDS:
        return len(times) >= MIN_RUNS_IF_SLOW
    return len(times) >= MIN_RUNS and (sum(times) >= MIN_SECONDS or len(times) >= MAX_RUNS)


def _seconds(model: nn.Module, batch: Tensor) -> float:
    _wait(batch)
    began = time.perf_counter()
    model(batch)
    _wait(batch)
    return time.perf_counter() - began


def _wait(batch: Tensor) -> None:
    if batch.device.type == "cuda":
        torch.cuda.synchronize(batch.device)


class CsrLinear(nn.Module):
    """A Linear layer with its weight in compressed rows (CSR), for inference on a CPU."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        weight = dense.weight.detach()
        mask = weight != 0
        self.topology, self.values, self.bias = Topology.of(mask), weight[mask], dense.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return x·Wᵀ + b: [..., inputs] → [..., outputs]."""
        columns = x.reshape(-1, x.shape[-1]).t().contiguous()
        out = self.topology.product(self.values, columns, self.bias).t()
        return out.reshape(*x.shape[:-1], out.shape[-1])


def with_csr(model: nn.Module) -> nn.Module:
    """Return a copy of the model with its Linear weights in compressed rows."""
    return _replace(copy.deepcopy(model), CsrLinear)


def why_not_two_four(model: nn.Module) -> str:
    """Return why the Linear weights cannot run as 2:4 semi-structured; empty if they can.

    At most two of any four consecutive weights in a row may be non-zero, and the hardware requires
    multiples of 32 rows and 64 columns.
    """
    layers = [
        (n, m) for n, m in model.named_modules() if type(m) is nn.Linear and fits(m.weight.shape)
    ]
    if not layers:
        return "no Linear weight has rows in multiples of 32 and columns in multiples of 64"
    for name, layer in layers:
        if not is_two_four(layer.weight):
            return f"layer '{name}' has more than two non-zero weights in a group of four"
    return ""


def with_two_four(model: nn.Module) -> nn.Module:
    """Return a half-precision copy with Linear weights of suitable shape stored as 2:4."""
    from torch.sparse import to_sparse_semi_structured

    def convert(layer: nn.Linear) -> nn.Module:
        if fits(layer.weight.shape):
            sparse = to_sparse_semi_structured(layer.weight.detach())
            layer.weight = nn.Parameter(sparse, requires_grad=False)
        return layer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns that this is a prototype
        return _replace(copy.deepcopy(model).half(), convert)


def _replace(model: nn.Module, convert: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    """Replace every Linear layer by ``convert(layer)``."""
    if type(model) is nn.Linear:
        return convert(model)
    for name, child in model.named_children():
        model.add_module(name, _replace(child, convert))
    return model
