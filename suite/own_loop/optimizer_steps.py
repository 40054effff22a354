"""The steps of one or several optimizers, as one sequence of training steps."""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Protocol

import torch
from torch.utils.hooks import RemovableHandle

from suite.core.errors import InvalidInput
from suite.own_loop.state_initialization import initializes_state
from suite.own_loop.unequal_steps import UnequalSteps

HookResult = tuple[tuple[Any, ...], dict[str, Any]] | None


def _without_autocast() -> AbstractContextManager[object]:
    """Decide in full precision, also where a loop steps inside its autocast block.

    There, products would be in half precision, and of copies of the weights from before the step.
    """
    enabled = [device for device in ("cpu", "cuda") if torch.is_autocast_enabled(device)]
    if not enabled:
        return _NOTHING
    stack = ExitStack()
    for device in enabled:
        stack.enter_context(torch.autocast(device, enabled=False))
    return stack


_NOTHING = nullcontext()


class StepListener(Protocol):
    """What happens in a training step, in this order."""

    def begin_step(self) -> None:
        """Gradients are final, and no optimizer has stepped yet."""

    def continue_step(self) -> None:
        """Another of the optimizers is about to step in a step that has begun."""

    def optimizer_stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """One of the optimizers has stepped."""

    def end_step(self) -> None:
        """All optimizers have stepped, or one begins the next step without the others."""


class OptimizerSteps:
    """Calls a listener at the steps of optimizers, through their hooks.

    A training step is over when each optimizer has stepped once. An optimizer that steps again
    before begins the next one: the others (of a skipped GradScaler step, for instance) left it out.
    A warning says so once where one of them leaves out many.
    With a closure, a step begins when the closure has returned: it computes the gradients.

    Attributes:
        optimizers: those that are hooked.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], listener: StepListener) -> None:
        self.optimizers = tuple(optimizers)
        self._listener = listener
        self._unequal = UnequalSteps(self.optimizers)
        self._stepped: list[torch.optim.Optimizer] = []
        self._loaded: set[int] = set()
        self._pending: set[int] = set()
        self._initialized: set[int] = set()
        self._hooks: list[RemovableHandle] = []
        for optimizer in self.optimizers:
            self._hooks += [
                optimizer.register_step_pre_hook(self._before),
                optimizer.register_step_post_hook(self._after),
                optimizer.register_load_state_dict_post_hook(self._note_loaded),
            ]

    def remove(self) -> None:
        """Leave the optimizers alone from now on."""
        while self._hooks:
            self._hooks.pop().remove()

    def finish(self) -> None:
        """End a step that not all optimizers have taken."""
        if self._stepped:
            self._end()

    @property
    def stepped(self) -> list[int]:
        """The optimizers, by their places, that have taken a step which others have not yet."""
        return [i for i, one in enumerate(self.optimizers) if self._has_stepped(one)]

    @property
    def all_stepped(self) -> bool:
        """Whether every optimizer has taken the step that began last."""
        return len(self._stepped) == len(self.optimizers)

    def restart(self, stepped: Sequence[int] = ()) -> None:
        """Continue where the optimizers `stepped` have taken a step, or between two steps."""
        self._stepped = [self.optimizers[i] for i in stepped if i < len(self.optimizers)]

    def was_loaded(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether the optimizer's state was loaded since `forget_loaded`."""
        return id(optimizer) in self._loaded

    @property
    def any_loaded(self) -> bool:
        """Whether the state of any optimizer was loaded since `forget_loaded`."""
        return bool(self._loaded)

    def forget_loaded(self) -> None:
        """Note that loaded state has been dealt with."""
        self._loaded.clear()

    def _note_loaded(self, optimizer: torch.optim.Optimizer) -> None:
        self._loaded.add(id(optimizer))

    def _before(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HookResult:
        if getattr(optimizer, "found_inf", None) is not None:
            raise InvalidInput(
                f"a fused {type(optimizer).__name__} unscales gradients, and skips steps, "
                "inside its step, where a hook sees neither; build it with fused=False"
            )
        if not optimizer.state and initializes_state():
            self._initialized.add(id(optimizer))
            return None
        self._pending.add(id(optimizer))
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._begin(optimizer)
            return None
        closure = self._beginning_after(closure, optimizer)
        if len(args) > 1:
            return (args[0], closure, *args[2:]), kwargs
        return args, {**kwargs, "closure": closure}

    def _beginning_after(
        self, closure: Callable[..., Any], optimizer: torch.optim.Optimizer
    ) -> Callable[..., Any]:
        """Return `closure`, after which a step of `optimizer` begins."""
        name = type(optimizer).__name__
        if not callable(closure):
            raise InvalidInput(f"{name}.step was given {type(closure).__name__}, not a closure")
        was_called = False

        @functools.wraps(closure)
        def compute_and_begin(*args: Any, **kwargs: Any) -> Any:
            nonlocal was_called
            if was_called:
                raise InvalidInput(
                    f"{name} calls its closure several times in a step, under which no masks can "
                    "be kept; use an optimizer that calls it once"
                )
            was_called = True
            result = closure(*args, **kwargs)
            self._begin(optimizer)
            return result

        return compute_and_begin

    def _begin(self, optimizer: torch.optim.Optimizer) -> None:
        with _without_autocast():
            if self._has_stepped(optimizer):
                self._end()
            if self._stepped:
                self._listener.continue_step()
            else:
                self._listener.begin_step()
        self._stepped.append(optimizer)

    def _after(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if id(optimizer) in self._initialized:
            self._initialized.discard(id(optimizer))
            return
        if id(optimizer) not in self._pending:
            raise InvalidInput(
                f"{type(optimizer).__name__}.step calls the step of its base class, so that every "
                "step is counted twice; use another optimizer"
            )
        self._pending.discard(id(optimizer))
        if not self._has_stepped(optimizer):
            return  # it did not call its closure
        with _without_autocast():
            self._listener.optimizer_stepped(optimizer)
            if len(self._stepped) == len(self.optimizers):
                self._end()

    def _end(self) -> None:
        self._unequal.step_over(self._stepped)
        self._stepped.clear()
        self._listener.end_step()

    def _has_stepped(self, optimizer: torch.optim.Optimizer) -> bool:
        return id(optimizer) in map(id, self._stepped)
