"""Methods that prune a trained network once, from the inputs that examples give its layers.

Wanda and SparseGPT share this base class. Training is dense to the end. Then the layers are pruned
in the order in which the network calls them, each on the inputs that the layers pruned before it
give, and nothing is trained after that.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from torch import Tensor, nn

from suite.core.errors import InvalidInput, TrialFailed
from suite.core.hyperparameters import CALIBRATION
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup
from suite.sparsity.inputs import Tensors, map_tensors, tensors_of
from suite.sparsity.layer_inputs import calibrating, calls_of, seeing_inputs
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.modules import call
from suite.sparsity.scoring import averaged
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.weight_rows import unfolded

TRIED = 2
"""Examples that a network is tried with before training, to see which layers it calls."""

DEFAULT_EXAMPLES = CALIBRATION[0].default
"""The one number of calibration examples that may be larger than the number that there are."""


class CalibratedPruning(Sparsifier, ABC):
    """Prunes a trained network layer by layer, on the inputs that its pruned layers give.

    A subclass says which `statistic` of a layer's inputs it needs, a sum over examples, and how it
    prunes a layer by it. Options: ``calibration_examples`` and ``calibration_batch``. Where all
    examples fit into one batch, one forward pass prunes every layer just before it is called.
    Otherwise, and where a layer is called several times, there is a pass of every batch for each
    layer, whose statistic is summed over batches and calls; training is charged for one pass.

    Where there are fewer examples than the default of ``calibration_examples``, all are used, and a
    note says so; any other number that there are not is refused.

    Evaluation mode, no gradients; modes, buffers and the random state are restored. Replicas of
    data-parallel training average their statistics. A layer that has its zeros already, because it
    was pruned at an earlier end of training, is left alone, as is one that was frozen.
    """

    @abstractmethod
    def statistic(self, inputs: Tensor) -> Tensor:
        """Return a statistic [groups, …] of inputs [groups, positions, features], to be summed.

        Positions are those of all examples at which the layer's weights are multiplied by inputs.
        """

    @abstractmethod
    def prune(self, layer: PrunableWeight, statistic: Tensor, zeros: int) -> None:
        """Give a dense layer its mask of exactly `zeros` zeros, and new values if it gets any."""

    def start(self) -> None:
        """Check that the inputs of every layer to be pruned can be seen; nothing is pruned yet.

        Raises:
            InvalidInput: no examples were given, or fewer than ``calibration_examples``; the model
                does not take them; or a layer's inputs cannot be seen.
        """
        if due := self._due():
            asked, there = self.options.calibration_examples, len(self.examples)
            if there < asked != DEFAULT_EXAMPLES:
                raise InvalidInput(
                    f"calibration_examples={asked}: there are {there:,} examples to draw from: "
                    f"give at most {there}"
                )
            x, _ = self.examples.batch(min(TRIED, self.options.calibration_examples))
            self._calls(due, x)

    def finish(self) -> None:
        """Prune every layer to its number of zeros."""
        if not (due := self._due()):
            return
        x, _ = self.examples.batch(self.options.calibration_examples)
        count, size = len(tensors_of(x)[0]), self.options.calibration_batch
        batches = [_part(x, begin, begin + size) for begin in range(0, count, size)]
        calls = self._calls(due, _part(x, 0, TRIED))
        with calibrating(self.attached_model):
            if len(batches) == 1 and set(calls.values()) == {1}:
                self._in_one_pass(calls, batches[0])
            else:
                for name in calls:
                    self._by_itself(due[name], batches)
        self.charge(count, {layer.name: layer.active / layer.size for layer in self.layers})

    def notes(self) -> list[str]:
        """Return a note if there are fewer examples than ``calibration_examples``."""
        asked, there = self.options.calibration_examples, self._examples
        if there is None or len(there) >= asked:
            return super().notes()
        return [
            *super().notes(),
            f"pruned by the inputs of {len(there):,} examples, all there are, not of "
            f"calibration_examples={asked}",
        ]

    def scoring_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return the cost of one forward pass of the examples through the pruned network."""
        low, high = setup.final.in_network
        if high == 0:
            return FlopsBounds(0.0, 0.0)
        count = min(self.options.calibration_examples, setup.pool)
        cost = setup.forward(setup.final).times(count)
        return cost if low else FlopsBounds(0.0, cost.most)

    # ------------------------------------------------------------------ layers and their inputs

    def _due(self) -> dict[str, PrunableWeight]:
        """Return the layers that have fewer zeros than they are to have, by name."""
        zeros = self.target_zeros()
        return {
            layer.name: layer
            for layer in self.layers
            if layer.trained and layer.size - layer.active < zeros[layer.name]
        }

    def _calls(self, due: Mapping[str, PrunableWeight], x: Tensors) -> dict[str, int]:
        """Return how often a forward pass calls each layer, in the order of first calls.

        Raises:
            InvalidInput: the inputs of a layer cannot be seen.
        """
        modules = {name: self.module_of(layer) for name, layer in due.items()}
        try:
            return calls_of(self.attached_model, modules, x)
        except InvalidInput as error:
            raise InvalidInput(f"{type(self).__name__}: {error}") from error

    def _in_one_pass(self, calls: Mapping[str, int], x: Tensors) -> None:
        """Prune every layer when it is called; `x` are all examples."""
        due = self._due()
        with ExitStack() as hooks:
            for name in calls:

                def prune(module: nn.Module, inputs: Tensor, name: str = name) -> None:
                    if name not in due:
                        raise _called_otherwise(name)
                    self._prune(due.pop(name), self._summed(module, inputs))

                hooks.enter_context(seeing_inputs(self.module_of(due[name]), prune))
            call(self.attached_model, x)
        if due:
            raise _called_otherwise(next(iter(due)))

    def _by_itself(self, layer: PrunableWeight, batches: Sequence[Tensors]) -> None:
        """Prune one layer by its inputs in all calls and batches."""
        total: Tensor | None = None

        def add(module: nn.Module, inputs: Tensor) -> None:
            nonlocal total
            one = self._summed(module, inputs)
            total = one if total is None else total + one

        with seeing_inputs(self.module_of(layer), add):
            for batch in batches:
                call(self.attached_model, batch)
        if total is None:
            raise _called_otherwise(layer.name)
        self._prune(layer, total)

    def _summed(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """Return the statistic of one call's inputs, as the module is given them."""
        first, *others = map(self.statistic, unfolded(module, inputs))
        for other in others:
            first = first + other
        return first

    def _prune(self, layer: PrunableWeight, statistic: Tensor) -> None:
        statistic = averaged({layer.name: statistic})[layer.name]
        if not bool(statistic.isfinite().all()):
            raise TrialFailed(
                f"layer '{layer.name}': its inputs from the calibration examples, or their "
                "squares, are not finite, so it cannot be pruned by them"
            )
        self.prune(layer, statistic, self.target_zeros()[layer.name])


def _part(x: Tensors, begin: int, end: int) -> Tensors:
    return map_tensors(lambda tensor: tensor[begin:end], x)


def _called_otherwise(name: str) -> InvalidInput:
    return InvalidInput(
        f"layer '{name}' was called a different number of times for other examples, so its "
        f"inputs cannot be told: leave it dense with dense_layers={name}"
    )
