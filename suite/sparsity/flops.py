"""Floating-point operations: per layer from actual shapes, added up over each step's masks.

Two operations per multiply-add. The backward pass costs twice the forward pass, the first layer
included (the convention of Evci et al. 2020, arXiv:1911.11134, appendix H).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from suite.core.errors import InvalidInput
from suite.sparsity.candidates import ALL, Candidates
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import call, evaluation_mode
from suite.sparsity.prunable import LINEAR_AND_CONV, Coverage, covered_weights

_ATTENTION_ON_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
Counts = Mapping[str, int]
"""Numbers of weights by layer name."""


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

    def of_counts(self, counts: Counts, sizes: Counts) -> float:
        """Return operations with `counts` of each layer's `sizes` weights; the others are dense."""
        return self.at({name: count / sizes[name] for name, count in counts.items()})

    def step(self, active: Counts, gradients: Counts, sizes: Counts) -> float:
        """Return the operations of a training step of one example.

        Forward pass and input gradients use the active weights, 2 f_S; the weight gradients are
        those of `gradients_read`. Without any pruning it is 3 f_D.

        Args:
            active: weights that the forward pass uses.
            gradients: weights whose gradients are computed.
            sizes: weights, active or not.
        """
        forward = self.of_counts(active, sizes)
        same = gradients == active
        return 2 * forward + (forward if same else self.of_counts(gradients, sizes))


def gradients_read(
    active: Counts,
    sizes: Counts,
    trained: Counts,
    *,
    dense_gradient: bool,
    candidates: Candidates = ALL,
) -> Counts:
    """Return how many weight gradients of each layer a training step computes.

    Args:
        active: weights that the forward pass uses.
        sizes: weights, active or not.
        trained: weights that are trained: the active ones, or more (`PrunableWeight.gradients`).
        dense_gradient: whether the method reads dense gradients in this step.
        candidates: whose gradients it looks at then: all, or those of active weights and
            candidates alone.
    """
    if not dense_gradient:
        return trained
    return {name: candidates.gradients(count, sizes[name]) for name, count in active.items()}


def measure_forward(
    model: nn.Module, example: Any, coverage: Coverage = LINEAR_AND_CONV
) -> ForwardFlops:
    """Count the operations of one forward pass of `example` (a batch of any size), per example.

    Operations are attributed to a weight by the memory they read, not by the module that ran
    them: tied weights, modules called several times and functions given a module's weight are
    all counted where they belong. The pass runs in evaluation mode without gradients; buffers,
    random state, the example and every module's mode are left unchanged.

    Args:
        model: with ordinary weights, not stored in CSR.
        example: a tensor, a tuple of positional or a mapping of keyword arguments; the first
            dimension of the first tensor counts the examples.
        coverage: whose weights are listed in `ForwardFlops.layers`; those of embeddings cost 0.

    Raises:
        InvalidInput: there is no tensor in the example, or a glob of `coverage` matches nothing.
    """
    weights = _Weights()
    for weight in covered_weights(model, coverage):
        if weight.parameter is not None and not weight.recomputed:
            weights.add(weight.name, weight.parameter)
    batch = _batch_size(example)
    with evaluation_mode(model), torch.no_grad(), _unfused(), _Counter(weights) as counter:
        call(model, _cloned(example))
    layers = {name: counter.by_layer[name] / batch for name in weights.names}
    return ForwardFlops(layers, counter.other / batch)


def _cloned(example: Any) -> Any:
    """Return an example whose tensors a model may change."""
    if isinstance(example, Mapping):
        return {name: _cloned(value) for name, value in example.items()}
    if isinstance(example, list | tuple):
        return [_cloned(value) for value in example]
    return example.clone() if isinstance(example, Tensor) else example


def _batch_size(example: Any) -> int:
    values = example.values() if isinstance(example, Mapping) else example
    values = [example] if isinstance(example, Tensor) else values
    sizes = [len(value) for value in values if isinstance(value, Tensor) and value.ndim]
    if not sizes or sizes[0] == 0:
        raise InvalidInput(
            f"an example of {type(example).__name__} without a batch: give a tensor, a tuple or a "
            "dict of tensors whose first dimension counts the examples"
        )
    return sizes[0]


class _Weights:
    """The names of weights by the memory they occupy.

    Several may lie in one storage: cuDNN packs those of a recurrent layer.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._spans: dict[int, list[tuple[int, int, str]]] = {}

    def add(self, name: str, weight: Tensor) -> None:
        """Add a weight; one that occupies the memory of another keeps the first name."""
        if weight.numel() and self.name_of(weight) is not None:
            return
        start = int(weight.storage_offset())
        spans = self._spans.setdefault(storage_id(weight), [])
        spans.append((start, start + weight.numel(), name))
        self.names.append(name)

    def name_of(self, tensor: Tensor) -> str | None:
        """Return the name of the weight that a tensor is, or is a view of; None for others."""
        start = int(tensor.storage_offset())
        for first, end, name in self._spans.get(storage_id(tensor), ()):
            if first <= start < end:
                return name
        return None


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

    def __init__(self, weights: _Weights) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.by_layer = dict.fromkeys(weights.names, 0.0)
        self.other = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket is torch.ops.aten._trilinear:
            first, second = bilinear_flops(*(tensor.shape for tensor in args[:3]))
            self._charge(args[1:2], first)
            self.other += second
            return func(*args, **kwargs)
        formula = flop_formula(func._overloadpacket)
        if formula is None:
            parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        result = func(*args, **kwargs)
        self._charge(args, formula(*args, **kwargs, out_val=result))
        return result

    def _charge(self, args: Any, flops: float) -> None:
        for tensor in args:
            if isinstance(tensor, Tensor) and (name := self.weights.name_of(tensor)) is not None:
                self.by_layer[name] += flops
                return
        self.other += flops


def flop_formula(operator: Any) -> Callable[..., int] | None:
    """Return torch's formula for the operations of an operator; None if it counts none.

    Earlier versions of torch have none for attention on a CPU, which is counted as on a GPU.
    """
    if operator is _ATTENTION_ON_CPU and operator not in flop_registry:
        operator = torch.ops.aten._scaled_dot_product_flash_attention
    found: Callable[..., int] | None = flop_registry.get(operator)
    return found


def bilinear_flops(x: torch.Size, weight: torch.Size, y: torch.Size) -> tuple[int, int]:
    """Return the operations of x·W [n, out, in2], and of its product with y, n examples each.

    Shapes: x [n, in1], weight [out, in1, in2], y [n, in2]. The first product reads the weight.
    """
    outputs, _, inputs = weight
    return 2 * x[0] * weight.numel(), 2 * y[0] * outputs * inputs


def storage_id(tensor: Tensor) -> int:
    """Return an identifier of a tensor's storage, which its views share."""
    return tensor.untyped_storage()._cdata


class FlopsLedger:
    """Adds up the FLOPs of training, step by step, at the masks that each step used.

    Attributes:
        total: operations charged so far, all together.
        scoring: those of them for scoring connections.
        method: those of them for the method's own arithmetic.
    """

    def __init__(self, flops: ForwardFlops, batch_size: int) -> None:
        self.flops = flops
        self.batch_size = batch_size
        self.total = self.scoring = self.method = 0.0

    def charge_step(
        self,
        weights: Sequence[PrunableWeight],
        *,
        dense_gradient: bool,
        candidates: Candidates = ALL,
    ) -> None:
        """Charge one training step at the masks that it uses; see `gradients_read`."""
        active = {w.name: w.active for w in weights}
        sizes = {w.name: w.size for w in weights}
        trained = {w.name: w.gradients for w in weights}
        gradients = gradients_read(
            active, sizes, trained, dense_gradient=dense_gradient, candidates=candidates
        )
        self.total += self.flops.step(active, gradients, sizes) * self.batch_size

    def state(self) -> dict[str, float]:
        """Return the sums so far, for a checkpoint."""
        return {"total": self.total, "scoring": self.scoring, "method": self.method}

    def restore(self, state: Mapping[str, float]) -> None:
        """Continue from the sums that a checkpoint holds."""
        self.total, self.scoring = state["total"], state["scoring"]
        self.method = state["method"]

    def charge_scoring(self, forwards: float, densities: Mapping[str, float]) -> None:
        """Charge `forwards` forward passes of one example at the given densities."""
        flops = forwards * self.flops.at(densities)
        self.scoring += flops
        self.total += flops

    def charge_method(self, flops: float) -> None:
        """Charge the method's own arithmetic."""
        self.method += flops
        self.total += flops
