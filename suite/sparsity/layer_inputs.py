"""The inputs that a network's layers are called with, seen while it runs."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from suite.core.errors import InvalidInput, TrialFailed, first_line
from suite.sparsity.inputs import Tensors, describe
from suite.sparsity.layers import PRUNABLE
from suite.sparsity.modules import call, evaluation_mode


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
