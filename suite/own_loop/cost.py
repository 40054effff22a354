"""What training in a loop of one's own costs, in floating-point operations."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from suite.core.errors import InvalidInput, first_line
from suite.sparsity.candidates import ALL, Candidates
from suite.sparsity.flops import ForwardFlops, gradients_read, measure_forward
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import unwrap
from suite.sparsity.prunable import LINEAR_AND_CONV, Coverage

UNITS = {1e15: "P", 1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}


@dataclass(frozen=True, repr=False)
class Flops:
    """Floating-point operations per example; two per multiply-add.

    A dense training step costs three forward passes: the pass, the gradients of its inputs and
    those of its weights (Evci et al. 2020, arXiv:1911.11134, appendix H). A sparse one costs
    3 f_S, or 2 f_S + f_D where the method reads the gradients of every weight (of active weights
    and candidates alone, that of these in place of f_D).

    Attributes:
        inference_dense: a forward pass of the dense network.
        inference: one of the network as sparse as it is now.
        training: the steps taken so far, of one example each.
        steps: how many steps that is.
        scoring: what the method spent on scoring connections beside the steps; in all, not per
            example.
        method: what its own arithmetic took beside any pass; in all.
    """

    inference_dense: float
    inference: float
    training: float
    steps: int
    scoring: float
    method: float = 0.0

    @property
    def inference_share(self) -> float:
        """Sparse inference as a fraction of dense inference."""
        return self.inference / self.inference_dense if self.inference_dense else 1.0

    @property
    def training_share(self) -> float:
        """The mean step as a fraction of a dense one; NaN before the first step."""
        dense = 3 * self.inference_dense * self.steps
        return self.training / dense if dense else float("nan")

    def total(self, batch_size: float) -> float:
        """Return the operations of the training so far, with `batch_size` examples a step."""
        return self.training * batch_size + self.scoring + self.method

    def __repr__(self) -> str:
        lines = [
            f"inference: {_readable(self.inference)} per example, "
            f"{self.inference_share:.3g} × dense ({_readable(self.inference_dense)})"
        ]
        if self.steps:
            lines.append(
                f"training: {_readable(self.training / self.steps)} per step and example, "
                f"{self.training_share:.3g} × dense; {_readable(self.training)} per example in "
                f"{self.steps:,} steps"
            )
        if self.scoring:
            lines.append(f"scoring connections: {_readable(self.scoring)}")
        if self.method:
            lines.append(f"the method's own arithmetic: {_readable(self.method)}")
        return "\n".join(lines)


class _Kind(NamedTuple):
    """What the cost of a step follows from.

    Attributes:
        active: numbers of active weights, in the order of the layers.
        trained: numbers of those that are trained.
        candidates: whose gradients a step looks at that reads dense ones.
    """

    active: tuple[int, ...]
    trained: tuple[int, ...]
    candidates: Candidates


@dataclass
class _Steps:
    """Steps that cost the same: how many did and did not read dense gradients."""

    sparse: int = 0
    dense: int = 0


class MethodCharges:
    """What a method charges beside the steps: passes that score connections, its own arithmetic.

    It is given to `Sparsifier.attach` as ``flops``, and is there before the layers are: a method
    may charge while it is attached, and at any time after.

    Attributes:
        method: FLOPs of the method's own arithmetic.
    """

    def __init__(self) -> None:
        self.method = 0.0
        self._passes: list[tuple[float, dict[str, float]]] = []

    def charge_scoring(self, forwards: float, densities: Mapping[str, float]) -> None:
        """Count `forwards` passes of one example at these densities by layer."""
        self._passes.append((float(forwards), dict(densities)))

    def charge_method(self, flops: float) -> None:
        """Add FLOPs of the method's own arithmetic."""
        self.method += flops

    def scoring(self, forward: ForwardFlops) -> float:
        """Return what scoring cost in all."""
        return sum(count * forward.at(densities) for count, densities in self._passes)

    def state(self) -> dict[str, Any]:
        """Return what `load` restores: numbers and names."""
        passes = [[count, dict(densities)] for count, densities in self._passes]
        return {"scoring": passes, "method": self.method}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a `state` in place of what was charged."""
        self._passes = [(count, dict(densities)) for count, densities in state["scoring"]]
        self.method = state.get("method", 0.0)  # older states lack it


class StepCounter:
    """Counts the steps of a training by the masks they were taken at.

    A step adds 1 to a number. Call `masks_changed` whenever the numbers of active weights may have
    changed, and `step` for each step before its update, as the suite's own loop does.

    Args:
        layers: the prunable weights of the model.
        coverage: which weights those are.
        candidates: whose gradients the method looks at where it reads dense gradients.
        charges: receives what the method charges beside the steps.
    """

    def __init__(
        self,
        layers: Sequence[PrunableWeight],
        coverage: Coverage = LINEAR_AND_CONV,
        candidates: Candidates = ALL,
        charges: MethodCharges | None = None,
    ) -> None:
        self._layers = list(layers)
        self._coverage = coverage
        self._candidates = candidates
        self._sizes = {layer.name: layer.size for layer in self._layers}
        # Methods that keep the numbers of weights constant need one entry.
        self._steps: dict[_Kind, _Steps] = {}
        self._charges = charges or MethodCharges()
        self.masks_changed()

    @property
    def steps(self) -> int:
        """How many steps were counted."""
        return sum(counted.sparse + counted.dense for counted in self._steps.values())

    def step(self, *, dense_gradient: bool) -> None:
        """Count a step; `dense_gradient`: whether the method reads dense gradients in it."""
        if dense_gradient:
            self._current.dense += 1
        else:
            self._current.sparse += 1

    def masks_changed(self, candidates: Candidates | None = None) -> None:
        """Look at the masks again: those of the steps from now on.

        `candidates` are those of a method that goes on under another plan.
        """
        self._candidates = candidates or self._candidates
        active = tuple(layer.active for layer in self._layers)
        trained = tuple(layer.gradients for layer in self._layers)
        kind = _Kind(active, trained, self._candidates)
        self._current = self._steps.setdefault(kind, _Steps())

    def measure(self, model: nn.Module, example: Any) -> Flops:
        """Return the operations of `model` and of the training so far.

        Args:
            model: the one that is being trained; it is not changed.
            example: a batch of its inputs, of any size.

        Raises:
            InvalidInput: the model does not take the example.
        """
        forward = self._forward(model, example)
        training = 0.0
        for kind, counted in self._steps.items():
            used, own = self._by_layer(kind.active), self._by_layer(kind.trained)
            for taken, dense in ((counted.sparse, False), (counted.dense, True)):
                gradients = gradients_read(
                    used, self._sizes, own, dense_gradient=dense, candidates=kind.candidates
                )
                training += taken * forward.step(used, gradients, self._sizes)
        return Flops(
            inference_dense=forward.dense,
            inference=forward.sparse(self._layers),
            training=training,
            steps=self.steps,
            scoring=self._charges.scoring(forward),
            method=self._charges.method,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume: numbers and names."""
        return {
            "sizes": dict(self._sizes),
            "steps": [
                [list(kind.active), n.sparse, n.dense, list(kind.trained), kind.candidates.ratio]
                for kind, n in self._steps.items()
            ],
            **self._charges.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`, after the method's state.

        Raises:
            InvalidInput: it was saved for other layers; nothing is changed.
        """
        if state["sizes"] != self._sizes:
            raise InvalidInput(
                "the saved cost of training belongs to a model with other layers: build the model "
                "that it was saved with"
            )
        steps = {}
        for active, sparse, dense, *later in state["steps"]:  # older states lack some
            trained = later[0] if later else active
            candidates = Candidates(later[1]) if len(later) > 1 else self._candidates
            steps[_Kind(tuple(active), tuple(trained), candidates)] = _Steps(sparse, dense)
        self._charges.load(state)
        self._steps = steps
        self.masks_changed()

    def _by_layer(self, counts: Sequence[int]) -> dict[str, int]:
        return dict(zip(self._sizes, counts, strict=True))

    def _forward(self, model: nn.Module, example: Any) -> ForwardFlops:
        """Return the dense forward operations of a model that is being trained."""
        network = unwrap(model)
        if any(network.get_parameter(w.path).shape != w.shape for w in self._layers):
            network = copy.deepcopy(network)  # its layers in CSR are copied as ordinary ones
        try:
            return measure_forward(network, example, self._coverage)
        except InvalidInput:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InvalidInput(
                f"{type(network).__name__} does not take this example ({first_line(error)}): give "
                "a batch of its inputs, as it is called with in training"
            ) from error


def _readable(operations: float) -> str:
    """Return a number of operations with three digits and a unit."""
    for size, prefix in UNITS.items():
        if operations >= size:
            return f"{operations / size:.3g} {prefix}FLOPs"
    return f"{operations:.3g} FLOPs"
