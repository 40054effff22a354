"""Changes of a model since it was sparsified: layers replaced, frozen or thawed."""

import warnings
from collections.abc import Iterable, Sequence

from torch import nn

from suite.core.errors import InvalidInput, SparsityWarning
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.whole_model import uncovered


class ModelChanges:
    """Compares a model with what it was when its method was attached.

    Args:
        model: unwrapped.
        layers: the method's.
        excluded: globs of weights that the user left out on purpose.

    Attributes:
        frozen: names of the layers that were found frozen at any time, also if trained again.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[PrunableWeight], excluded: Sequence[str]
    ) -> None:
        self._model = model
        self._layers = layers
        self._excluded = tuple(excluded)
        self._known = self._trained_outside()
        self.frozen: set[str] = set()
        self._seen: list[tuple[int, bool]] = []

    def note_frozen(self, names: Iterable[str]) -> None:
        """Note layers that were frozen in a part of training before this one."""
        self.frozen.update(names)

    def check(self) -> None:
        """Warn of layers that were frozen, and of weights that are trained without the method.

        Each is warned of once.

        Raises:
            InvalidInput: a layer of the method is no longer the model's.
        """
        # Names are looked at only where a parameter has been exchanged, frozen or thawed.
        now = [(id(p), p.requires_grad) for p in self._model.parameters()]
        if now == self._seen:
            return
        for layer in self._layers:
            if not self._is_in_place(layer):
                raise InvalidInput(
                    f"layer '{layer.name}' was replaced after sparsify was called, and is not "
                    "sparsified any more: call handle.detach(), build the optimizer anew, and call "
                    "sparsify again"
                )
            if not layer.trained and layer.name not in self.frozen:
                self.frozen.add(layer.name)
                _warn(
                    f"layer '{layer.name}' was frozen: it keeps its weights and its mask, and "
                    "other layers do not make up for it"
                )
        if new := self._trained_outside() - self._known:
            self._known |= new
            _warn(
                f"{', '.join(sorted(new))} are trained since sparsify was called and stay dense: "
                "to sparsify them too, call handle.detach() and sparsify again, with "
                "masks='nonzero' for instance"
            )
        self._seen = now

    def _is_in_place(self, layer: PrunableWeight) -> bool:
        try:
            return self._model.get_parameter(layer.path) is layer.parameter
        except AttributeError:
            return False

    def _trained_outside(self) -> set[str]:
        found = uncovered(self._model, self._layers, self._excluded)
        return {weight.path for weight in found.weights}


def _warn(message: str) -> None:
    warnings.warn(message, SparsityWarning, stacklevel=2)
