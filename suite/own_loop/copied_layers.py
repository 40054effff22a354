"""Copies of sparsified layers that are trained without a method.

A copy has the zeros of its original and none of the hooks that keep them. Most copies are evaluated
(an average of weights, a teacher, an export); one that an optimizer trains becomes dense.
"""

import warnings
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from suite.core.errors import SparsityWarning
from suite.sparsity.prunable import Prunable

_PLACE = "_sparsified"
"""The attribute of a layer that holds its mark: attributes are what `copy.deepcopy` follows."""


class _Mark:
    """Goes with a layer into its copies, and notes them.

    Args:
        layer: that holds it, or None for a copy that is not known.
        method: that masks the original.
        names: of the original's masked weights, by parameter name in the layer.
    """

    def __init__(self, layer: nn.Module | None, method: str, names: dict[str, str]) -> None:
        self.method = method
        self._layer = None if layer is None else weakref.ref(layer)
        self._names = names

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Mark":
        """Return the mark of a copied layer, which `copy.deepcopy` has entered into its memo."""
        copied = _Mark(memo.get(id(self._held())), self.method, self._names)
        _copies.add(copied)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as None: a model that is saved whole needs none of this to be loaded."""
        return type(None), ()

    def weights(self) -> Iterator[tuple[nn.Parameter, str]]:
        """Yield what are weights of the copied layer now and masked in the original, with names."""
        layer = self._held()
        if layer is not None:
            for leaf, name in self._names.items():
                if (parameter := layer._parameters.get(leaf)) is not None:
                    yield parameter, name

    def _held(self) -> nn.Module | None:
        return None if self._layer is None else self._layer()


class _Copies:
    """The marks of copies that have no method and were not warned of, while their layers live."""

    def __init__(self) -> None:
        self._marks: weakref.WeakKeyDictionary[_Mark, None] = weakref.WeakKeyDictionary()
        self._made = 0
        self._without: weakref.WeakKeyDictionary[torch.optim.Optimizer, tuple[int, int]] = (
            weakref.WeakKeyDictionary()
        )

    def __contains__(self, mark: object) -> bool:
        return mark in self._marks

    def add(self, mark: _Mark) -> None:
        """Note another copy."""
        self._marks[mark] = None
        self._made += 1

    def take_trained(self, optimizer: torch.optim.Optimizer) -> list[tuple[_Mark, str]]:
        """Return the weights, and their names, that an optimizer trains; each copy once.

        An optimizer that holds no copy, as almost every one, is looked at again only once another
        copy was made or a group of parameters added: averages are copies that live for long.
        """
        seen = (self._made, len(optimizer.param_groups))
        if not self._marks or self._without.get(optimizer) == seen:
            return []
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        held = [
            (mark, parameter, name)
            for mark in list(self._marks)
            for parameter, name in mark.weights()
            if id(parameter) in own
        ]
        if not held:
            self._without[optimizer] = seen
        trained = [(mark, name) for mark, parameter, name in held if parameter.grad is not None]
        for mark, _ in trained:
            self._marks.pop(mark, None)
        return trained


_copies = _Copies()


class MarkedLayers:
    """The layers of one method, whose copies are recognised while it is attached.

    Args:
        model: whose layers they are; what it has copied from another model is known from now on.
        method: name of the method.
        prunable: its weights.
    """

    def __init__(self, model: nn.Module, method: str, prunable: Sequence[Prunable]) -> None:
        for module in model.modules():
            if vars(module).get(_PLACE) in _copies:
                del vars(module)[_PLACE]
        names: dict[nn.Module, dict[str, str]] = {}
        for found in prunable:
            names.setdefault(found.module, {})[found.leaf] = found.name
        self._marks = {layer: _Mark(layer, method, of_it) for layer, of_it in names.items()}
        for layer, mark in self._marks.items():
            vars(layer)[_PLACE] = mark

    def release(self) -> None:
        """Remove the marks; copies that were made before keep theirs."""
        for layer, mark in self._marks.items():
            if vars(layer).get(_PLACE) is mark:
                del vars(layer)[_PLACE]
        self._marks.clear()


def _warn_of_trained_copies(
    optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Warn if an optimizer has just trained copies without a method; of each copy once.

    After the step, because a closure computes the gradients inside.
    """
    if not (trained := _copies.take_trained(optimizer)):
        return
    (first, name), more = trained[0], len(trained) - 1
    warnings.warn(
        f"{type(optimizer).__name__} trains a copy of layer '{name}'"
        + (f" and of {more} more" if more else "")
        + f", which {first.method} does not mask and which becomes dense: copy.deepcopy copies "
        "weights, not their method; call sparsify on the copy, with state=handle.state_dict() of "
        "the original, or copy after handle.detach() to train it without masks",
        SparsityWarning,
        stacklevel=2,
    )


register_optimizer_step_post_hook(_warn_of_trained_copies)
