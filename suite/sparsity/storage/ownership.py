"""Which layers a method holds, and whether weights were loaded into them behind its back."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from suite.core.errors import InvalidInput
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.storage.csr import SparseLinear
from suite.sparsity.zeros import nonzero_outside_mask

_frozen: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
"""The layers that are frozen now. A copy of one is another module, which nobody holds."""


class _Loaded:
    """A hook that remembers being called; it refers to nothing, as copies of a model copy it."""

    seen = False

    def __call__(self, module: nn.Module, keys: Any) -> None:
        self.seen = True


class LayerOwnership:
    """The layers of one method.

    Args:
        layers: by name.

    Raises:
        InvalidInput: one of them is another method's.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        for name, module in layers.items():
            if module in _frozen or isinstance(module, SparseLinear):
                raise InvalidInput(
                    f"layer '{name}' is frozen by a method already: detach the first, "
                    "with its handle's detach()"
                )
        self._layers = dict(layers)
        self._loaded = _Loaded()
        self._hooks: list[RemovableHandle] = []

    def claim(self) -> None:
        """Keep other methods off these layers, and notice what is loaded into them."""
        for module in self._layers.values():
            self._hooks.append(module.register_load_state_dict_post_hook(self._loaded))
            _frozen.add(module)

    def release(self) -> None:
        """Give the layers back."""
        while self._hooks:
            self._hooks.pop().remove()
        for module in self._layers.values():
            _frozen.discard(module)

    def check(self, weights: Sequence[PrunableWeight]) -> None:
        """See to it that what was loaded, if anything was, is as sparse as the masks.

        Raises:
            InvalidInput: it is not; every call says so, until weights are under their masks again.
        """
        if not self._loaded.seen:
            return
        if dense := nonzero_outside_mask(weights):
            raise InvalidInput(
                f"weights were loaded that are not as sparse as the method's masks ({dense[0]}): "
                "load the method's state as well, or detach the method first"
            )
        self._loaded.seen = False
