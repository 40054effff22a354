"""Why masks cannot be kept under an optimizer, found by running it on small stand-ins.

The optimizer itself is not touched: a second one of its class, with the same hyperparameters,
steps a few times on small parameters with masked gradients.
"""

import contextlib
import copy
import inspect
import io
import random
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from numbers import Number
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import optimizer as torch_optimizer

STEPS = 7
"""One more than the usual period of slow weights (Lookahead, Ranger)."""

CAPS = {2: 128}
CAP = 32
"""Stand-ins have the weight's own shape, but at most so much of each dimension, by its number.

Large enough for what depends on the size: state is factored from 128 on in some implementations,
and stored in 8 bits from 4,096 elements on.
"""

_PLAIN = (Number, str, bytes, torch.dtype, torch.device, torch.Generator)


class _Refused(Exception):
    """A trial ends here: its argument is the problem that `try_steps` returns."""


def state_problem(state: Mapping[str, Any], weight: Tensor) -> str:
    """Return why an optimizer's `state` of a weight cannot be masked; empty if it can.

    Numbers, and tensors of one element (a step count, a norm of the layer), need no mask. All else
    must be floating-point tensors of the weight's shape: others mix weights (factored moments,
    preconditioners) or encode their values.
    """
    for key, value in state.items():
        if kind := _unmaskable(value, weight):
            return f"keeps state '{key}' {kind} for a weight of shape {tuple(weight.shape)}"
    return ""


def _unmaskable(value: Any, weight: Tensor) -> str:
    if isinstance(value, Tensor):
        if value.shape != weight.shape:
            return "" if value.numel() <= 1 else f"of shape {tuple(value.shape)}"
        kind = str(value.dtype).removeprefix("torch.")
        return "" if value.is_floating_point() else f"of type {kind}"
    return "" if _holds_numbers(value) else f"in a {type(value).__name__}"


def _holds_numbers(value: Any) -> bool:
    """Return whether a value is a number or text, or holds nothing else."""
    if value is None or isinstance(value, _PLAIN):
        return True
    if isinstance(value, Tensor):
        return value.numel() <= 1
    if isinstance(value, Mapping):
        return all(map(_holds_numbers, value.values()))
    if isinstance(value, Sequence | Set):
        return all(map(_holds_numbers, value))
    return False


def try_steps(optimizer: torch.optim.Optimizer, chosen: Collection[int]) -> str:
    """Return why masks cannot be kept under such an optimizer, found by steps on stand-ins.

    Args:
        optimizer: is only read.
        chosen: ``id`` of the parameters of it that a mask may be applied to.

    Returns:
        the end of a sentence that starts with the optimizer's name; empty if no problem was found,
        or if it cannot be tried.
    """
    devices = {p.device for group in optimizer.param_groups for p in group["params"]}
    # What runs here is the optimizer's own code on parameters it was not made for: whatever it
    # raises, nothing is known.
    with contextlib.suppress(Exception), _undisturbed(devices):
        stand_in = _stand_in(optimizer, chosen)
        if stand_in is not None:
            try:
                _run(stand_in)
            except _Refused as refused:
                return str(refused)
    return ""


# ------------------------------------------------------------------ the second optimizer


def _stand_in(
    optimizer: torch.optim.Optimizer, chosen: Collection[int]
) -> torch.optim.Optimizer | None:
    """Return an optimizer of the same class and options over small parameters.

    None if it has no parameter of those chosen.
    """
    groups = []
    for group in optimizer.param_groups:
        parameters = [
            nn.Parameter(torch.zeros(shape, dtype=like.dtype, device=like.device))
            for shape, like in _shapes([p for p in group["params"] if id(p) in chosen])
        ]
        if parameters:
            groups.append({"params": parameters, **_options(group)})
    return type(optimizer)(groups, **_arguments(optimizer)) if groups else None


def _shapes(parameters: Sequence[Tensor]) -> list[tuple[tuple[int, ...], Tensor]]:
    """Return one shape for each number of dimensions, the largest, and a parameter that has it."""
    largest: dict[int, tuple[int, tuple[int, ...], Tensor]] = {}
    for parameter in parameters:
        cap = CAPS.get(parameter.ndim, CAP)
        shape = tuple(min(size, cap) for size in parameter.shape)
        size = torch.Size(shape).numel()
        if size > largest.get(parameter.ndim, (0,))[0]:
            largest[parameter.ndim] = (size, shape, parameter)
    return [(shape, parameter) for _, shape, parameter in largest.values()]


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a group's options."""
    return {
        name: copy.deepcopy(value)
        for name, value in group.items()
        if name not in ("params", "param_names")
    }


def _arguments(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return arguments for the class, after the parameters, that the optimizer was built with.

    They are looked for among its defaults and its attributes.
    """
    given: dict[str, Any] = {}
    for name in list(inspect.signature(type(optimizer)).parameters)[1:]:
        if name in optimizer.defaults:
            given[name] = copy.deepcopy(optimizer.defaults[name])
        elif isinstance(vars(optimizer).get(name), bool | int | float | str):
            given[name] = vars(optimizer)[name]
    return given


# ------------------------------------------------------------------ its steps


def _run(optimizer: torch.optim.Optimizer) -> None:
    """Step with masked gradients; weights and state are masked after each step, as in training.

    Raises:
        _Refused: masks cannot be kept.
    """
    if callable(train := getattr(optimizer, "train", None)):  # schedule-free's
        train()
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    generator = torch.Generator().manual_seed(0)
    noises, masks = [], []
    for weight in weights:
        noise = torch.randn(weight.shape, generator=generator)
        mask = torch.rand(weight.shape, generator=generator) < 0.5
        noises.append(noise.to(weight.device, weight.dtype))
        masks.append(mask.to(weight.device))
        weight.data.copy_(noises[-1] * masks[-1])
        _mask_state(optimizer, weight, masks[-1])
    hooked: list[int] = []
    optimizer.register_step_pre_hook(lambda *_: hooked.append(1))
    for step in range(STEPS):
        for weight, noise, mask in zip(weights, noises, masks, strict=True):
            weight.grad = noise.roll(step + 1) * mask
        _step(optimizer)
        if len(hooked) > step + 1:
            raise _Refused("calls its hooks several times a step (its step calls super().step)")
        for weight, mask in zip(weights, masks, strict=True):
            _check_finite(weight.data, mask)
            if problem := state_problem(optimizer.state.get(weight, {}), weight):
                raise _Refused(problem)
            weight.data.mul_(mask)
            _mask_state(optimizer, weight, mask)
    _step_with_closure(optimizer)


def _step(optimizer: torch.optim.Optimizer) -> None:
    try:
        optimizer.step()
    except Exception as error:
        if _step_with_closure(optimizer):
            raise _Refused("does not step without a closure") from error
        if "does not have a grad_fn" in str(error):
            raise _Refused("differentiates gradients, which masks have changed") from error
        raise


def _step_with_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether a step can be given a closure, and calls it.

    Raises:
        _Refused: it calls it several times.
    """
    calls = 0

    def closure() -> Tensor:
        nonlocal calls
        calls += 1
        return torch.ones(())

    step: Callable[..., Any] = optimizer.step
    works = False
    with contextlib.suppress(Exception):
        step(closure)
        works = calls > 0
    if calls > 1:
        raise _Refused("calls its closure more than once a step")
    return works


@torch.no_grad()
def _mask_state(optimizer: torch.optim.Optimizer, weight: Tensor, mask: Tensor) -> None:
    """Mask the state of a weight.

    Raises:
        _Refused: a mask cannot be applied to it.
    """
    for key, value in optimizer.state.get(weight, {}).items():
        if isinstance(value, Tensor) and value.shape == weight.shape:
            _check_finite(value, mask)
            try:
                value.mul_(mask)
            except (RuntimeError, TypeError, NotImplementedError) as error:
                kind = type(value).__name__
                raise _Refused(f"keeps state '{key}' in a {kind}, which has no mul_") from error


def _check_finite(values: Tensor, mask: Tensor) -> None:
    """Check that multiplying by the mask makes the values outside it 0.

    Raises:
        _Refused: they are NaN or infinite, though those inside are finite.
    """
    outside = values[~mask]
    if not bool(outside.isfinite().all()) and bool(values[mask].isfinite().all()):
        raise _Refused("makes NaN of weights of 0 whose gradients are 0 (give it an eps > 0)")


# ------------------------------------------------------------------ without a trace


@contextlib.contextmanager
def _undisturbed(devices: Collection[torch.device]) -> Iterator[None]:
    """Leave no trace: no global hook sees the steps, random states and warnings are as before."""
    others = [device for device in devices if device.type not in ("cpu", "meta")]
    kind = others[0].type if others else "cuda"
    indices = [device.index or 0 for device in others if device.type == kind]
    numpy = sys.modules.get("numpy")
    states = random.getstate(), numpy.random.get_state() if numpy else None
    hooks = {
        name: getattr(torch_optimizer, name)
        for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
    }
    try:
        for name in hooks:
            setattr(torch_optimizer, name, OrderedDict())
        with (
            torch.random.fork_rng(indices, device_type=kind),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),  # some print when they are built
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, registered in hooks.items():
            setattr(torch_optimizer, name, registered)
        random.setstate(states[0])
        if numpy:
            numpy.random.set_state(states[1])
