"""How long a trained network takes to answer: dense, and as sparse as the machine can use it.

Times are medians after warm-up, of one batch of one example and one of 128.
"""

import copy
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.sparsity.modules import evaluation_mode
from suite.sparsity.storage.topology import Topology

BATCHES = (1, 128)
WARM_UP = 5
FEWEST, MAX_NUMBER, SECONDS = 20, 500, 1.0
"""Runs: at least so many; more until a second has passed, but no more than the most."""
LONGEST, SCARCE = 10.0, 3
"""A network so slow that the fewest runs take longer than these seconds has three."""


@dataclass
class Latency:
    """Median seconds by name (``dense_1``: dense, batch of 1), and why others are absent."""

    seconds: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def measure_latency(model: nn.Module, examples: Tensor) -> Latency:
    """Return how long `model` takes for a batch of 1 and of 128 of `examples`, on their device.

    dense: as it is. csr (CPU): Linear weights in compressed rows. half and two_four (GPU): in half
    precision, dense and with 2:4 semi-structured Linear weights, where all are so sparse. The
    model is left as it is.
    """
    latency = Latency()
    variants: dict[str, Callable[[], nn.Module]] = {"dense": lambda: model}
    if examples.device.type == "cuda":
        latency.absent["csr"] = "compressed rows are measured on CPUs"
        if reason := why_not_two_four(model):
            latency.absent["two_four"] = reason
        else:
            variants["half"] = lambda: copy.deepcopy(model).half()
            variants["two_four"] = lambda: with_two_four(model)
    else:
        latency.absent["two_four"] = "2:4 sparsity is measured on GPUs"
        if any(type(module) is nn.Linear for module in model.modules()):
            variants["csr"] = lambda: with_csr(model)
        else:
            latency.absent["csr"] = "the model has no Linear layer"
    index = torch.arange(max(BATCHES), device=examples.device) % len(examples)
    for name, make in variants.items():
        try:
            _measure(name, make(), model, examples[index], latency)
        # No such kernel here, or the model reads the weight of a layer by itself.
        except (RuntimeError, NotImplementedError, AttributeError) as error:
            latency.absent[name] = (str(error).splitlines() or [type(error).__name__])[0]
    return latency


def _measure(
    name: str, variant: nn.Module, model: nn.Module, examples: Tensor, latency: Latency
) -> None:
    """Time one variant, if it computes what the model does."""
    half = name in ("half", "two_four")
    inputs = examples.half() if half else examples
    with torch.no_grad(), evaluation_mode(variant), evaluation_mode(model):
        difference = (variant(inputs.clone()).float() - model(examples.clone()).float()).abs().max()
        scale = model(examples.clone()).abs().max().clamp_min(1)
        if not difference <= (0.05 if half else 1e-3) * scale:
            latency.absent[name] = f"its outputs are off by {float(difference):.2g}"
            return
        for batch in BATCHES:
            latency.seconds[f"{name}_{batch}"] = _median_seconds(variant, inputs[:batch])


def _median_seconds(model: nn.Module, batch: Tensor) -> float:
    warm_up, times = [_seconds(model, batch)], list[float]()
    while len(warm_up) < WARM_UP and sum(warm_up) < SECONDS:
        warm_up.append(_seconds(model, batch))
    while not _enough(times):
        times.append(_seconds(model, batch))
    return statistics.median(times)


def _enough(times: list[float]) -> bool:
    """Return whether these runs will do."""
    if sum(times) > LONGEST:
        return len(times) >= SCARCE
    return len(times) >= FEWEST and (sum(times) >= SECONDS or len(times) >= MAX_NUMBER)


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
    """A Linear layer whose weight is stored in compressed rows; for inference on a CPU."""

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
    """Return why the model's Linear weights cannot run as 2:4 semi-structured; empty if they can.

    Of each four neighbours in a row at most two may be non-zero, and the hardware asks for rows
    and columns in multiples of 32 and 64.
    """
    layers = [(n, m) for n, m in model.named_modules() if type(m) is nn.Linear]
    usable = 0
    for name, layer in layers:
        rows, columns = layer.weight.shape
        if rows % 32 or columns % 64:
            continue  # stays dense: an output layer of 10 units, for instance
        if not is_two_four(layer.weight):
            return f"layer '{name}' has more than two of four neighbouring weights"
        usable += 1
    if not usable:
        return "no Linear weight has rows in multiples of 32 and columns in multiples of 64"
    return ""


def is_two_four(weight: Tensor) -> bool:
    """Return whether of each four neighbours in a row at most two are non-zero."""
    return weight.shape[1] % 4 == 0 and bool(
        ((weight.detach().view(len(weight), -1, 4) != 0).sum(-1) <= 2).all()
    )


def with_two_four(model: nn.Module) -> nn.Module:
    """Return a copy in half precision with the Linear weights that allow it stored 2:4."""
    from torch.sparse import to_sparse_semi_structured

    def convert(layer: nn.Linear) -> nn.Module:
        if layer.weight.shape[0] % 32 == 0 and layer.weight.shape[1] % 64 == 0:
            return _TwoFourLinear(to_sparse_semi_structured(layer.weight.detach()), layer.bias)
        return layer

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # a prototype, says torch
        return _replace(copy.deepcopy(model).half(), convert)


class _TwoFourLinear(nn.Module):
    """A Linear layer with a 2:4 semi-structured weight."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Return x·Wᵀ + b."""
        return F.linear(x, self.weight, self.bias)


def _replace(model: nn.Module, convert: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    """Put ``convert(layer)`` in the place of every Linear layer."""
    if type(model) is nn.Linear:
        return convert(model)
    for name, child in model.named_children():
        model.add_module(name, _replace(child, convert))
    return model
