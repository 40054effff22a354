"""The arguments of `suite.sparsify`: checked, and made into a handle."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.arguments import not_a_sparsity
from suite.core.errors import InvalidInput, SparsityWarning
from suite.experiments import registry
from suite.own_loop.examples import to_examples
from suite.own_loop.handle import Handle, is_whole
from suite.own_loop.initial_masks import read_masks
from suite.own_loop.method_steps import Attachment
from suite.own_loop.optimizers import check_updates, usable_optimizers
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.modules import unwrap
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES, Coverage, Prunable, find_prunable
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import MaskedWeight, check_not_of_csr
from suite.sparsity.whole_model import uncovered

UNCOVERED = 0.01
"""Share of a model's weights above which it is said that they stay dense."""

SPARSE_BEFORE = 0.2
"""Fraction of zeros in a model that suggests that it has been pruned before."""


def attach(
    model: nn.Module,
    optimizer: Any,
    method: str,
    sparsity: float | None,
    steps: int,
    seed: int,
    steps_per_epoch: int | None,
    examples: Any,
    loss: Callable[..., Tensor] | None,
    execution: str,
    masks: Any,
    state: Mapping[str, Any] | None,
    include: Any,
    exclude: Any,
    hyperparameters: Mapping[str, Any],
) -> Handle:
    """Attach a method to a model and its optimizers; arguments as for `suite.sparsify`."""
    _check_model(model)
    optimizers = usable_optimizers(optimizer)
    if not isinstance(method, str):
        raise InvalidInput(
            f"method: {type(method).__name__} is not usable: give the name of a method, "
            "`resonance list methods` shows them"
        )
    registry.use_plugins(os.environ.get("RESONANCE_PLUGINS", "").split())
    declared = registry.methods()[method]
    coverage = Coverage(ALL_MATRICES.kinds, include, exclude)
    prunable = find_prunable(unwrap(model), coverage)
    given = None
    if masks is not None and state is None:
        given = read_masks(masks, [MaskedWeight(found, optimizers[0]) for found in prunable])
    target = _target(sparsity, given, state, declared.dense)
    _check_numbers(target, steps, seed, steps_per_epoch)
    plan = Plan(
        steps=int(steps),
        sparsity=float(target),
        seed=int(seed),
        steps_per_epoch=int(steps_per_epoch or 0),
        validates=True,
    )
    options = declared.resolve({name: _plain(value) for name, value in hyperparameters.items()})
    if options.get("replace_step"):
        raise InvalidInput(
            "replace_step=true: an optimizer's step cannot be skipped from its own hooks; leave "
            "it off, or train with `resonance run`"
        )
    storage = Execution(execution)
    sparsifier = make_sparsifier(declared, plan, options)
    _check_method(sparsifier, method)
    if state is None:
        _check_loaded_state(prunable, optimizers)
    if state is None or execution == "masked":  # else there may be state of CSR values
        for one in optimizers:
            check_updates(one, [found.parameter for found in prunable])
    is_new = masks is None and state is None
    zeros_before = _fraction_of_zeros(prunable) if is_new else 0.0
    handle = Handle(
        method,
        sparsifier,
        Attachment(
            model=model,
            optimizers=optimizers,
            coverage=coverage,
            prunable=prunable,
            examples=to_examples(examples, loss, plan.seed, model),
            storage=storage,
            masks=given,
            state=state,
        ),
    )
    if not declared.dense:
        for message in _surprises(handle.sparsifier, unwrap(model), zeros_before, coverage):
            warnings.warn(message, SparsityWarning, stacklevel=3)
    return handle


def _surprises(
    sparsifier: Sparsifier, model: nn.Module, zeros_before: float, coverage: Coverage
) -> list[str]:
    """Return what a user may not expect of a method that was just attached, each in one line."""
    found = sparsifier.surprises()
    if note := sparsifier.target_note():
        found.append(note)
    if zeros_before >= SPARSE_BEFORE:
        found.append(
            f"{zeros_before:.0%} of the weights given are 0 already, and new masks were chosen: "
            "masks='nonzero' keeps those zeros, state= resumes a run"
        )
    outside = uncovered(model, sparsifier.layers, coverage.exclude)
    if outside.share > UNCOVERED:
        found.append(str(outside))
    return found


@torch.no_grad()
def _fraction_of_zeros(prunable: Sequence[Prunable]) -> float:
    weights = [found.parameter for found in prunable]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)


def _check_model(model: Any) -> None:
    if isinstance(model, nn.Module):
        _check_not_scripted(model)
        return
    if isinstance(model, torch.optim.Optimizer):
        raise InvalidInput("model and optimizer are swapped: sparsify(model, optimizer, method, …)")
    raise InvalidInput(
        f"model: {type(model).__name__} is not usable: give a torch.nn.Module, "
        "sparsify(model, optimizer, method, …)"
    )


def _check_not_scripted(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and any(True for _ in module.parameters()):
            what = f"module '{name}'" if name else "it"
            raise InvalidInput(
                f"model: {what} is compiled by torch.jit, whose weights masks cannot reach: give "
                "the model before torch.jit.script or torch.jit.trace, or use torch.compile"
            )


def _target(
    sparsity: Any,
    masks: Mapping[str, Tensor] | None,
    state: Mapping[str, Any] | None,
    is_dense: bool,
) -> Any:
    """Return the sparsity to reach: the one given, else that of the masks or of the saved state."""
    if is_dense:
        return 0.0
    if sparsity is not None:
        return sparsity
    if masks is not None:
        size = sum(mask.numel() for mask in masks.values())
        return sum(int((~mask).sum()) for mask in masks.values()) / size
    try:
        assert state is not None
        return state["sparsifier"]["configuration"]["sparsity"]
    except (AssertionError, KeyError, TypeError):
        raise InvalidInput(
            "sparsity: give the fraction of zeros to reach, a number in [0, 1), or masks="
        ) from None


def _check_numbers(sparsity: Any, steps: Any, seed: Any, steps_per_epoch: Any) -> None:
    """Check that these are numbers of the right kind."""
    if isinstance(sparsity, bool) or not isinstance(sparsity, Real) or not 0 <= float(sparsity) < 1:
        raise not_a_sparsity("sparsity", sparsity)
    if not is_whole(steps) or steps < 1:
        raise InvalidInput(f"steps={steps!r} is not usable: give the number of optimizer steps")
    if not is_whole(seed):
        raise InvalidInput(f"seed={seed!r} is not usable: give a whole number")
    if steps_per_epoch is not None and (not is_whole(steps_per_epoch) or steps_per_epoch < 0):
        raise InvalidInput(
            f"steps_per_epoch={steps_per_epoch!r} is not usable: give the number of optimizer "
            "steps in an epoch"
        )


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as a number of Python: a saved state holds nothing else."""
    module = type(value).__module__
    return value.item() if module == "numpy" and hasattr(value, "item") else value


def _check_loaded_state(
    prunable: Sequence[Prunable], optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    for optimizer in optimizers:
        for found in prunable:
            for key, value in optimizer.state.get(found.parameter, {}).items():
                if isinstance(value, Tensor):
                    check_not_of_csr(found.name, found.parameter, key, value)


def _check_method(sparsifier: Sparsifier, method: str) -> None:
    """Check that a method can work on a model that exists already."""
    if type(sparsifier).width is not Sparsifier.width:
        raise InvalidInput(
            f"{method} trains a narrower model, which cannot be built from yours: build it "
            "yourself, or train with `resonance run`"
        )
    if any(sparsifier.reinitializes(number) for number in range(sparsifier.rounds)):
        raise InvalidInput(
            f"{method} with these options draws new initial weights, which needs the function that "
            "builds the model: train with `resonance run`"
        )
