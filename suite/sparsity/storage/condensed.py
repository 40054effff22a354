"""A Linear layer as values and indices [out, k], for inference: constant fan-in as what it is.

k is the largest number of weights that a unit has. Where all units have as many (constant fan-in)
nothing is padded; a unit with fewer is filled up with weights that are 0. Source: Lasby et al. 2024
(SRigL), arXiv:2305.02299, where it is called the condensed representation.
"""

import copy
import importlib.util
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.sparsity.storage.condensed_kernel import compiled_product
from suite.sparsity.storage.linear_layers import (
    SHARED,
    plain_linear_layers,
    shared_parameters,
    with_submodule,
)

Kernel = Literal["auto", "torch", "numba"]
"""What multiplies: PyTorch's operators, the compiled kernel, or the latter if it is installed."""

FEW = 4
"""Examples up to which the compiled kernel is faster than PyTorch's bags of embeddings."""
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPILED_DTYPES = (torch.float32, torch.float64)
NARROW = 2**16
"""Inputs up to which an index takes 16 bits instead of 32."""
AT_ONCE = 2**22
"""Weights that are sorted at a time; each takes 8 bytes more."""


def numba_is_installed() -> bool:
    """Return whether the compiled kernel can be used."""
    return importlib.util.find_spec("numba") is not None


def check_kernel(kernel: str) -> None:
    """Check that `kernel` is one of `Kernel` and can be used here.

    Raises:
        InvalidInput: it is another one, or numba is not installed.
    """
    if kernel not in get_args(Kernel):
        raise InvalidInput(f"kernel={kernel!r} is not known: give {', '.join(get_args(Kernel))}")
    if kernel == "numba" and not numba_is_installed():
        raise InvalidInput(
            "kernel=numba needs numba: pip install 'resonance-bench[numba]', or use kernel=torch"
        )


def index_dtype(in_features: int) -> torch.dtype:
    """Return the narrowest type for indices of so many inputs."""
    return torch.uint16 if in_features <= NARROW else torch.int32


def largest_fan_in(weight: Tensor) -> int:
    """Return the largest number of non-zero weights in a row; 1 if there is none."""
    return max(1, int((weight != 0).sum(1).max())) if weight.numel() else 1


def condensed_bytes(weight: Tensor) -> int:
    """Return how many bytes values and indices of a matrix [out, in] take."""
    index = index_dtype(weight.shape[1]).itemsize
    return len(weight) * largest_fan_in(weight) * (weight.itemsize + index)


def condense(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and indices, both [out, k], of a matrix [out, in].

    k is the largest number of non-zero weights in a row. Each row holds its non-zero weights by
    ascending index, and then, if they are fewer than k, its first weights that are 0. So the
    indices of a row differ, and ``zeros.scatter(1, indices, values)`` is the matrix again.
    """
    k = largest_fan_in(weight)
    blocks = weight.split(max(1, AT_ONCE // max(1, weight.shape[1])))
    order = torch.cat(
        [
            (block != 0).byte().argsort(dim=1, descending=True, stable=True)[:, :k]
            for block in blocks
        ]
    )
    return weight.gather(1, order), order.to(index_dtype(weight.shape[1]))


class CondensedLinear(nn.Module):
    """A Linear layer, for inference, that holds `values` and `indices` [out, k] of its weight.

    Outputs are those of the dense layer up to the order of summation. PyTorch's operators gather
    the inputs of one example, and sum bags of embeddings for several. The compiled kernel (numba)
    takes over for up to four examples on a CPU, on one thread, unless gradients are needed.

    Outputs for several examples x [n, in] are laid out by columns, which saves a condensed layer
    that follows from transposing them; ``Tensor.view`` cannot merge their two dimensions.

    Args:
        values: [out, k], of a floating-point type.
        indices: [out, k], uint16 or int32: which input each value is multiplied by.
        bias: [out], or none.
        in_features: number of inputs.
        kernel: auto, torch or numba.

    Raises:
        InvalidInput: a tensor has another type or shape, an index is none of an input, or `kernel`
            cannot be used.
    """

    indices: Tensor

    def __init__(
        self,
        values: Tensor,
        indices: Tensor,
        bias: Tensor | None,
        in_features: int,
        kernel: Kernel = "auto",
    ) -> None:
        super().__init__()
        check_kernel(kernel)
        self.compiled = kernel == "numba" or (kernel == "auto" and numba_is_installed())
        self.in_features, self.out_features = in_features, len(values) if values.ndim else 0
        self.values = _constant(values)
        self.register_buffer("indices", indices)
        self.bias = None if bias is None else _constant(bias)
        _check(self)
        nn.Module.register_load_state_dict_post_hook(self, _check)

    @classmethod
    def of(cls, layer: nn.Linear, kernel: Kernel = "auto") -> "CondensedLinear":
        """Return a Linear layer as a condensed one; it is not changed."""
        values, indices = condense(layer.weight.detach())
        bias = None if layer.bias is None else layer.bias.detach().clone()
        return cls(values, indices, bias, layer.in_features, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Return x·Wᵀ + b: [..., in] → [..., out].

        Raises:
            InvalidInput: `x` has another number of features or another type than the layer.
        """
        # Looking up a module's tensor takes as long as the whole kernel does for a small layer.
        values = self.values
        if x.ndim == 0 or x.shape[-1] != self.in_features or x.dtype != values.dtype:
            raise InvalidInput(
                f"inputs of shape {tuple(x.shape)} and {x.dtype} meet a condensed layer of "
                f"{self.in_features} inputs in {values.dtype}: give it [..., {self.in_features}] "
                "in its own type"
            )
        rows = x if x.ndim == 2 else x.reshape(-1, self.in_features)
        product = self._compiled_product if self._runs_compiled(rows) else self._product
        out = product(rows, values, self.indices, self.bias)
        return out if x.ndim == 2 else out.contiguous().view(*x.shape[:-1], self.out_features)

    def _product(
        self, rows: Tensor, values: Tensor, indices: Tensor, bias: Tensor | None
    ) -> Tensor:
        # Narrow indices are widened in each pass, a tenth of its time: kept, they would take as
        # much memory as the values.
        wide = indices.int()
        if len(rows) == 1 and rows.dtype in COMPILED_DTYPES:  # others would round each product
            inputs = rows[0].index_select(0, wide.view(-1)).view_as(values)
            sums = (inputs * values).sum(1, keepdim=True)
        else:
            sums = _bag_sums(rows.t().contiguous(), wide, values)
        return (sums if bias is None else sums.add_(bias.unsqueeze(1))).t()

    def _runs_compiled(self, rows: Tensor) -> bool:
        return (
            self.compiled
            and len(rows) <= FEW
            and rows.device.type == "cpu"
            and rows.dtype in COMPILED_DTYPES
            and not (rows.requires_grad and torch.is_grad_enabled())
            and not torch.compiler.is_compiling()
        )

    def _compiled_product(
        self, rows: Tensor, values: Tensor, indices: Tensor, bias: Tensor | None
    ) -> Tensor:
        first = values.new_zeros(len(values)) if bias is None else bias
        out = rows.new_empty(len(rows), len(values))
        tensors = (rows.detach().contiguous(), values, indices, first, out)
        compiled_product()(*(tensor.numpy() for tensor in tensors))
        return out

    def extra_repr(self) -> str:
        """Return the sizes, for `print`."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"fan_in={self.values.shape[1]}, bias={self.bias is not None}"
        )


def _bag_sums(table: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Return the sums of values × rows of `table` [in, n] for indices and values [out, k]."""
    starts = torch.arange(
        0, indices.numel() + 1, indices.shape[1], dtype=indices.dtype, device=indices.device
    )
    return torch.embedding_bag(
        table,
        indices.view(-1),
        starts,
        mode=0,
        per_sample_weights=values.view(-1),
        include_last_offset=True,
    )[0]


def _constant(values: Tensor) -> nn.Parameter:
    if values.dtype not in DTYPES:
        raise InvalidInput(
            f"values of {values.dtype}: a condensed layer has float16, bfloat16, float32 or float64"
        )
    return nn.Parameter(values.contiguous(), requires_grad=False)


def _check(layer: CondensedLinear, *_: Any) -> None:
    """Check all tensors of a layer, also after others were loaded into it.

    The compiled kernel reads where an index points, without looking.
    """
    values, indices, bias = layer.values, layer.indices, layer.bias
    if (
        values.ndim != 2
        or indices.shape != values.shape
        or not 1 <= values.shape[1] <= layer.in_features
    ):
        raise InvalidInput(
            f"values of shape {tuple(values.shape)} and indices of shape {tuple(indices.shape)}: a "
            f"condensed layer has both in [out, k], with k from 1 to {layer.in_features} inputs"
        )
    if indices.dtype not in (torch.uint16, torch.int32):
        raise InvalidInput(f"indices of {indices.dtype}: a condensed layer has uint16 or int32")
    if bias is not None and (bias.shape != values.shape[:1] or bias.dtype != values.dtype):
        raise InvalidInput(
            f"a bias of shape {tuple(bias.shape)} in {bias.dtype}: a condensed layer of values "
            f"{tuple(values.shape)} in {values.dtype} has one of each row, in their type"
        )
    low, high = (int(end) for end in indices.int().aminmax()) if indices.numel() else (0, 0)
    if low < 0 or high >= layer.in_features:
        raise InvalidInput(
            f"indices are {low} to {high}: those of {layer.in_features} inputs are 0 to "
            f"{layer.in_features - 1}"
        )


def with_condensed(model: nn.Module, kernel: Kernel = "auto") -> nn.Module:
    """Return a copy of a model with its Linear layers condensed, except those of `why_dense`."""
    model = copy.deepcopy(model)
    for name, reason in why_dense(model).items():
        if not reason:
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            model = with_submodule(model, name, CondensedLinear.of(layer, kernel))
    return model


def why_dense(model: nn.Module) -> dict[str, str]:
    """Return, for every Linear layer by name, why it stays dense; empty if it can be condensed.

    It stays dense if it would take as much memory or more, or if its weight has another name too.
    """
    shared = shared_parameters(model)
    found: dict[str, str] = {}
    for name, layer in plain_linear_layers(model):
        weight = layer.weight.detach()
        found[name] = ""
        if id(layer.weight) in shared:
            found[name] = SHARED
        elif condensed_bytes(weight) >= weight.nbytes:
            found[name] = (
                f"a unit has {largest_fan_in(weight)} of {layer.in_features} weights, so values "
                "and indices would not be smaller"
            )
    return found
