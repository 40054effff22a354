"""Which layers belong to a method, and whether weights were loaded into them since."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from suite.core.errors import InvalidInput
from suite.sparsity.layers import PrunableWeight, nonzero_outside_mask
from suite.sparsity.storage.csr import SparseLinear

_owned: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
"""The layers that have a method now. A copy of one is another module and has none."""


class _Loaded:
    """A hook that records being called. It holds no reference, so that models can be copied."""

    seen = False

    def __call__(self, module: nn.Module, keys: Any) -> None:
        self.seen = True


class LayerOwnership:
    """The layers of one method.

    Args:
        layers: by name.

    Raises:
        InvalidInput: one of them has another method.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        for name, module in layers.items():
            if module in _owned or isinstance(module, SparseLinear):
                raise InvalidInput(
                    f"layer '{name}' already has a method: detach that one first, with its "
                    "handle's detach()"
                )
        self._layers = dict(layers)
        self._loaded = _Loaded()
        self._hooks: list[RemovableHandle] = []

    def claim(self) -> None:
        """Reserve these layers for this method, and record when weights are loaded into them."""
        for module in self._layers.values():
            self._hooks.append(module.register_load_state_dict_post_hook(self._loaded))
            _owned.add(module)

    def release(self) -> None:
        """Make the layers available again."""
        while self._hooks:
            self._hooks.pop().remove()
        for module in self._layers.values():
            _owned.discard(module)

    def check(self, weights: Sequence[PrunableWeight]) -> None:
        """Check that weights loaded since, if any, are as sparse as the masks.

        Raises:
            InvalidInput: they are not; every call raises until the weights fit the masks again.
        """
        if not self._loaded.seen:
            return
        if dense := nonzero_outside_mask(weights):
            raise InvalidInput(
                f"weights were loaded that are not as sparse as the method's masks ({dense[0]}): "
                "load the method's state as well, or detach the method first"
            )
        self._loaded.seen = False
