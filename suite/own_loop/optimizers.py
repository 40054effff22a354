"""Which optimizers a method can be attached to."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.own_loop.optimizer_trial import state_problem, try_steps

WORKING = (
    "use SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adadelta, Adagrad, RMSprop, Rprop, Lion, Muon or "
    "a schedule-free one"
)


# ------------------------------------------------------------------ which object is the optimizer

_TRANSPARENT = {
    ("accelerate.optimizer", "AcceleratedOptimizer"): "optimizer",
    # Its slow weights are in the state of the optimizer inside, where they are masked with it, and
    # that one's hooks are always called (its own only after a call of zero_grad).
    ("timm.optim.lookahead", "Lookahead"): "_base_optimizer",
}
"""Wrappers whose step is their optimizer's step: class → attribute that holds the optimizer."""

_TRANSPARENT_BASES = {
    ("lightning.pytorch.core.optimizer", "LightningOptimizer"),
    ("pytorch_lightning.core.optimizer", "LightningOptimizer"),
    ("lightning.fabric.wrappers", "_FabricOptimizer"),
    ("lightning_fabric.wrappers", "_FabricOptimizer"),
}
"""Wrappers that make a class of their own for each optimizer, which they hold as `_optimizer`."""

_SHARDED = "keeps the state of other parameters on each process: use AdamW under DDP, or FSDP2"
_COPIES = "trains copies of the weights: use torch.autocast and a GradScaler with AdamW itself"

_NOT_SERVED = {
    "ZeroRedundancyOptimizer": _SHARDED,
    "OSS": _SHARDED,
    "DeepSpeedOptimizerWrapper": _SHARDED,
    "DeepSpeedZeroOptimizer": _SHARDED,
    "DeepSpeedZeroOptimizer_Stage3": _SHARDED,
    "MegatronLMOptimizerWrapper": _COPIES,
    "MegatronOptimizer": _COPIES,
    "FP16_Optimizer": _COPIES,
    "FP16_UnfusedOptimizer": _COPIES,
    "BF16_Optimizer": _COPIES,
    "SafeFP16Optimizer": _COPIES,
    "ScheduleFreeWrapper": "averages weights around the step of another optimizer: use "
    "SGDScheduleFree, AdamWScheduleFree or RAdamScheduleFree",
}
"""Wrappers, by class name, of libraries that need not be installed: what to do instead."""


def usable_optimizers(given: object) -> tuple[torch.optim.Optimizer, ...]:
    """Return the optimizers whose hooks run at each step, in the order given.

    Wrappers that only pass on to an optimizer are unwrapped: Accelerate's, Lightning's and
    Fabric's, and timm's Lookahead.

    Args:
        given: an optimizer, or a list or tuple of them, which train different parameters.

    Raises:
        InvalidInput: something else, a wrapper that masks cannot follow, an optimizer twice, or
            two that train the same parameter.
    """
    if not isinstance(given, list | tuple):
        return (_usable(given, "optimizer"),)
    if not given:
        raise InvalidInput(
            "optimizer=[] is empty: give the optimizer that trains the model, or a list of several"
        )
    if all(isinstance(part, Tensor) for part in given):
        raise _wrong_kind(given, "optimizer")
    found = tuple(_usable(part, f"optimizer[{index}]") for index, part in enumerate(given))
    _check_distinct(found)
    return found


def _usable(given: object, place: str) -> torch.optim.Optimizer:
    """Return the optimizer inside `given`; `place` names it in messages."""
    while (attribute := _passes_on_to(given)) is not None:
        given = getattr(given, attribute)
    name = type(given).__name__
    for base in type(given).__mro__:
        if reason := _NOT_SERVED.get(base.__name__):
            raise InvalidInput(f"{place} ({name}) {reason}")
    if not isinstance(given, torch.optim.Optimizer):
        raise _wrong_kind(given, place)
    if inner := _held(given):
        raise InvalidInput(
            f"{place} ({name}) steps {_join(inner)}, and may change weights where no hook sees it: "
            f"{_train_with(inner)}"
        )
    if hasattr(given, "fused_backward"):  # LOMO's
        raise InvalidInput(
            f"{place} ({name}) changes weights during the backward pass, where no hook of a step "
            f"sees it: {WORKING}"
        )
    if not getattr(type(given).step, "hooked", False):
        raise InvalidInput(
            f"{place} ({name}) calls no hooks in its step, as its __init__ does not call that of "
            f"torch.optim.Optimizer: {WORKING}"
        )
    return given


def _passes_on_to(given: object) -> str | None:
    """Return the attribute of a wrapper that holds the optimizer it passes on to."""
    kind = type(given)
    if any((base.__module__, base.__name__) in _TRANSPARENT_BASES for base in kind.__mro__):
        return "_optimizer"
    return _TRANSPARENT.get((kind.__module__, kind.__name__))


def _held(given: object) -> list[torch.optim.Optimizer]:
    """Return the optimizers among an object's attributes."""
    attributes: dict[str, Any] = getattr(given, "__dict__", {})
    return [value for value in attributes.values() if isinstance(value, torch.optim.Optimizer)]


def _join(optimizers: Sequence[torch.optim.Optimizer]) -> str:
    return " and ".join(dict.fromkeys(type(optimizer).__name__ for optimizer in optimizers))


def _train_with(inner: Sequence[torch.optim.Optimizer]) -> str:
    if len(inner) == 1:
        return f"train with {_join(inner)} itself"
    return f"train with {_join(inner)} themselves, given as a list"


def _wrong_kind(given: object, place: str) -> InvalidInput:
    """Return the error for what is no optimizer, by what it probably is."""
    name = type(given).__name__
    inner = _held(given)
    order = "the order is sparsify(model, optimizer, method)"
    if isinstance(given, nn.Module):
        return InvalidInput(f"{place} is a model ({name}): {order}")
    if given is None:
        return InvalidInput(f"{place} is None: give the optimizer that trains the model")
    if isinstance(given, str):
        return InvalidInput(f"{place} is the text {given!r}: {order}")
    if isinstance(given, type):
        return InvalidInput(
            f"{place} is the class {given.__name__}: build it, {given.__name__}(model.parameters())"
        )
    if isinstance(given, torch.amp.GradScaler):
        return InvalidInput(f"{place} is a GradScaler: give the optimizer that it steps")
    if isinstance(given, torch.optim.lr_scheduler.LRScheduler) or "Scheduler" in name:
        return InvalidInput(
            f"{place} is a learning-rate scheduler ({name}): give the optimizer whose rate it sets"
        )
    if inner:
        return InvalidInput(
            f"{place} ({name}) is no torch.optim.Optimizer but holds {_join(inner)}, and may "
            f"change weights where no hook sees it: {_train_with(inner)}"
        )
    if isinstance(given, list | tuple) and not all(isinstance(part, Tensor) for part in given):
        return InvalidInput(f"{place} is a {name} inside a list: give one list of optimizers")
    if isinstance(given, Tensor | list | tuple) or inspect.isgenerator(given):
        hint = "give the optimizer built from them, torch.optim.SGD(model.parameters(), lr=0.1)"
        return InvalidInput(f"{place} looks like parameters ({name}): {hint}")
    return InvalidInput(
        f"{place} is of type {name}: give a torch.optim.Optimizer, or a list of several"
    )


def _check_distinct(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Check that no parameter is trained by two of the optimizers."""
    trainer: dict[int, int] = {}
    for index, optimizer in enumerate(optimizers):
        if any(optimizer is other for other in optimizers[:index]):
            raise InvalidInput(
                f"optimizer[{index}] is an optimizer that is in the list already "
                f"({type(optimizer).__name__}): give each one once"
            )
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                first = trainer.setdefault(id(parameter), index)
                if first != index:
                    names = [type(optimizers[i]).__name__ for i in (first, index)]
                    raise InvalidInput(
                        f"optimizer[{first}] ({names[0]}) and optimizer[{index}] ({names[1]}) both "
                        f"train a parameter of shape {tuple(parameter.shape)}: give each "
                        "parameter to one of them"
                    )


# ------------------------------------------------------------------ whether masks can be kept


def check_updates(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor] | None = None
) -> None:
    """Check that pruned weights can be kept at 0 under an optimizer, by a trial on stand-ins.

    Neither the optimizer, nor hooks, nor random states are touched. An optimizer that cannot be
    tried is judged by the state that it has; `check_state` after its first step tells the rest.

    Args:
        optimizer: a bare one (see `usable_optimizers`).
        parameters: those of it that masks will be applied to; its matrices and kernels if left out.

    Raises:
        InvalidInput: they cannot: its state mixes weights or is encoded, it wants gradients that
            are sparse tensors or differentiates them, makes NaN of zeros, calls its hooks several
            times a step, or does not step without a closure or calls it several times.
    """
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise _unusable(optimizer, "takes sparse gradients only, those of an embedding")
    own = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    if parameters is None:
        masked = [p for p in own.values() if p.ndim >= 2] or list(own.values())
    else:
        masked = [p for p in parameters if id(p) in own]
    check_state(optimizer, masked)
    if problem := try_steps(optimizer, {id(p) for p in masked}):
        raise _unusable(optimizer, problem)


def check_state(optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> None:
    """Check that a mask can be applied to the state that an optimizer keeps of `parameters`.

    Costs no more than a look at its entries; parameters that it does not train are passed over.

    Raises:
        InvalidInput: there is state of another shape than the weight, or it is no plain tensor.
    """
    for parameter in parameters:
        if problem := state_problem(optimizer.state.get(parameter, {}), parameter):
            raise _unusable(optimizer, problem)


def _unusable(optimizer: torch.optim.Optimizer, problem: str) -> InvalidInput:
    return InvalidInput(
        f"{type(optimizer).__name__} {problem}, so pruned weights cannot be kept at 0: {WORKING}"
    )


def check_trained(
    weights: Mapping[str, nn.Parameter], optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Check that each of these weights, by layer name, is trained by one of the optimizers.

    Raises:
        InvalidInput: one is not.
    """
    trained = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
    for name, parameter in weights.items():
        if id(parameter) not in trained:
            raise InvalidInput(
                f"layer '{name}': its weight is not among the optimizer's parameters; give "
                "the optimizer that trains it (all of them in a list), freeze it with "
                "requires_grad_(False), or leave it out with exclude="
            )
