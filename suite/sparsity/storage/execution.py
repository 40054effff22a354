"""Decides how each weight is stored while a model trains: masked, or in CSR.

A method sees neither: it holds a `SwitchingWeight`, whose `MaskedWeight` is replaced by a
`CsrWeight` once a Linear layer is sparse enough.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from suite.core.errors import InvalidInput
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import unwrap
from suite.sparsity.storage.column_linear import set_layout
from suite.sparsity.storage.compiled_sampled import compile_for
from suite.sparsity.storage.csr import DTYPES, CsrWeight
from suite.sparsity.storage.masked import (
    MaskedWeight,
    hold_frozen,
    keeps_zeros,
    mask_gradients,
    mask_moved,
    restore_frozen,
)
from suite.sparsity.storage.ownership import LayerOwnership

EXECUTIONS = ("masked", "csr", "auto")

BREAK_EVEN = {0: 0.0, 30_000: 0.02, 200_000: 0.15}
"""Density up to which CSR is used, by the least number of weights of a layer.

Conservative: densities at which CSR was faster on a busy machine, one thread, batch 128
(``resonance bench csr csr-break-even``); on an idle one it may be faster at higher densities.
"""

READING = (nn.TransformerEncoderLayer,)
"""Modules that read their Linear layers' weights directly, for a fused kernel in evaluation."""

DRAWING = (_DropoutNd, nn.RReLU)
"""Modules that draw a random number for each element, in the order of memory.

Sparse layers store their outputs by columns, and element-wise functions keep that layout. If one
of these may follow, rows are restored: otherwise it would drop other units than under masks.
"""


def break_even(size: int) -> float:
    """Return the density up to which a Linear layer of `size` weights is faster in CSR."""
    return BREAK_EVEN[max(least for least in BREAK_EVEN if least <= size)]


def _of_store(name: str) -> Any:
    """Return a property that reads `name` of a weight's current store."""
    return property(attrgetter(f"store.{name}"))


class SwitchingWeight:
    """A `PrunableWeight` whose storage can change; the object that a method holds.

    Attributes:
        store: the current storage.
        module: the layer, if it can be sparse; None if it stays masked.
        by_rows: whether the layer's outputs keep their ordinary layout when it is sparse.
        parameter: what the optimizer trains: the dense weight, or its non-zero values [n].
    """

    parameter: nn.Parameter = _of_store("parameter")
    active: int = _of_store("active")
    gradients: int = _of_store("gradients")
    mask: Tensor = _of_store("mask")
    device: torch.device = _of_store("device")
    values: Tensor = _of_store("values")
    places: Tensor = _of_store("places")
    active_values: Tensor = _of_store("active_values")
    trained: bool = _of_store("trained")
    has_gradient: bool = _of_store("has_gradient")
    dense_gradient: Tensor | None = _of_store("dense_gradient")
    active_gradient: Tensor | None = _of_store("active_gradient")

    def __init__(self, masked: MaskedWeight, module: nn.Linear | None, by_rows: bool) -> None:
        self.store: MaskedWeight | CsrWeight = masked
        self.module = module
        self.by_rows = by_rows
        self.name = masked.name
        self.path = masked.path
        self.shape = masked.shape
        self.size = masked.size
        self.input_dim = masked.input_dim

    @property
    def sparse(self) -> bool:
        """Whether only non-zero values are stored."""
        return isinstance(self.store, CsrWeight)

    def set_mask(self, mask: Tensor) -> None:
        """Make `mask` the connectivity of this weight."""
        self.store.set_mask(mask)

    def replace_values(self, values: Tensor) -> None:
        """Give the active weights new values, those of dense ones; the optimizer state stays."""
        self.store.replace_values(values)

    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` is True as they are."""
        self.store.freeze_weights(frozen)

    def gradient_at(self, places: Tensor) -> Tensor | None:
        """Return the gradient of the weights at flat `places` [m]."""
        return self.store.gradient_at(places)

    def keep_dense_gradient(self) -> None:
        """Keep the dense gradient of this step, so that it can be read after clipping."""
        self.store.keep_dense_gradient()

    def bind(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Use the one of these optimizers that trains this weight from now on."""
        self.store.bind(optimizers)

    def to_csr(self, mask: Tensor) -> None:
        """Store only the values where `mask` is True."""
        store = self.store
        self.store = CsrWeight(store.prunable, mask, store.optimizer, by_rows=self.by_rows)

    def to_dense(self, mask: Tensor) -> None:
        """Store every weight, zero where `mask` is False."""
        if isinstance(self.store, CsrWeight):
            self.store.densify()
            prunable = replace(self.store.prunable, parameter=self.store.parameter)
            self.store = MaskedWeight(prunable, self.store.optimizer)
        self.store.set_mask(mask)


class Execution:
    """Decides how the weights of one model are stored while it trains.

    Args:
        mode: ``masked``, every weight in place; ``csr``, every Linear layer by its non-zero values
            as soon as that is faster or no more is to be pruned; ``auto``, only where CSR is
            possible and faster according to `break_even`.
        obstacle: why this training can only be masked; empty if the caller knows no reason.
    """

    def __init__(self, mode: str = "masked", obstacle: str = "") -> None:
        if mode not in EXECUTIONS:
            raise InvalidInput(f"execution={mode!r} is not one of {', '.join(EXECUTIONS)}")
        self.mode = mode
        self.fallback = obstacle
        self._weights: list[SwitchingWeight] = []
        self._others: Sequence[MaskedWeight] = ()
        self._linear: list[nn.Linear] = []
        self._ownership = LayerOwnership({})

    def wrap(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        weights: Sequence[MaskedWeight],
        obstacle: str = "",
    ) -> list[PrunableWeight]:
        """Return the weights as the method will hold them; `model` includes its wrappers (DDP).

        `obstacle` says why the method can only be masked; empty if it knows no reason.

        Raises:
            InvalidInput: ``csr`` was requested and is impossible, or another method holds a layer.
        """
        self._weights, self._others, self._linear = [], weights, []
        self._ownership = LayerOwnership({w.name: w.prunable.module for w in weights})
        if self.mode == "masked":
            return list(weights)
        self.fallback = self.fallback or obstacle or _obstacle(model, optimizers)
        if self.fallback and self.mode == "csr":
            raise InvalidInput(f"execution=csr: {self.fallback}; use execution=masked or auto")
        if self.fallback:
            return list(weights)
        users = _users(unwrap(model))
        modules = list(unwrap(model).modules())
        read = {
            child for module in modules if isinstance(module, READING) for child in module.modules()
        }
        # Subclasses may read their weight differently (attention's projections do).
        plain = [module for module in modules if type(module) is nn.Linear]
        self._linear = [module for module in plain if module not in read]
        by_rows = any(isinstance(module, DRAWING) for module in modules)
        for weight in weights:
            module = weight.prunable.module
            reason = _only_masked(weight, users[id(weight.parameter)])
            if reason and self.mode == "csr":
                raise InvalidInput(f"execution=csr: {reason}; use execution=masked or auto")
            linear = module if isinstance(module, nn.Linear) and module in self._linear else None
            if linear is not None and linear.weight is not weight.parameter:
                linear = None  # a parameter of the user's own beside the layer's weight
            self._weights.append(SwitchingWeight(weight, None if reason else linear, by_rows))
        if self.mode == "csr" and all(weight.module is None for weight in self._weights):
            raise InvalidInput(
                f"execution=csr: {type(unwrap(model)).__name__} has no Linear layer to run sparse "
                "(convolutions are masked); use execution=masked or auto"
            )
        self._others = ()
        compile_for(max((w.size for w in self._weights if w.module is not None), default=0))
        return list(self._weights)

    def claim_layers(self) -> None:
        """Reserve the layers for this method, which is now attached."""
        self._ownership.claim()

    def release(self) -> None:
        """Turn the layers into ordinary ones that another method may take."""
        self.densify()
        self._ownership.release()

    def check_loaded(self) -> None:
        """Check that weights loaded in the meantime are as sparse as the masks.

        Raises:
            InvalidInput: they are not.
        """
        self._ownership.check(self._weights or self._others)
        for weight in self.csr_weights():
            weight.module.check_loaded()

    def switch_storage(self, finished: Callable[[PrunableWeight], bool]) -> None:
        """Switch every layer to CSR that has become sparse enough, and back those that are dense.

        `finished` returns whether a weight has as few connections as it will ever have.
        """
        for weight in self._weights:
            store = weight.store
            if weight.module is None or weight.active == weight.size:
                if weight.sparse:
                    weight.to_dense(weight.mask)
                continue
            if not isinstance(store, MaskedWeight) or store.frozen is not None:
                continue
            due = weight.active / weight.size <= break_even(weight.size)
            if due or (self.mode == "csr" and finished(weight)):
                weight.to_csr(weight.mask)
        self._set_layout()

    def prepare_backward(self, dense_gradient: bool) -> None:
        """Prepare for a backward pass; `dense_gradient`: whether dense gradients will be read."""
        for masked in self.masked_weights():
            masked.request_gradient(dense_gradient)
        for weight in self.csr_weights():
            weight.prepare_backward(dense_gradient)

    def keep_dense_gradients(self, inverse_scale: Tensor | None = None) -> None:
        """Keep this step's dense gradients, so that they can be read after clipping.

        They are multiplied by `inverse_scale` (1 / the loss scale) if that is given.
        """
        for store in self._stores():
            store.keep_dense_gradient(inverse_scale)

    def withhold_dense_gradients(self) -> None:
        """Have dense gradients read no more in this step, rather than read after masking.

        Those that were kept can still be read, and those of sparse layers, which need no copy.
        """
        for masked in self.masked_weights():
            masked.withhold_dense_gradient()
        for weight in self.csr_weights():
            weight.keep_dense_gradient()

    def drop_dense_gradients(self) -> None:
        """Drop the dense gradients that were kept."""
        for store in self._stores():
            store.drop_dense_gradient()

    def mask_moved(self) -> None:
        """Zero the weights outside the masks that an optimizer may have moved (`keeps_zeros`)."""
        mask_moved(self.masked_weights())

    def mask_gradients(self, *, before_update: bool = False) -> None:
        """Zero the gradients of inactive and frozen weights; see `masked.mask_gradients`.

        Called before the optimizer steps, with the weights that are frozen as they are to stay.
        """
        weights = self.masked_weights()
        hold_frozen(weights)
        mask_gradients(weights, before_update=before_update)
        for weight in self.csr_weights():
            weight.mask_gradient()

    def restore_frozen(self) -> None:
        """Restore frozen weights; drop the passes that dense gradients are computed from."""
        restore_frozen(self.masked_weights())
        for weight in self.csr_weights():
            weight.restore_frozen()
            weight.module.passes.clear()

    def densify(self) -> None:
        """Store every weight dense again: the model is an ordinary one."""
        for weight in self._weights:
            if weight.sparse:
                weight.to_dense(weight.mask)
        self._set_layout()

    def state(self) -> dict[str, dict[str, bool]]:
        """Return which layers are sparse now, as ``sparse``; nothing where all are masked."""
        sparse = {weight.name: weight.sparse for weight in self._weights}
        return {"sparse": sparse} if sparse else {}

    def load(self, masks: Mapping[str, Tensor], sparse: Mapping[str, bool]) -> None:
        """Put every weight into the storage and under the mask that it was saved with.

        `sparse` is what `state` gave, if anything. Call it after model and optimizer were loaded.
        """
        for other in self._others:
            other.set_mask(masks[other.name].to(other.device))
        for weight in self._weights:
            mask = masks[weight.name].to(weight.device)
            if not sparse[weight.name]:
                weight.to_dense(mask)
                continue
            if not weight.sparse:
                weight.to_csr(mask)
            assert isinstance(weight.store, CsrWeight)
            weight.store.load_mask(mask)
        self._set_layout()

    def check_state(self, sparse: Mapping[str, bool]) -> None:
        """Check that what `state` gave can be loaded.

        Raises:
            InvalidInput: it was saved under another execution.
        """
        if sparse.keys() != {weight.name for weight in self._weights}:
            mode = "masked" if not self._weights else self.mode
            raise InvalidInput(
                f"the saved state is of another execution than {mode}: optimizer state does not "
                "fit; resume with the execution it was saved under"
            )

    def describe(self) -> str:
        """Return how each layer is stored, as text; empty under ``masked``."""
        if self.mode == "masked":
            return ""
        if self.fallback:
            return f"execution={self.mode}: every layer masked: {self.fallback}"
        names = {
            "csr": [weight.name for weight in self._weights if weight.sparse],
            "masked": [weight.name for weight in self._weights if not weight.sparse],
        }
        parts = [f"{', '.join(layers)} {kind}" for kind, layers in names.items() if layers]
        return f"execution={self.mode}: {'; '.join(parts)}"

    def _set_layout(self) -> None:
        """Let dense Linear layers multiply by columns while there are sparse layers before them."""
        set_layout(self._linear, by_columns=bool(self.csr_weights()))

    def masked_weights(self) -> Sequence[MaskedWeight]:
        """Return the weights that are stored dense, zero outside their masks."""
        if not self._weights:
            return self._others
        return [store for store in self._stores() if isinstance(store, MaskedWeight)]

    def csr_weights(self) -> list[CsrWeight]:
        """Return the weights of which only the non-zero values are stored."""
        return [weight.store for weight in self._weights if isinstance(weight.store, CsrWeight)]

    @property
    def may_be_sparse(self) -> bool:
        """Whether only the non-zero values of a layer are stored, now or later."""
        return any(weight.module is not None for weight in self._weights)

    def _stores(self) -> Sequence[MaskedWeight | CsrWeight]:
        return [weight.store for weight in self._weights] or self._others


def _obstacle(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> str:
    """Return why no layer of a model can be stored in CSR; empty if one may."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return "gradients of values cannot be reduced by DistributedDataParallel"
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return "it runs in one process, not under torch.distributed"
    if "_orig_mod" in model._modules or model._compiled_call_impl is not None:
        return "torch.compile cannot compile the sparse operators"
    for optimizer in optimizers:
        if not keeps_zeros(optimizer):
            return f"it is tested with SGD, Adam and AdamW, not {type(optimizer).__name__}"
    return ""


def _only_masked(weight: MaskedWeight, users: Sequence[str]) -> str:
    """Return why one weight cannot be stored in CSR; `users` are the names it is used under."""
    if len(users) > 1:
        return f"{' and '.join(users)} share one weight, which can only be masked"
    if weight.device.type != "cpu":
        return f"layer '{weight.name}' is on device {weight.device.type}, not on a CPU"
    if weight.parameter.dtype not in DTYPES:
        kind = str(weight.parameter.dtype).removeprefix("torch.")
        return f"layer '{weight.name}': it has operators for float32 and float64, not {kind}"
    return ""


def _users(model: nn.Module) -> dict[int, list[str]]:
    """Return the names under which each parameter is used."""
    users: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        users.setdefault(id(parameter), []).append(name)
    return users
