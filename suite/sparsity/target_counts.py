"""How many weights of each layer, or of the network, are zero at the end of a training."""

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.distribution import (
    Shapes,
    custom_zeros,
    global_zeros,
    layer_zeros,
    left_dense_by_uniform,
)
from suite.sparsity.layers import PrunableWeight, nonzero_outside_mask
from suite.sparsity.pattern import checked_pattern
from suite.sparsity.plan import Plan

TOLERANCE = 0.005
"""Largest difference between a sparsity that was asked for and one that is not worth a note."""

MAX_NAMED = 5
"""Layers that a note names."""


class Options(SimpleNamespace):
    """A method's options by name; one that it does not declare is an AttributeError saying so."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the method declares no hyperparameter '{name}'")


@dataclass(frozen=True)
class TargetOptions:
    """The options that final counts follow from, and what holds where a method declares one not."""

    distribution: str = "erk"
    layer_sparsity: tuple[str, ...] = ()
    uniform_dense: str = "first"
    dense_layers: tuple[str, ...] = ()
    dense_layers_compensate: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "TargetOptions":
        """Return those among a method's options."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: options[name] for name in names if name in options})


class TargetCounts:
    """The exact counts that a method ends with, from its options, and whether its masks meet them.

    Attributes:
        plan: the training.
        options: the method's, by name.
        pattern: N:M, if the options ask for one.
        layers: the prunable weights in network order; empty before a model is there.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        self.plan = plan
        self.options = Options(**options)
        self.pattern = checked_pattern(options, plan.sparsity)
        self.layers: list[PrunableWeight] = []
        self._asked = TargetOptions.of(options)
        self._held: dict[str, int] | None = None

    @property
    def is_global(self) -> bool:
        """Whether one exact count holds for the whole network instead of one per layer."""
        return self._asked.distribution == "global"

    @property
    def compensates(self) -> bool:
        """Whether other layers are pruned more for what `dense_layers` keep."""
        return self._asked.dense_layers_compensate

    @property
    def candidates(self) -> list[PrunableWeight]:
        """The layers that may be pruned: all but those kept dense."""
        dense = self.dense_names(self.shapes)
        return [layer for layer in self.layers if layer.name not in dense]

    @property
    def shapes(self) -> Shapes:
        """Shape of each prunable weight by layer name, in network order."""
        return {layer.name: layer.shape for layer in self.layers}

    def target_zeros(self, shapes: Shapes | None = None) -> dict[str, int]:
        """Return how many weights of each layer are zero at the end (per-layer methods).

        `shapes` are those of the attached model if left out.
        """
        if self._held is not None:
            return dict(self._held)
        return self.zeros_at(self.plan.sparsity, shapes)

    def zeros_at(self, sparsity: float, shapes: Shapes | None = None) -> dict[str, int]:
        """Return how many weights of each layer are zero at an overall sparsity."""
        shapes = self.shapes if shapes is None else shapes
        if self._asked.distribution == "custom":
            final = custom_zeros(shapes, self.plan.sparsity, self._asked.layer_sparsity)
            fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 1.0
            return {name: int(fraction * count) for name, count in final.items()}
        zeros = layer_zeros(
            shapes,
            sparsity,
            "uniform" if self.pattern else self._asked.distribution,
            dense=self.dense_names(shapes),
            uniform_dense=self._asked.uniform_dense,
            compensate=self.compensates,
        )
        if self.pattern is None:
            return zeros
        return {
            name: self.pattern.zeros(name, shapes[name], self.input_dim(name)) if count else 0
            for name, count in zeros.items()
        }

    def hold_zeros(self, zeros: Mapping[str, int] | None) -> None:
        """End with these numbers of zeros by layer, in place of what the options say (None)."""
        self._held = None if zeros is None else dict(zeros)

    @property
    def held_zeros(self) -> Mapping[str, int] | None:
        """What `hold_zeros` was given."""
        return self._held

    def input_dim(self, name: str) -> int | None:
        """Return the dimension of a layer's weight along which an output's inputs lie.

        None where there is none; 1, as of Linear and Conv, for layers that are not attached.
        """
        return {layer.name: layer.input_dim for layer in self.layers}.get(name, 1)

    def target_total(self, shapes: Shapes | None = None) -> int:
        """Return how many weights of the network are zero at the end."""
        if not self.is_global:
            return sum(self.target_zeros(shapes).values())
        shapes = self.shapes if shapes is None else shapes
        if self._held is not None:
            return sum(self._held.values())
        return global_zeros(
            shapes,
            self.plan.sparsity,
            dense=self.dense_names(shapes),
            compensate=self.compensates,
        )

    def target_note(self) -> str:
        """Return what the final counts make of the sparsity asked for, and why; or ""."""
        size, shapes = sum(layer.size for layer in self.layers), self.shapes
        end, wanted = self.target_total() / size, self.plan.sparsity
        if abs(end - wanted) <= max(TOLERANCE, len(shapes) / size):
            return ""
        named = self.dense_names(shapes)
        if not self.is_global:
            zeros = self.target_zeros()
            named = {name for name in shapes if zeros[name] == 0}
        note = f"the network ends at a sparsity of {end:.3f}, not {wanted:g}"
        if named:
            note += f", because {_listed([name for name in shapes if name in named])} dense"
        if kept := self._dense_by_default(shapes):
            note += f" (uniform_dense=none prunes {' and '.join(map(repr, kept))} too)"
        return note

    def _dense_by_default(self, shapes: Shapes) -> list[str]:
        """Return the layers that are dense by `uniform_dense`, not by `dense_layers`."""
        is_uniform = self.pattern is not None or self._asked.distribution == "uniform"
        if self.is_global or not is_uniform or "uniform_dense" not in vars(self.options):
            return []
        kept = left_dense_by_uniform(list(shapes), self._asked.uniform_dense)
        return [name for name in kept if name not in self.dense_names(shapes)]

    def sparsity_errors(self, frozen: Collection[str] = ()) -> str:
        """Return which masks miss their count and which weights outside them are not 0; or "".

        Layers `frozen` in a part of training may miss their counts, or the network its own.
        """
        return "; ".join(self._count_errors(frozen) + nonzero_outside_mask(self.layers))

    def _count_errors(self, frozen: Collection[str]) -> list[str]:
        zeros = {layer.name: layer.size - layer.active for layer in self.layers}
        if self.is_global:
            return [] if frozen else self.off_target(zeros)
        shapes, targets = self.shapes, self.target_zeros()
        held = [layer for layer in self.layers if layer.name not in frozen]
        wrong = [self._off(w.name, zeros[w.name], targets[w.name], shapes) for w in held]
        wrong += [self.mask_error(w.name, w.mask, targets[w.name]) for w in held]
        return [error for error in wrong if error]

    def off_target(
        self, zeros: Mapping[str, int], shapes: Shapes | None = None, tolerance: int = 0
    ) -> list[str]:
        """Return which of the layers' numbers of `zeros`, or their sum, miss the final target.

        `shapes` are those of the attached model if left out.
        """
        shapes = self.shapes if shapes is None else shapes
        if self.is_global:
            total, target = sum(zeros.values()), self.target_total(shapes)
            missed = abs(total - target) > tolerance
            return [f"{total} zeros in all, not {target}"] if missed else []
        errors = (
            self._off(name, zeros[name], target, shapes, tolerance)
            for name, target in self.target_zeros(shapes).items()
        )
        return [error for error in errors if error]

    def _off(self, name: str, zeros: int, target: int, shapes: Shapes, tolerance: int = 0) -> str:
        """Return how a layer's number of zeros is not what is allowed; or ""."""
        allowed = self.allowed_zeros(name, target, shapes, tolerance)
        if zeros in allowed:
            return ""
        more = max(allowed)
        words = f", nor what its pattern has, up to {more}" if more > target + tolerance else ""
        return f"{name}: {zeros} zeros, not {target}{words}"

    def allowed_zeros(
        self, name: str, target: int, shapes: Shapes, tolerance: int = 0
    ) -> Collection[int]:
        """Return which numbers of zeros the layer `name` may end with, of per-layer methods.

        A method whose pattern does not allow every number overrides this.

        Args:
            name: of the layer.
            target: its `target_zeros`.
            shapes: of all prunable weights, in network order.
            tolerance: by how many weights a record of another version may differ.
        """
        return range(target - tolerance, target + tolerance + 1)

    def metric_errors(
        self, metrics: Mapping[str, float], zeros: Mapping[str, int], shapes: Shapes
    ) -> list[str]:
        """Return which of the method's own metrics a record with these `zeros` cannot have.

        A method that states counts among its metrics overrides this.
        """
        return []

    def mask_error(self, name: str, mask: Tensor, target: int) -> str:
        """Return what is wrong with where a layer's final mask has its weights; or "".

        A method with a pattern of its own overrides this.

        Args:
            name: of the layer.
            mask: boolean, of the weight's shape.
            target: its `target_zeros`.
        """
        if self.pattern is None or target == 0 or self.pattern.holds(mask):
            return ""
        return f"{name}: not {self.pattern} everywhere"

    def dense_names(self, shapes: Shapes) -> set[str]:
        """Return the layers that are never pruned, by the option `dense_layers`.

        Raises:
            InvalidInput: a glob matches nothing (a typing error would otherwise go unnoticed).
        """
        matched: set[str] = set()
        for glob in self._asked.dense_layers:
            hits = fnmatch.filter(shapes, glob)
            if not hits:
                raise InvalidInput(
                    f"dense_layers: '{glob}' matches no layer; there are {', '.join(shapes)}"
                )
            matched.update(hits)
        return matched

    def _is_finished(self, layer: PrunableWeight) -> bool:
        """Return whether a layer has as few connections as it will have at the end."""
        if not self.is_global:
            return layer.size - layer.active >= self.target_zeros()[layer.name]
        return sum(w.size - w.active for w in self.layers) >= self.target_total()


def _listed(names: Sequence[str]) -> str:
    """Return the names of layers with the verb: ``'0' stays``, ``'0', '2' stay``."""
    shown = ", ".join(f"'{name}'" for name in names[:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{shown}{more} {'stays' if len(names) == 1 else 'stay'}"
