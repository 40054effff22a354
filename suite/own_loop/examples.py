"""What a user gives as `examples`, as the pool that methods score connections with."""

import copy
import inspect
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from suite.core.errors import InvalidInput
from suite.own_loop.loss import cross_entropy, model_loss
from suite.sparsity.inputs import Tensors, describe, tensors_of
from suite.sparsity.modules import unwrap
from suite.sparsity.scoring import Examples, Loss

ACCEPTED = (
    "give a pair (inputs, targets) of tensors, a dict batch with 'labels', or a DataLoader (or a "
    "list) of such batches"
)
LIMIT = 2048
"""Examples that are read from a DataLoader: enough for every method's scoring."""

Batch = tuple[Tensors, Tensors | None]


def to_examples(
    given: Any, loss: Loss | None, seed: int, model: nn.Module, limit: int = LIMIT
) -> Examples | None:
    """Return the examples that methods score connections with; None if none are given.

    Args:
        given: a pair (inputs, targets); a dict batch, which the model takes as keyword arguments,
            with its targets under ``labels``; or a DataLoader or other iterable of such batches.
            Tensors or NumPy arrays, [n, …] each. In a pair the inputs may be a tuple (positional
            arguments) or a dict (keyword arguments), and the targets anything that `loss` takes.
        loss: (outputs, targets) → scalar, of the model's outputs as it returns them. If left out,
            the loss that the model returns for a dict batch, otherwise the cross-entropy.
        seed: of the trial.
        model: it decides the device, the floating-point type of what was a NumPy array, and
            whether it is given ``labels``.
        limit: examples to read from an iterable, at most.

    Reading an iterable leaves the random state of torch, NumPy and Python as it was, and the
    generators of a DataLoader too.

    Raises:
        InvalidInput: something else was given, a loss that cannot be called, or batches that
            cannot be read twice or joined.
    """
    _check_loss(loss)
    if given is None:
        return None
    own = unwrap(model)
    first = next((p for p in own.parameters() if p.is_floating_point()), torch.empty(0))
    if (batch := _as_batch(given, own, loss, first.dtype)) is None:
        _check_iterable(given)
        batch = _joined(list(_batches(given, own, loss, first.dtype, limit)), limit)
    x, y = batch
    default = cross_entropy if isinstance(x, Tensor) else model_loss
    return Examples(
        x, y, loss or default, seed, device=first.device, loss_takes_logits=loss is None
    )


def _check_loss(loss: Any) -> None:
    if loss is None:
        return
    if isinstance(loss, type):
        name = loss.__name__
        raise InvalidInput(f"loss={name} is a class: give an instance, {name}()")
    if not callable(loss):
        raise InvalidInput(
            f"loss={_shortened(loss)} cannot be called: give a function (outputs, targets) → scalar"
        )


# ---------------------------------------------------------------------- one batch


def _as_batch(given: Any, model: nn.Module, loss: Loss | None, dtype: torch.dtype) -> Batch | None:
    """Return inputs and targets of one batch; None if `given` does not look like one."""
    if isinstance(given, Mapping):
        return _from_mapping(given, model, loss, dtype)
    if not isinstance(given, tuple | list) or len(given) != 2:
        return None
    x, y = given
    # default_collate makes lists of pairs; a list of two batches is an iterable.
    if isinstance(given, list) and not isinstance(y, Tensor | np.ndarray):
        return None
    return _tensors(x, "inputs", dtype), _tensors(y, "targets", dtype)


def _from_mapping(
    given: Mapping[Any, Any], model: nn.Module, loss: Loss | None, dtype: torch.dtype
) -> Batch:
    """Return inputs and targets of a dict batch as Hugging Face's models take it.

    A model that computes its own loss needs the labels among its inputs.
    """
    inputs = _tensors(given, "inputs", dtype)
    assert isinstance(inputs, dict)
    labels = inputs.get("labels")
    if loss is None and _takes_labels(model):
        return inputs, labels
    if labels is None:
        raise InvalidInput(
            f"examples: a dict batch with the keys {', '.join(map(str, given))} has no 'labels': "
            + ACCEPTED
        )
    return {name: tensor for name, tensor in inputs.items() if name != "labels"}, labels


def _takes_labels(model: nn.Module) -> bool:
    """Return whether `model.forward` accepts the keyword argument ``labels``."""
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):  # not a function of Python's
        return False
    return "labels" in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _tensors(given: Any, what: str, dtype: torch.dtype) -> Tensors:
    """Return one tensor, or several in a tuple or a dict.

    Raises:
        InvalidInput: there is something else among them.
    """
    if isinstance(given, Mapping) and given and all(isinstance(name, str) for name in given):
        return {name: _tensor(part, f"{what}['{name}']", dtype) for name, part in given.items()}
    if isinstance(given, tuple | list) and given:
        return tuple(_tensor(part, f"{what}[{i}]", dtype) for i, part in enumerate(given))
    return _tensor(given, what, dtype)


def _tensor(given: Any, what: str, dtype: torch.dtype) -> Tensor:
    """Return a tensor; a NumPy array in the types that models and losses take."""
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiub" and given.ndim:
        tensor = torch.from_numpy(np.array(given, order="C"))
        if given.dtype.kind == "f":
            return tensor.to(dtype)
        return tensor if given.dtype.kind == "b" or given.dtype == np.uint8 else tensor.long()
    if isinstance(given, Tensor) and given.ndim:
        return given.detach()
    if isinstance(given, Tensor | np.ndarray) and not given.ndim:
        raise InvalidInput(f"examples: {what}: one number is not a batch [n, …]: {ACCEPTED}")
    kind = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
    raise InvalidInput(f"examples: {what}: {kind} is not a tensor: {ACCEPTED}")


# ---------------------------------------------------------------------- many batches


def _check_iterable(given: Any) -> None:
    if isinstance(given, Iterator):
        raise InvalidInput(
            f"examples: a {type(given).__name__} can be read only once, and what is read here "
            "would be missing from training: give the DataLoader itself, or one batch of it"
        )
    if isinstance(given, Dataset) and not isinstance(given, IterableDataset):
        raise InvalidInput(
            f"examples: {type(given).__name__} is a dataset of single examples: wrap it in a "
            "DataLoader"
        )
    readable = isinstance(given, Iterable) or hasattr(given, "__getitem__")
    if not readable or isinstance(
        given, Tensor | np.ndarray | np.generic | str | bytes | nn.Module
    ):
        raise InvalidInput(f"examples={_shortened(given)} cannot be used: {ACCEPTED}")


def _batches(
    given: Any, model: nn.Module, loss: Loss | None, dtype: torch.dtype, limit: int
) -> Iterator[Batch]:
    """Yield batches until there are `limit` examples."""
    # Accelerate's loaders tell its accelerator which one is being read; the loader inside does not.
    source = getattr(given, "base_dataloader", given)
    if isinstance(source, DataLoader) and source.persistent_workers:
        # The workers stay with the loader that started them, and so would their random state.
        source = copy.copy(source)
    found = 0
    with _random_state(source):
        # A batch has an example at least: batches without any end, too.
        for batch in itertools.islice(source, limit):
            known = _as_batch(batch, model, loss, dtype)
            if known is None:
                raise InvalidInput(
                    f"examples: {type(given).__name__} gives batches of the kind "
                    f"{_kind(batch)}: {ACCEPTED}"
                )
            yield known
            found += len(tensors_of(known[0])[0])
            if found >= limit:
                return


def _joined(batches: list[Batch], limit: int) -> Batch:
    """Return the first `limit` examples of all batches."""
    if not batches:
        raise InvalidInput(f"examples: there is no batch to read: {ACCEPTED}")
    inputs = _concatenated([x for x, _ in batches], limit)
    targets = [y for _, y in batches if y is not None]
    if targets and len(targets) < len(batches):
        raise InvalidInput("examples: some batches have 'labels' and some do not: give them all")
    return inputs, _concatenated(targets, limit) if targets else None


def _concatenated(parts: list[Tensors], limit: int) -> Tensors:
    """Return the tensors of several batches, one after the other.

    Raises:
        InvalidInput: they are not alike.
    """
    first = parts[0]
    for part in parts[1:]:
        if _layout(part) != _layout(first):
            raise InvalidInput(
                f"examples: batches of shapes {describe(first)} and {describe(part)} cannot be "
                "joined: pad sequences to one length and give every batch the same tensors, or "
                "give one batch"
            )
    if isinstance(first, Mapping):
        by_name: list[Any] = parts
        return {name: torch.cat([part[name] for part in by_name])[:limit] for name in first}
    columns = zip(*map(tensors_of, parts), strict=True)
    joined = [torch.cat(column)[:limit] for column in columns]
    return joined[0] if isinstance(first, Tensor) else tuple(joined)


def _layout(given: Tensors) -> Any:
    """Return what must be the same of batches that are joined."""
    if isinstance(given, Mapping):
        return {name: tensor.shape[1:] for name, tensor in given.items()}
    if isinstance(given, Tensor):
        return given.shape[1:]
    return tuple(tensor.shape[1:] for tensor in given)


@contextmanager
def _random_state(source: Any) -> Iterator[None]:
    """Restore all random generators that reading a DataLoader may use."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy = random.getstate(), np.random.get_state()
    own = [(generator, generator.get_state()) for generator in _generators(source)]
    with torch.random.fork_rng(devices=list(devices)):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            for generator, state in own:
                generator.set_state(state)


def _generators(source: Any) -> list[torch.Generator]:
    """Return the generators of a DataLoader and of its samplers."""
    batch_sampler = getattr(source, "batch_sampler", None)
    holders = [source, getattr(source, "sampler", None), getattr(batch_sampler, "sampler", None)]
    found = {id(g): g for holder in holders if (g := getattr(holder, "generator", None))}
    return [generator for generator in found.values() if isinstance(generator, torch.Generator)]


def _kind(batch: Any) -> str:
    if isinstance(batch, tuple | list):
        return f"{type(batch).__name__} of {len(batch)}"
    return type(batch).__name__


def _shortened(value: Any) -> str:
    """Return a value for a message, in one short line."""
    if isinstance(value, Tensor):
        return f"a tensor {describe(value)}"
    if isinstance(value, np.ndarray):
        return f"an array {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"
