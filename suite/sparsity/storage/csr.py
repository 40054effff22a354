"""A Linear layer that stores and trains only its non-zero weights, and its `PrunableWeight`.

A mask only simulates sparsity; the cost of a layer here is proportional to its density. Its
parameter is the vector of its non-zero values, so gradients and optimizer state are vectors too.
It uses only stock PyTorch operators: a CSR product forward, its transpose for the gradient of the
input, and ``torch.sparse.sampled_addmm`` for the gradient of the values. Its speed, and
when it is worthwhile, are in docs/truly-sparse.md.
"""

import copy
import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from suite.core.errors import InvalidInput
from suite.sparsity.layers import check_mask, gradient_not_requested
from suite.sparsity.prunable import Prunable
from suite.sparsity.storage.masked import optimizer_of, replace_state
from suite.sparsity.storage.sampled_product import SampledProduct
from suite.sparsity.storage.saved_passes import Pass, SavedPasses
from suite.sparsity.storage.topology import Topology

Carry = Callable[[Tensor], Tensor]

DTYPES = (torch.float32, torch.float64)
"""Types that the sparse operators support."""

_OWN = ("topology", "passes", "loaded", "by_rows", "stored_state")
"""Attributes of a sparse layer that an ordinary one lacks."""

DRIFT = 1e-3
"""Largest fraction of a gradient that the passes through the layer may leave unexplained."""


class _Product(torch.autograd.Function):
    """x [batch, in], values [n], bias [out] → x·Wᵀ + b [batch, out], stored by columns.

    Each non-zero weight is then multiplied by a batch of numbers that are contiguous in memory.
    Element-wise functions keep that layout, which a following sparse layer needs.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor, bias: Tensor | None, layer: "SparseLinear"
    ) -> Tensor:
        columns = x.t().contiguous()
        ctx.save_for_backward(columns, values)
        ctx.layer, ctx.topology = layer, layer.topology
        return layer.topology.product(values, columns, bias).t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        columns, values = ctx.saved_tensors
        topology: Topology = ctx.topology
        gradient = gradient.t().contiguous()
        of_input = of_values = of_bias = None
        if ctx.needs_input_grad[0]:
            of_input = topology.product_t(values, gradient).t()
        if ctx.needs_input_grad[1]:
            of_values = topology.sampled(gradient, columns)
            ctx.layer.passes.add(gradient, columns, of_values)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(1)
        return of_input, of_values, of_bias, None


class StoredState:
    """The state that an optimizer keeps of a layer's values; a copy or pickle of this has none."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer: weakref.ref[torch.optim.Optimizer] | None = weakref.ref(optimizer)

    def of(self, parameter: Tensor) -> Mapping[str, Any]:
        """Return the state of a parameter; empty if there is none."""
        optimizer = None if self._optimizer is None else self._optimizer()
        found: Mapping[str, Any] = {} if optimizer is None else optimizer.state.get(parameter, {})
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"_optimizer": None}


class SparseLinear(nn.Linear):
    """A Linear layer whose parameter `weight` is the vector of its non-zero values.

    Never constructed: `CsrWeight` turns an existing layer into one, and back, so that hooks and
    references to it stay. Its state dict holds the dense weight, as any Linear layer's.

    Attributes:
        topology: where the values are.
        passes: saved during backward, for gradients of weights that are not stored.
        loaded: the dense weight last loaded, until the next forward pass.
        by_rows: whether outputs are always laid out as an ordinary layer's.
        stored_state: finds the optimizer's state of the values.
    """

    stored_state: "StoredState"
    topology: Topology
    passes: SavedPasses
    loaded: Tensor | None
    by_rows: bool

    def forward(self, input: Tensor) -> Tensor:
        """Return x·Wᵀ + b of x [..., in].

        Raises:
            InvalidInput: under autocast or ``torch.compile``, which lack the operators; an input
                of another dtype than the weight or one without operators; or weights were loaded
                at positions where this layer has none.
        """
        if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
            raise InvalidInput(
                "execution=csr has no operators under autocast or torch.compile: leave those out, "
                "or use execution=masked"
            )
        values = self.weight
        if input.dtype != values.dtype or input.dtype not in DTYPES:
            raise InvalidInput(
                f"execution=csr: an input of {input.dtype} meets a weight of {values.dtype}: give "
                "both in float32 or both in float64, or use execution=masked"
            )
        self.check_loaded()
        self.loaded = None
        self.passes.begin(values.grad)
        rows = input if input.ndim == 2 else input.reshape(-1, input.shape[-1])
        out: Tensor = _Product.apply(rows, values, self.bias, self)
        if input.ndim == 2:
            return out.contiguous() if self.by_rows else out
        # As an ordinary layer's: by rows, so that it can be viewed in other shapes.
        return out.contiguous().view(*input.shape[:-1], self.out_features)

    def check_loaded(self) -> None:
        """Check that weights loaded since the last forward pass have a place here.

        Raises:
            InvalidInput: some have not.
        """
        if self.loaded is None or self.loaded.count_nonzero() <= self.weight.count_nonzero():
            return
        raise InvalidInput(
            "execution=csr: weights were loaded where this layer has no connections now; load the "
            "method's state as well, or detach the method first"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Linear:
        """Return an ordinary Linear layer of the same weight.

        The positions of this layer's values change as it trains, so an average over copies of the
        values (as for an EMA) would mix the weights of different connections. An optimizer that is
        copied together with the model trains the copy: its state is made dense as well.

        Raises:
            InvalidInput: the optimizer has been copied before the model.
        """
        if id(self.weight) in memo:
            raise InvalidInput(
                "execution=csr: an optimizer is copied with its model, and after it: "
                "copy.deepcopy((model, optimizer))"
            )
        copied = nn.Linear.__new__(nn.Linear)
        memo[id(self)] = copied
        rest = {name: value for name, value in vars(self).items() if name not in _OWN}
        copied.__dict__.update(copy.deepcopy(rest, memo))
        dense = self.topology.dense(self.weight.detach())
        copied.weight = nn.Parameter(dense, requires_grad=self.weight.requires_grad)
        memo[id(self.weight)] = copied.weight
        for value in self.stored_state.of(self.weight).values():
            if isinstance(value, Tensor) and value.shape == self.weight.shape:
                memo[id(value)] = self.topology.dense(value)
        return copied

    def load_dense(self, dense: Tensor) -> None:
        """Note a dense weight [out, in] that was loaded."""
        self.loaded = dense.detach()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = self.topology.dense(self.weight.detach())

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **more: Any
    ) -> None:
        key = f"{prefix}weight"
        dense = state_dict.get(key)
        if isinstance(dense, Tensor) and dense.shape == self.topology.shape:
            self.load_dense(dense)
            values = dense.detach().flatten()[self.topology.place]
            state_dict = {**state_dict, key: values.to(self.weight.dtype)}
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)


class _PassesGradient(NamedTuple):
    """Passes whose sum is a gradient, and the factor by which it was changed since."""

    passes: Sequence[Pass]
    factor: float | Tensor

    def of_scale(self, inverse: Tensor | None) -> "_PassesGradient":
        """Return the gradient as backward computed it, times `inverse` if that is given."""
        return self._replace(factor=1.0 if inverse is None else inverse)

    def scaled(self, total: Tensor) -> Tensor:
        """Return the sum over the passes, multiplied by the factor in place."""
        is_one = not isinstance(self.factor, Tensor) and self.factor == 1.0
        return total if is_one else total.mul_(self.factor)


class CsrWeight:
    """The weight of a Linear layer in CSR: a `PrunableWeight` that stores non-zero values only.

    Args:
        prunable: the weight of an ordinary Linear layer, which is turned into a sparse one.
        mask: boolean [out, in]; gradient and optimizer state are carried over where it is True.
        optimizer: that trains the layer.
        by_rows: whether the layer's outputs are laid out as an ordinary layer's.
    """

    def __init__(
        self,
        prunable: Prunable,
        mask: Tensor,
        optimizer: torch.optim.Optimizer,
        *,
        by_rows: bool = False,
    ) -> None:
        module = prunable.module
        self.prunable = prunable
        self.name, self.path = prunable.name, prunable.path
        self.input_dim = prunable.input_dim
        self.shape = prunable.parameter.shape
        self.size = self.shape.numel()
        self.optimizer = optimizer
        topology = Topology.of(mask)
        module.__class__ = SparseLinear
        assert isinstance(module, SparseLinear)
        self.module = module
        module.topology = topology
        module.passes, module.loaded, module.by_rows = SavedPasses(), None, by_rows
        module.stored_state = StoredState(optimizer)
        self._frozen: tuple[Tensor, Tensor] | None = None
        self._kept: _PassesGradient | None = None
        self._places: tuple[Tensor, int, SampledProduct] | None = None
        self._replace(_gather(topology))

    @property
    def parameter(self) -> nn.Parameter:
        """The non-zero values [n]; another object when their number changes."""
        parameter = self.module._parameters["weight"]
        assert parameter is not None
        return parameter

    @property
    def active(self) -> int:
        """Number of active weights, which are those stored."""
        return self.module.topology.count

    @property
    def gradients(self) -> int:
        """Number of weights whose gradients are computed at every step: the active ones."""
        return self.active

    @property
    def device(self) -> torch.device:
        """Where the weight lives."""
        return self.parameter.device

    @property
    def mask(self) -> Tensor:
        """The connectivity, boolean [out, in]; computed at each access."""
        return self.module.topology.mask()

    @property
    def values(self) -> Tensor:
        """Dense values, zero where inactive; computed at each access."""
        return self.module.topology.dense(self.parameter.detach())

    @property
    def places(self) -> Tensor:
        """Flat indices of the non-zero values, ascending; read only."""
        return self.module.topology.place

    @property
    def active_values(self) -> Tensor:
        """The non-zero values; read only."""
        return self.parameter.detach()

    @property
    def trained(self) -> bool:
        """Whether the weight is being trained; False once it was frozen."""
        return self.parameter.requires_grad

    @property
    def active_gradient(self) -> Tensor | None:
        """Gradient of the active weights, 0 elsewhere; computed at each access."""
        gradient = self.parameter.grad
        return None if gradient is None else self.module.topology.dense(gradient)

    @property
    def has_gradient(self) -> bool:
        """Whether the loss depends on the weight; computes no gradient."""
        return self._gradient() is not None

    @property
    @torch.no_grad()
    def dense_gradient(self) -> Tensor | None:
        """Gradient of every weight, inactive ones included; computed at each access.

        It is computed from the passes saved during backward. The gradient of the values is
        compared with what those passes gave it: if it was scaled since (by a GradScaler or
        clipping), so is the result, unless it was kept before (`keep_dense_gradient`).

        Raises:
            InvalidInput: it was not requested, or the gradient of the values was changed in
                another way than by a factor.
            RuntimeError: no backward pass was seen.
        """
        gradient = self._gradient()
        if gradient is None:
            return None
        dense: Tensor | None = None
        for of_output, columns, _ in gradient.passes:
            # Laid out as in an ordinary layer: inputs that are equal then have equal gradients in
            # both, to the last bit, and ties between them are broken the same way.
            left, right = of_output.t().contiguous().t(), columns.t().contiguous()
            dense = left.mm(right) if dense is None else dense.addmm_(left, right)
        assert dense is not None
        return gradient.scaled(dense)

    @torch.no_grad()
    def gradient_at(self, places: Tensor) -> Tensor | None:
        """Return the gradient of the weights at flat `places` [m], and compute no other.

        As `dense_gradient`, but at a cost linear in m. What a product at these places takes is
        prepared once for as long as the same tensor is given.

        Raises:
            ValueError: the places are not ascending flat indices of this weight.
        """
        gradient = self._gradient()
        if gradient is None:
            return None
        product = self._product_at(places)
        found: Tensor | None = None
        for of_output, columns, _ in gradient.passes:
            of_pass = product.of(of_output, columns)
            found = of_pass if found is None else found.add_(of_pass)
        assert found is not None
        return gradient.scaled(found)

    def _product_at(self, places: Tensor) -> SampledProduct:
        last = self._places
        if last is None or last[0] is not places or last[1] != places._version:
            product = SampledProduct.at(places, self.shape)
            self._places = last = places, places._version, product
        return last[2]

    @torch.no_grad()
    def keep_dense_gradient(self, inverse_scale: Tensor | None = None) -> None:
        """Keep this step's gradient, if it was requested, until the next `prepare_backward`.

        It is that of the backward passes, whatever is done to the gradient of the values from now
        on, multiplied by `inverse_scale` (1 / the loss scale) if that is given. Nothing is computed
        before it is read. What was kept of this gradient before stays.
        """
        if not self.module.passes.wanted or self._kept is not None:
            return
        found = self._gradient()
        self._kept = found if found is None else found.of_scale(inverse_scale)

    def drop_dense_gradient(self) -> None:
        """Drop the gradient that was kept."""
        self._kept = None

    def prepare_backward(self, dense_gradient: bool) -> None:
        """Prepare for a backward pass; `dense_gradient`: whether a dense one will be read."""
        self._kept = None
        self.module.passes.prepare_backward(dense_gradient, self.parameter)

    def _gradient(self) -> "_PassesGradient | None":
        """Return what gradients of this step are computed from; None where there are none."""
        if not self.module.passes.wanted:
            raise gradient_not_requested(self.name)
        if self._kept is not None:
            return self._kept
        gradient = self.parameter.grad
        if gradient is None or not self.trained:
            return None
        passes = self.module.passes.contributing()
        if passes:
            return _PassesGradient(passes, self._factor(passes, gradient))
        if bool(gradient.any()):
            raise RuntimeError(f"layer '{self.name}': no backward pass was seen in this step")
        return None  # the layer was not used, and its gradient was set to 0

    def _factor(self, passes: Sequence[Pass], gradient: Tensor) -> float:
        """Return the factor by which `gradient`, that of the values, was changed since.

        Raises:
            InvalidInput: it was changed in another way.
        """
        first, *others = (one.of_values for one in passes)
        total = functools.reduce(torch.add, others, first)
        if torch.equal(total, gradient):  # as it is where nothing comes between
            return 1.0
        # In double precision: squares of gradients of 1e-20 underflow in float32.
        own, given = total.double(), gradient.double()
        factor = float(given.dot(own) / own.dot(own)) if own.any() else 1.0
        if (given - factor * own).norm() > DRIFT * given.norm():
            # Passes may cancel but for rounding.
            terms = sum(float(one.of_values.double().norm()) for one in passes)
            rounding = 8 * torch.finfo(gradient.dtype).eps * terms
            if max(own.norm(), given.norm()) > rounding:
                raise InvalidInput(
                    f"layer '{self.name}': its gradient was changed between backward and step in a "
                    "way that execution=csr cannot apply to the weights it does not store; use "
                    "execution=masked"
                )
            factor = 1.0
        return 1.0 if abs(factor - 1) < DRIFT else factor

    @torch.no_grad()
    def set_mask(self, mask: Tensor) -> None:
        """Make `mask` the connectivity: carry over kept weights, start grown ones at 0."""
        check_mask(self, mask)
        self._frozen = None
        old, new = self.module.topology, Topology.of(mask)
        if torch.equal(new.place, old.place):
            return
        origin = old.origin(new)
        self.module.topology = new
        self.module.passes.clear()  # they belong to the values that were stored

        def carry(tensor: Tensor) -> Tensor:
            return torch.cat([tensor.new_zeros(1), tensor]).index_select(0, origin)

        self._replace(carry)

    @torch.no_grad()
    def load_mask(self, mask: Tensor) -> None:
        """Make `mask` the connectivity of values and optimizer state that were just loaded."""
        dense = self.values if self.module.loaded is None else self.module.loaded
        self.module.loaded = None
        self.module.topology = Topology.of(mask)
        at = _gather(self.module.topology)
        self.parameter.grad = None
        self._replace(at, values=at(dense.to(self.parameter.dtype)))

    @torch.no_grad()
    def fit_state(self) -> None:
        """Gather the values of optimizer state that was loaded dense, of another run.

        Raises:
            InvalidInput: it belongs to another number of weights.
        """
        state: dict[str, Any] = self.optimizer.state.get(self.parameter, {})
        gather = _gather(self.module.topology)
        for key, value in state.items():
            if not isinstance(value, Tensor) or value.ndim == 0:
                continue
            if value.shape not in (self.shape, self.parameter.shape):
                raise InvalidInput(
                    f"layer '{self.name}': the optimizer's state '{key}' was loaded for "
                    f"{value.numel():,} weights, and the layer has {self.active:,}: load the "
                    "method's state as well (handle.load_state_dict)"
                )
            state[key] = gather(value)

    def restore_values(self, values: Tensor) -> None:
        """Replace the weight by dense values [out, in]; `load_mask` must follow."""
        self.module.load_dense(values)

    @torch.no_grad()
    def replace_values(self, values: Tensor) -> None:
        """Give the active weights new values, those of dense ones; the optimizer state stays."""
        self.parameter.copy_(_gather(self.module.topology)(values))

    def restore_state(self, state: dict[str, Any] | None) -> None:
        """Replace the optimizer's state of this weight; `load_mask` must follow."""
        replace_state(self.optimizer, self.parameter, state)

    @property
    def is_loaded(self) -> bool:
        """Whether dense weights were loaded that no forward pass has used."""
        return self.module.loaded is not None

    @torch.no_grad()
    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` (boolean [out, in]) is True as they are."""
        places = _gather(self.module.topology)(frozen).nonzero().flatten()
        self._frozen = (places, self.parameter.detach()[places]) if len(places) else None

    def mask_gradient(self) -> None:
        """Zero the gradients of frozen weights, which stay what they are now.

        Inactive ones are not stored.
        """
        if self._frozen is None:
            return
        places = self._frozen[0]
        # As they are before this step: the model may have been loaded since they were frozen.
        self._frozen = places, self.parameter.detach()[places]
        if self.parameter.grad is not None:
            with torch.no_grad():
                self.parameter.grad[places] = 0

    def restore_frozen(self) -> None:
        """Put frozen weights back to what they were: momentum and weight decay have moved them."""
        if self._frozen is not None:
            with torch.no_grad():
                self.parameter[self._frozen[0]] = self._frozen[1]

    def bind(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Use the one of these from now on; drop what was loaded where there is no connection."""
        self.module.loaded = None
        self.optimizer = optimizer_of(self.parameter, optimizers) or self.optimizer
        self.module.stored_state = StoredState(self.optimizer)

    @torch.no_grad()
    def densify(self) -> None:
        """Turn the layer back into an ordinary one, its inactive weights zero."""
        topology, loaded = self.module.topology, self.module.loaded
        if loaded is not None:  # a copy: it belongs to whoever loaded it
            loaded = loaded.to(self.parameter.dtype, copy=True)
        self._replace(
            lambda tensor: tensor if tensor.ndim > 1 else topology.dense(tensor), values=loaded
        )
        self.module.__class__ = nn.Linear  # type: ignore[assignment]
        for name in _OWN:
            delattr(self.module, name)

    @torch.no_grad()
    def _replace(self, carry: Carry, values: Tensor | None = None) -> None:
        """Carry value, gradient and optimizer state over to another topology."""
        old = self.parameter
        values = carry(old.detach()) if values is None else values
        gradient = None if old.grad is None else carry(old.grad)
        state: dict[str, Any] = self.optimizer.state.get(old, {})
        for key, value in state.items():
            if isinstance(value, Tensor) and value.ndim > 0:
                state[key] = carry(value)
        if values.shape == old.shape:
            old.copy_(values)
            old.grad = gradient
            return
        # Another shape needs a new parameter: while a graph of the last step exists, autograd
        # does not allow the old one to change its shape. Whoever still holds the old one is not to
        # take its gradient for the layer's.
        old.grad = None
        new = nn.Parameter(values, requires_grad=old.requires_grad)
        new.grad = gradient
        self.module.weight = new
        self.module.passes.prepare_backward(self.module.passes.wanted, new)
        for group in self.optimizer.param_groups:
            group["params"] = [new if p is old else p for p in group["params"]]
        if state:
            self.optimizer.state[new] = self.optimizer.state.pop(old)


def _gather(topology: Topology) -> Carry:
    """Return a function that gathers the values [n] of a dense tensor; values it leaves as is."""
    places = topology.place
    return lambda tensor: tensor.flatten()[places] if tensor.ndim > 1 else tensor
