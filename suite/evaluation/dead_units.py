"""Dead units: output units without incoming connections, and units that never fire."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from suite.sparsity.flops import flop_formula, storage_id
from suite.sparsity.layers import PRUNABLE, by_output
from suite.sparsity.modules import evaluation_mode

SAMPLE_SIZE = 1000
"""Number of examples on which a trial checks whether a unit fires."""
MAX_HELD_BYTES = 2**28
"""Layer outputs are held until a pass ends; batches are small enough to stay below this."""

aten = torch.ops.aten
RECTIFIERS = {aten.relu, aten.relu_, aten.threshold, aten.hardtanh, aten.hardtanh_, aten.clamp_min}
SAME_UNITS = {
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten.cudnn_batch_norm,
    aten._batch_norm_with_update,
    aten.miopen_batch_norm,
    aten.native_group_norm,
    aten.native_layer_norm,
    aten.max_pool2d_with_indices,
    aten.avg_pool2d,
    aten.clone,
}
"""Operations that keep a layer's units separate."""


@dataclass(frozen=True)
class UnitCounts:
    """Numbers of output units of one layer.

    Attributes:
        total: rows of a Linear weight, or filters of a convolution.
        unconnected: units without any active incoming weight.
        silent: units for which the ReLU after the layer (or after its norm) outputs 0 on the whole
            sample; None if no ReLU follows.
        collapsed: whether the layer has no active weight at all.
    """

    total: int
    unconnected: int
    silent: int | None
    collapsed: bool


def dead_units(
    model: nn.Module, masks: Mapping[str, Tensor], examples: Tensor
) -> dict[str, UnitCounts]:
    """Count the dead units of each masked layer on `examples` (1000 in a trial).

    `masks` are by layer name: boolean, True where a weight is active, of the weight's shape. A
    unit is an output: a row of a weight [out, in, ...].
    """
    fired = _fired(model, examples)
    modules = dict(model.named_modules())
    counts = {}
    for name, mask in masks.items():
        by_unit = by_output(modules.get(name, model), mask)
        connected = by_unit.flatten(0, 1).flatten(1).any(1)
        seen = fired.get(name)
        counts[name] = UnitCounts(
            total=len(connected),
            unconnected=int((~connected).sum()),
            silent=None if seen is None else int((~seen).sum()),
            collapsed=not bool(connected.any()),
        )
    return counts


def _fired(model: nn.Module, examples: Tensor) -> dict[str, Tensor]:
    """Return which units fired, boolean [units], for each layer that is followed by a ReLU."""
    layers: dict[int, tuple[str, nn.Module]] = {}
    for name, module in model.named_modules():
        if isinstance(module, PRUNABLE):
            layers.setdefault(storage_id(module.weight), (name, module))
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused layers cannot be inspected
    try:
        with torch.no_grad(), evaluation_mode(model), _Watch(layers) as watch:
            held = watch.run(model, examples[:1])
            if watch.fired and len(examples) > 1:  # otherwise no layer is followed by a ReLU
                for part in examples[1:].split(max(1, MAX_HELD_BYTES // held)):
                    watch.run(model, part)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return watch.fired


class _Watch(TorchDispatchMode):
    """Follows a layer's output to the ReLU that reads it.

    A layer is identified by the storage of its weight, and its output by its own storage. So
    functional ReLUs and shared modules are handled like any other.
    """

    def __init__(self, layers: dict[int, tuple[str, nn.Module]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers = layers
        self.fired: dict[str, Tensor] = {}
        # Outputs by their storage; held so that the memory is not reused.
        self.outputs: dict[int, tuple[Tensor, str, nn.Module]] = {}

    def run(self, model: nn.Module, examples: Tensor) -> int:
        """Run one forward pass; return the number of bytes held."""
        model._call_impl(examples.clone())  # bypasses `model.compile()`
        held = sum(out.nbytes for out, _, _ in self.outputs.values())
        self.outputs.clear()
        return held

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        computes = flop_formula(packet) is not None
        if not (computes or packet in SAME_UNITS or packet in RECTIFIERS):
            parts = func.decompose(*args, **kwargs)
            return func(*args, **kwargs) if parts is NotImplemented else parts
        result = func(*args, **kwargs)
        out = result[0] if isinstance(result, tuple | list) else result
        if computes:
            for tensor in args:
                if isinstance(tensor, Tensor) and storage_id(tensor) in self.layers:
                    self.outputs[storage_id(out)] = (out, *self.layers[storage_id(tensor)])
        elif source := self.outputs.get(storage_id(args[0])):
            if packet in RECTIFIERS:
                self._see(out, *source[1:])
            else:
                self.outputs[storage_id(out)] = (out, *source[1:])
        return result

    def _see(self, out: Tensor, name: str, layer: nn.Module) -> None:
        units = len(layer.weight)  # type: ignore[arg-type]
        where = out.ndim - 1 if isinstance(layer, nn.Linear) else 1
        if out.ndim < 2 or out.shape[where] != units:
            return  # flattened before the ReLU: units cannot be separated
        positive = (out > 0).transpose(0, where).flatten(1).any(1)
        before = self.fired.get(name)
        self.fired[name] = positive if before is None else before | positive
