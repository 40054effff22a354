"""Write finished trials' networks to files, and read them back."""

import json
from pathlib import Path

from torch import nn

from suite.core.bounded_json import LINE, InvalidJson, parse
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.export.network import (
    MASK,
    Exported,
    Format,
    load_network,
    read_exported,
    write_compact,
    write_condensed,
    write_onnx,
    write_semi_structured,
    write_weights,
)
from suite.results.record import Record
from suite.results.store import Store
from suite.sparsity.storage.condensed import Kernel
from suite.training.context import TrialContext
from suite.training.model import make_model
from suite.training.stored_model import load_stored

EXAMPLES = 64


def export(store: Store, record: Record, to: Format, path: str | Path) -> Exported:
    """Write a finished trial's network to a file, after checking that its outputs agree.

    Raises:
        InvalidInput: there are no weights, the format does not support the network, or the file
            cannot be written.
    """
    path = Path(path)
    if record.status != "done":
        raise InvalidInput(f"trial {record.key} has failed: there is no network to export")
    training, tensors = load_stored(store, record)
    about = {"trial": json.dumps(record.trial), "key": record.key}
    named = {name: mask for name, mask in tensors.items() if name.startswith(MASK)}
    masks = {name.removeprefix(MASK): mask for name, mask in named.items()}
    if to is Format.SAFETENSORS:
        return write_weights(training.model, masks, path, about)
    if to is Format.SEMI_STRUCTURED:
        return write_semi_structured(training.model, masks, path, about)
    example, _ = next(iter(training.data.test.batches(EXAMPLES)))
    if to is Format.COMPACT:
        return write_compact(training.model, path, example, about)
    if to is Format.CONDENSED:
        return write_condensed(training.model, path, example, about)
    return write_onnx(training.model, path, example)


def load_exported(path: str | Path, kernel: Kernel = "auto") -> nn.Module:
    """Return the network from a file that `export` wrote in any format but onnx.

    Only tensors and text are read; the network is built from the task's declaration, and returned
    in evaluation mode. `kernel` is that of condensed layers: see `load_network`.

    Raises:
        InvalidInput: it is not such a file, its task is unknown, or the kernel is missing.
    """
    path = Path(path)
    _, about = read_exported(path)
    if "trial" not in about:
        raise InvalidInput(
            f"{path} is the network of a training loop of one's own, which is not built here: "
            "load it with suite.export.network.load_network(path, model)"
        )
    try:
        given = parse(about["trial"], LINE)
    except InvalidJson as error:
        raise InvalidInput(f"{path} does not name its trial: export it again") from error
    if not isinstance(given, dict):
        raise InvalidInput(f"{path} does not name its trial: export it again")
    model = make_model(TrialContext.of(Trial.make(**given | {"processes": 1})))
    return load_network(path, model, kernel)
