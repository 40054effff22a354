"""Methods that prune a trained network once, from the inputs that examples give its layers.

Wanda and SparseGPT share this base class. Training is dense to the end. Then the layers are pruned
in the order in which the network calls them, each on the inputs that the layers pruned before it
give, and nothing is trained after that.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from suite.core.errors import InvalidInput, TrialFailed, first_line
from suite.core.hyperparameters import CALIBRATION
from suite.sparsity.inputs import Tensors, describe, map_tensors, tensors_of
from suite.sparsity.layers import PRUNABLE, PrunableWeight
from suite.sparsity.modules import call, evaluation_mode
from suite.sparsity.scoring import averaged
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import Cost, Finished, Zeros

TRIED = 2
"""Examples that a network is tried with before training, to see which layers it calls."""

DEFAULT_EXAMPLES = CALIBRATION[0].default
"""The one number of calibration examples that may be larger than the number that there are."""

AT_ONCE = 2**24
"""Numbers of a layer's inputs that are unfolded at once, about."""


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

    def scoring_cost(self, finished: Finished) -> Cost:
        """Return the cost of one forward pass of the examples through the pruned network."""
        if not any(finished.zeros.values()):
            return Cost(0.0, 0.0)
        count = min(self.options.calibration_examples, finished.pool)
        return finished.forward(Zeros.exactly(finished.zeros)).times(count)

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
        modules = {name: module_of(self.attached_model, layer) for name, layer in due.items()}
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

                hooks.enter_context(seeing_inputs(module_of(self.attached_model, due[name]), prune))
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

        with seeing_inputs(module_of(self.attached_model, layer), add):
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


def module_of(model: nn.Module, layer: PrunableWeight) -> nn.Module:
    """Return the module that holds a layer's weight."""
    return model.get_submodule(layer.path.rpartition(".")[0])


# ---------------------------------------------------------------------- running a network


@contextmanager
def calibrating(model: nn.Module) -> Iterator[None]:
    """Run a model to see its layers' inputs: evaluation mode, every module called as one.

    Fused kernels that read the weights of modules without calling them, and compiled code, are
    switched off. The modes, the buffers and the random state are restored afterwards.
    """
    first = next(model.parameters())
    buffers = [(buffer, buffer._version, buffer.clone()) for buffer in model.buffers()]
    fused = torch.backends.mha.get_fastpath_enabled()
    devices = [first.device] if first.device.type == "cuda" else []
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            torch.no_grad(),
            evaluation_mode(model),
            torch.random.fork_rng(devices=devices),
            torch.compiler.set_stance("force_eager"),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        with torch.no_grad():
            for buffer, version, before in buffers:
                if buffer._version != version:
                    buffer.copy_(before)


@contextmanager
def seeing_inputs(module: nn.Module, see: Callable[[nn.Module, Tensor], None]) -> Iterator[None]:
    """Call `see` with a Linear or Conv layer and its inputs, just before each of its calls."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        see(module, args[0] if args else kwargs["input"])

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def calls_of(model: nn.Module, modules: Mapping[str, nn.Module], x: Tensors) -> dict[str, int]:
    """Return how often one forward pass calls each module, in the order of first calls.

    Args:
        model: the network.
        modules: Linear or Conv layers of it, by name.
        x: some of its inputs.

    Raises:
        InvalidInput: the weight of one is not used as a Linear or Conv layer's own alone: another
            kind of layer, a forward pass of its own, a weight that several modules share or that a
            function reads, or a layer that is not called.
    """
    for name, module in modules.items():
        _check_kind(model, name, module)
    order: dict[str, int] = {}
    reads = _Reads({name: module.weight for name, module in modules.items()})  # type: ignore[misc]
    with ExitStack() as hooks:
        for name, module in modules.items():

            def begin(module: nn.Module, args: Any, name: str = name) -> None:
                order[name] = order.get(name, 0) + 1
                reads.running.append(name)

            def end(module: nn.Module, args: Any, output: Any) -> None:
                reads.running.pop()

            hooks.callback(module.register_forward_pre_hook(begin).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        with calibrating(model), reads:
            try:
                call(model, x)
            except (InvalidInput, TrialFailed, torch.OutOfMemoryError):
                raise
            except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
                raise InvalidInput(
                    f"the model does not take examples {describe(x)} ({first_line(error)}): give "
                    "inputs as in training"
                ) from error
    for name in modules:
        if name not in order:
            raise _unseen(name, "is not called in a forward pass, so its inputs cannot be seen")
        if name in reads.elsewhere:
            raise _unseen(name, "has a weight that is also read outside the layer")
    return order


def _check_kind(model: nn.Module, name: str, module: nn.Module) -> None:
    kind = type(module)
    if not isinstance(module, PRUNABLE):
        raise _unseen(name, f"belongs to {kind.__name__}, not to a Linear or Conv layer")
    ways = (getattr(kind, "forward", None), getattr(kind, "_conv_forward", None))
    own = any(not way.__module__.startswith("torch.nn.") for way in ways if way is not None)
    if own or "forward" in vars(module):
        raise _unseen(name, f"has a forward pass of its own ({kind.__name__})")
    names = [
        path for path, p in model.named_parameters(remove_duplicate=False) if p is module.weight
    ]
    if len(names) > 1:
        raise _unseen(name, f"shares its weight ({' and '.join(names)})")


def _unseen(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"layer '{name}' {why}: leave it dense with dense_layers={name}")


class _Reads(TorchDispatchMode):
    """Notes which weights are read while their own module is not running.

    Attributes:
        running: names of the modules whose forward pass is running, the innermost last.
        elsewhere: names of the weights that something else has read.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running: list[str] = []
        self.elsewhere: set[str] = set()
        spans = [(w.data_ptr(), w.data_ptr() + w.nbytes, name) for name, w in weights.items()]
        self._spans = sorted(spans)
        self._starts = [start for start, _, _ in self._spans]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not func.is_view:  # a view reads nothing; what reads the view is seen later
            read = {self._name_of(value) for value in tree_leaves((args, kwargs))}
            self.elsewhere.update(name for name in read if name and name not in self.running)
        return func(*args, **kwargs)

    def _name_of(self, value: object) -> str:
        """Return the name of the weight that a value is, or is a part of; empty for others."""
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            return ""
        place = bisect_right(self._starts, pointer := value.data_ptr()) - 1
        if place >= 0 and pointer < self._spans[place][1]:
            return self._spans[place][2]
        return ""


# ---------------------------------------------------------------------- weights as matrices


def groups_of(module: nn.Module) -> int:
    """Return the number of groups of a layer: 1 but for grouped convolutions."""
    return module.groups if isinstance(module, _ConvNd) else 1


def to_rows(tensor: Tensor, groups: int) -> Tensor:
    """Return a weight [out, in, *kernel], or its mask, as [groups, out / groups, features].

    The features of an output are its inputs; of a convolution those at each place of the kernel in
    turn, so that consecutive inputs, as in an N:M pattern, stay together.
    """
    return tensor.movedim(1, -1).reshape(groups, len(tensor) // groups, -1)


def from_rows(rows: Tensor, shape: torch.Size) -> Tensor:
    """Return rows [groups, out / groups, features] in the weight's shape; undoes `to_rows`."""
    moved = (shape[0], *shape[2:], shape[1])
    return rows.reshape(moved).movedim(-1, 1).contiguous()


def unfolded(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Yield what a layer multiplies its weights by: [groups, positions, features], in parts.

    Features are those of `to_rows`: outputs are ``rows @ features``, without the bias. Positions
    are those of the outputs: all places of all examples; tokens for a Linear layer.
    """
    if not isinstance(module, _ConvNd):
        flat = inputs.reshape(-1, inputs.shape[-1])
        for part in flat.split(max(1, AT_ONCE // flat.shape[-1])):
            yield part.unsqueeze(0)
        return
    dims = len(module.kernel_size)
    x = inputs.unsqueeze(0) if inputs.ndim == dims + 1 else inputs
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = nn.functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
    x = x.unflatten(1, (module.groups, -1))  # [examples, groups, channels of a group, *places]
    sizes = zip(module.kernel_size, module.stride, module.dilation, strict=True)
    for dim, (kernel, stride, dilation) in enumerate(sizes, 3):
        x = x.unfold(dim, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    # [examples, groups, channels, *positions, *kernel] → [groups, examples, *positions, *kernel,
    # channels]
    x = x.movedim(1, 0).movedim(2, -1)
    per_example = math.prod(x.shape) // max(1, x.shape[1])
    for part in x.split(max(1, AT_ONCE // max(1, per_example)), dim=1):
        yield part.flatten(-1 - dims).flatten(1, -2)
