"""Write networks to files, and read them back."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from suite.core.errors import InvalidInput, first_line
from suite.core.files import atomic_write
from suite.experiments.trial_config import Trial
from suite.export.compact import TENSORS, compact, set_tensors
from suite.results.record import Record
from suite.results.store import Store
from suite.training.context import TrialContext
from suite.training.network import make_model
from suite.training.stored_model import load_stored

EXAMPLES = 64
MAX_HEADER_BYTES = 100 * 2**20
MAX_RELATIVE_ERROR = 1e-4
"""Largest allowed difference between the outputs of exported and original network."""


class Format(StrEnum):
    """Weights and masks (safetensors), an ONNX network, or a compact network."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    COMPACT = "compact"


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        parameters: number of parameters before export, and in the file.
        error: largest difference of an output, relative to the largest output; 0 for weights.
    """

    path: Path
    parameters: tuple[int, int]
    error: float


def export(store: Store, record: Record, to: Format, path: Path) -> Exported:
    """Write a finished trial's network to a file, after checking that its outputs agree.

    Raises:
        InvalidInput: there are no weights, the format does not support the network, or the file
            cannot be written.
    """
    if record.status != "done":
        raise InvalidInput(f"trial {record.key} has failed: there is no network to export")
    training, tensors = load_stored(store, record)
    model = training.model
    example, _ = next(iter(training.data.test.batches(EXAMPLES)))
    with torch.no_grad():
        expected = model(example.clone())
    about = {"trial": json.dumps(record.trial), "key": record.key, "format": str(to)}
    before = after = _count(model)
    error = 0.0
    if to is Format.SAFETENSORS:
        masks = {name: mask for name, mask in tensors.items() if name.startswith("mask/")}
        _write(path, save(_state(model) | masks, about))
    elif to is Format.COMPACT:
        smaller = compact(model, example)
        after, error = _count(smaller), _distance(smaller, example, expected)
        if not error <= MAX_RELATIVE_ERROR:
            raise InvalidInput(
                f"trial {record.key}: the compact network's outputs would differ by {error:.2g}: "
                "use --to safetensors, and report this"
            )
        _write(path, save(_state(smaller), about))
    else:
        _write(path, _onnx(model, example))
    return Exported(path, (before, after), error)


def load_exported(path: Path) -> nn.Module:
    """Return the network from a file that `export` wrote as safetensors or compact.

    Only tensors and text are read; the network is built from the task's declaration, and returned
    in evaluation mode.

    Raises:
        InvalidInput: it is not such a file, or its task is unknown.
    """
    try:
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        if size > MAX_HEADER_BYTES:
            raise ValueError("its header is too long")
        about = json.loads(content[8 : 8 + size])["__metadata__"]
        given = json.loads(about["trial"])
        tensors = load(content)
    except Exception as error:  # safetensors has its own exception type
        raise InvalidInput(
            f"{path} is not an exported network ({type(error).__name__}): write it again with "
            "`resonance export`"
        ) from error
    state = {name: value for name, value in tensors.items() if not name.startswith("mask/")}
    model = make_model(TrialContext.of(Trial.make(**given | {"processes": 1})))
    for name, module in model.named_modules():
        _fit(module, name, state)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidInput(f"{path} does not fit the model of task {given['task']}") from error
    return model.eval()


def _fit(module: nn.Module, name: str, state: dict[str, Tensor]) -> None:
    """Give a module's own tensors the shapes they have in the file."""
    prefix = f"{name}." if name else ""
    own = {**module._parameters, **module._buffers}.keys() & TENSORS
    set_tensors(module, {n: state[prefix + n].clone() for n in own if prefix + n in state})


def _onnx(model: nn.Module, example: Tensor) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 used by torch's exporter
    except ImportError as error:
        raise InvalidInput("--to onnx needs ONNX: pip install 'resonance-bench[onnx]'") from error
    from torch.export import Dim

    try:
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: Dim("batch")},),
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise InvalidInput(
            f"torch cannot export this model to ONNX ({first_line(error)})"
        ) from error
    assert program is not None
    proto = program.model_proto
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _distance(model: nn.Module, example: Tensor, expected: Tensor) -> float:
    with torch.no_grad():
        outputs = model(example.clone())
    if outputs.shape != expected.shape:
        return math.inf
    largest = float(expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny))
    return float((outputs - expected).abs().max()) / largest


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.stat()  # it is not created: a mistyped name would go unnoticed
        atomic_write(path, content)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written ({error.strerror}): name another file with --out"
        ) from error
