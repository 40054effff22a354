"""Floating-point operations: per layer from actual shapes, added up over each step's masks.

Two operations per multiply-add. The backward pass costs twice the forward pass, the first layer
included (the convention of Evci et al. 2020, arXiv:1911.11134, appendix H).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from suite.sparsity.layers import PRUNABLE, PrunableWeight
from suite.sparsity.modules import evaluation_mode


@dataclass(frozen=True)
class ForwardFlops:
    """Dense forward operations for one example.

    Attributes:
        layers: by name of a prunable weight; a module called several times counts each call, and
            modules that share a weight count together under its first name.
        other: everything else that was counted (attention products, layers not prunable).
    """

    layers: dict[str, float]
    other: float

    @property
    def dense(self) -> float:
        """Operations of the dense network."""
        return sum(self.layers.values()) + self.other

    def sparse(self, weights: Sequence[PrunableWeight]) -> float:
        """Operations at the densities that `weights` have now."""
        return self.at({w.name: w.active / w.size for w in weights})

    def at(self, densities: Mapping[str, float]) -> float:
        """Return operations at the given density of each layer; the others are dense."""
        left = sum(self.layers[name] * density for name, density in densities.items())
        known = sum(self.layers[name] for name in densities)
        return self.dense - known + left


def measure_forward(model: nn.Module, example: Tensor) -> ForwardFlops:
    """Count the operations of one forward pass of `example` (a batch of any size), per example.

    Operations are attributed to a weight by the memory they read, not by the module that ran
    them: tied weights, modules called several times and functions given a module's weight are
    all counted where they belong. The pass runs in evaluation mode without gradients; buffers,
    random state, the example and every module's mode are left unchanged.
    """
    weights: dict[int, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, PRUNABLE):
            weights.setdefault(storage_id(module.weight), name)
    with evaluation_mode(model), torch.no_grad(), _unfused(), _Counter(weights) as counter:
        model(example.clone())
    batch = example.shape[0]
    layers = {name: counter.by_layer[name] / batch for name in weights.values()}
    return ForwardFlops(layers, counter.other / batch)


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Disable fused attention and recurrent kernels, whose operations cannot be counted."""
    backends: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    enabled = [backend.enabled for backend in backends]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        for backend in backends:
            backend.enabled = False
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for backend, was in zip(backends, enabled, strict=True):
            backend.enabled = was


class _Counter(TorchDispatchMode):
    """Adds up torch's own operation counts, by the weight that an operation reads."""

    def __init__(self, weights: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.by_layer = dict.fromkeys(weights.values(), 0.0)
        self.other = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        result = func(*args, **kwargs)
        flops = formula(*args, **kwargs, out_val=result)
        for tensor in args:
            if isinstance(tensor, Tensor) and (name := self.weights.get(storage_id(tensor))):
                self.by_layer[name] += flops
                return result
        self.other += flops
        return result


def storage_id(tensor: Tensor) -> int:
    """Return an identifier of a tensor's storage, which its views share."""
    return tensor.untyped_storage()._cdata


class FlopsLedger:
    """Adds up the FLOPs of training, step by step, at the masks that each step used.

    Attributes:
        total: operations charged so far.
    """

    def __init__(self, flops: ForwardFlops, batch_size: int) -> None:
        self.flops = flops
        self.batch_size = batch_size
        self.total = 0.0

    def charge_step(self, weights: Sequence[PrunableWeight], *, dense_gradient: bool) -> None:
        """Charge one training step: forward, input gradients, weight gradients.

        A step in which the method reads dense gradients pays for all weight gradients:
        2 f_S + f_D instead of 3 f_S.
        """
        sparse = self.flops.sparse(weights)
        weight_gradients = self.flops.dense if dense_gradient else sparse
        self.total += (2 * sparse + weight_gradients) * self.batch_size

    def restore(self, total: float) -> None:
        """Continue from the total that a checkpoint holds."""
        self.total = total

    def charge_scoring(self, forwards: float, densities: Mapping[str, float]) -> None:
        """Charge `forwards` forward passes of one example at the given densities."""
        self.total += forwards * self.flops.at(densities)
