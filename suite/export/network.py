"""A network as a file: dense, without dead units, condensed, 2:4 in PyTorch's format, or ONNX."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from suite.core.bounded_safetensors import metadata
from suite.core.errors import InvalidInput, first_line
from suite.core.files import atomic_write
from suite.export.compact import TENSORS, compact, set_tensors
from suite.export.condensed import condensed_metadata, condensed_network, with_condensed_of
from suite.export.semi_structured import PACKED, packed_state, unpacked_state
from suite.export.stored_layer import StoredLayer
from suite.sparsity.storage.condensed import Kernel, check_kernel

MASK = "mask/"
"""What the name of a mask in a file starts with; a layer's name follows."""

MAX_RELATIVE_ERROR = 1e-4
"""Largest allowed difference between the outputs of exported and original network, or two roundings
where outputs have 16 bits."""


class Format(StrEnum):
    """Weights and masks (safetensors), ONNX, or a network in one of the smaller forms."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    COMPACT = "compact"
    CONDENSED = "condensed"
    SEMI_STRUCTURED = "semi_structured"


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: of the file.
        parameters: number of parameters before export, and in the file.
        error: largest difference of an output, relative to the largest output; 0 for weights.
        layers: how layers are held, for the formats that treat them differently.
    """

    path: Path
    parameters: tuple[int, int]
    error: float
    layers: tuple[StoredLayer, ...] = ()


def write_weights(
    model: nn.Module, masks: Mapping[str, Tensor], path: Path, about: Mapping[str, str]
) -> Exported:
    """Write the state dict of `model`, and `masks` by layer name, as safetensors.

    `about` is metadata of the file.

    Raises:
        InvalidInput: the state dict holds something that is not a tensor, or the file cannot be
            written.
    """
    state = _state(model)
    count = sum(state[name].numel() for name, _ in model.named_parameters())
    named = {f"{MASK}{name}": mask.contiguous() for name, mask in masks.items()}
    _write(path, save(state | named, {**about, "format": str(Format.SAFETENSORS)}))
    return Exported(path, (count, count), 0.0)


def write_compact(
    model: nn.Module, path: Path, example: Tensor, about: Mapping[str, str]
) -> Exported:
    """Write `model` without its dead units, as safetensors; `load_network` reads it back.

    Args:
        model: on the CPU, in evaluation mode.
        path: of the file.
        example: inputs [n, …], at least two.
        about: metadata of the file.

    Raises:
        InvalidInput: the model cannot be compacted, does not take the example, or would give
            other outputs; or the file cannot be written.
    """
    expected = _expected(model, example)
    smaller = compact(model, example)
    error = _checked_error(smaller, example, expected)
    _write(path, save(_state(smaller), {**about, "format": str(Format.COMPACT)}))
    return Exported(path, (_count(model), _count(smaller)), error)


def write_condensed(
    model: nn.Module, path: Path, example: Tensor, about: Mapping[str, str]
) -> Exported:
    """Write `model` with its Linear weights as values and indices [out, k], as safetensors.

    Dead units are removed first where that is possible. `load_network` reads it back, with
    `CondensedLinear` in the place of each condensed layer.

    Args:
        model: on the CPU, in evaluation mode.
        path: of the file.
        example: inputs [n, …], at least two.
        about: metadata of the file.

    Raises:
        InvalidInput: the model has no Linear layer, does not take the example, or would give
            other outputs; or the file cannot be written.
    """
    expected = _expected(model, example)
    network, layers = condensed_network(model, example)
    error = _checked_error(network, example, expected)
    about = {**about, **condensed_metadata(network), "format": str(Format.CONDENSED)}
    _write(path, save(_state(network), about))
    return Exported(path, (_count(model), _count(network)), error, layers)


def write_semi_structured(
    model: nn.Module, masks: Mapping[str, Tensor], path: Path, about: Mapping[str, str]
) -> Exported:
    """Write `model` with its 2:4 Linear weights packed in PyTorch's format, as safetensors.

    `load_network` reads it back, as ordinary layers with exactly these weights.

    Args:
        model: on the CPU.
        masks: of its sparse layers, by name.
        path: of the file.
        about: metadata of the file.

    Raises:
        InvalidInput: a sparse Linear layer is not 2:4, none can be packed, or the file cannot be
            written.
    """
    state = _state(model)
    packed, layers = packed_state(model, masks, state)
    restored = unpacked_state(model, packed)
    for name, value in state.items():
        if torch.equal(restored[name], value):
            continue
        if bool(value.isnan().any()):
            raise InvalidInput(
                f"'{name}' is not finite (it has NaN), so packed weights cannot be compared with "
                "it: train the network again, or export it as safetensors"
            )
        raise InvalidInput(
            "the packed weights would be others: export it as safetensors, and report this"
        )
    _write(path, save(packed, {**about, "format": str(Format.SEMI_STRUCTURED)}))
    halves = sum(values.numel() for name, values in packed.items() if name.endswith(PACKED))
    return Exported(path, (_count(model), _count(model) - halves), 0.0, layers)


def write_onnx(model: nn.Module, path: Path, example: Tensor) -> Exported:
    """Write `model` as an ONNX network of one input, for batches of any size.

    Args:
        model: on the CPU, in evaluation mode.
        path: of the file.
        example: inputs [n, …], at least two.

    Raises:
        InvalidInput: ONNX is not installed, it cannot express the model, the model does not take
            the example, or the file cannot be written.
    """
    _write(path, _onnx(model, example))
    count = _count(model)
    return Exported(path, (count, count), 0.0)


def load_network(path: str | Path, model: nn.Module, kernel: Kernel = "auto") -> nn.Module:
    """Return a copy of `model` with the network of a file, in evaluation mode.

    Args:
        path: a file that was exported in any format but onnx; only tensors and text are read.
        model: of the architecture that was exported; it is not changed. Layers of a compact or
            condensed file may be smaller than its own, and whether they fit one another is not
            checked here, without an example: if they do not, the first forward pass fails.
        kernel: what multiplies in condensed layers: ``torch`` for PyTorch's operators, ``numba``
            for the compiled kernel (extra ``numba``), ``auto`` for it where it is installed.

    Raises:
        InvalidInput: it is not such a file, the model is another one, or the kernel is missing.
    """
    path = Path(path)
    check_kernel(kernel)
    tensors, about = read_exported(path)
    fitted = copy.deepcopy(model)
    state = {name: value for name, value in tensors.items() if not name.startswith(MASK)}
    form = about["format"]
    try:
        if form == Format.CONDENSED:
            fitted = with_condensed_of(fitted, state, about, kernel)
        elif form == Format.SEMI_STRUCTURED:
            state = unpacked_state(fitted, state)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path} is damaged or of another model ({error}): export it again"
        ) from error
    if form in (Format.COMPACT, Format.CONDENSED):
        for name, module in fitted.named_modules():
            _shrink_to(module, name, state)
    try:
        fitted.load_state_dict(state)
    except RuntimeError as error:
        difference = " ".join(str(error).splitlines()[1:2]).strip().rstrip(".")
        raise InvalidInput(
            f"{path} does not fit {type(model).__name__} ({difference}): give the model that was "
            "exported"
        ) from error
    return fitted.eval()


def read_exported(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return (tensors, metadata) of a file exported in any format but onnx.

    Raises:
        InvalidInput: it is not such a file.
    """
    try:
        content = Path(path).read_bytes()
        about = metadata(content)
        if "format" not in about:
            raise ValueError("its metadata is not that of an exported network")
        return load(content), about
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # safetensors has its own exception type
        raise InvalidInput(
            f"{path} is not an exported network ({type(error).__name__}): export it again, "
            f"in another format than onnx"
        ) from error


def _shrink_to(module: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Give a module's own tensors the shapes they have in a compact file, which are smaller."""
    prefix = f"{name}." if name else ""
    smaller = {}
    for own in {**module._parameters, **module._buffers}.keys() & TENSORS:
        new, old = state.get(prefix + own), getattr(module, own)
        if new is not None and (old is None or _is_smaller(new, old)):
            smaller[own] = new.clone()
    if smaller:
        set_tensors(module, smaller)


def _is_smaller(new: Tensor, old: Tensor) -> bool:
    pairs = zip(new.shape, old.shape, strict=True) if new.ndim == old.ndim else [(1, 0)]
    return new.shape != old.shape and all(after <= before for after, before in pairs)


def _onnx(model: nn.Module, example: Tensor) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 used by torch's exporter
    except ImportError as error:
        raise InvalidInput(
            "the format onnx needs ONNX: pip install 'resonance-bench[onnx]'"
        ) from error
    from torch.export import Dim

    _outputs(model, example)
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
    """Return the state dict as tensors that share no memory, which safetensors refuses."""
    state = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise InvalidInput(
                f"'{name}' of the state dict is a {type(value).__name__}, which a safetensors "
                "file cannot hold; export as onnx, or save the state dict with torch.save"
            )
        state[name] = value.detach().contiguous().clone()
    return state


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _outputs(model: nn.Module, example: Tensor) -> object:
    try:
        with torch.no_grad():
            return model(example.clone())
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput(
            f"{type(model).__name__} does not take this example ({first_line(error)}): give a "
            "batch of its inputs as one tensor"
        ) from error


def _expected(model: nn.Module, example: Tensor) -> Tensor:
    """Return a model's outputs, which those of a smaller network are compared with."""
    expected = _outputs(model, example)
    if not isinstance(expected, Tensor) or not expected.is_floating_point():
        kind = expected.dtype if isinstance(expected, Tensor) else type(expected).__name__
        raise InvalidInput(
            f"{type(model).__name__} cannot be compacted or condensed: its output is a {kind}, not "
            "a tensor of real numbers; export it as safetensors"
        )
    _check_finite(expected, f"{type(model).__name__}'s outputs")
    return expected


def _check_finite(outputs: Tensor, whose: str) -> None:
    if not bool(outputs.isfinite().all()):
        raise InvalidInput(
            f"{whose} for this example are not finite (NaN or infinity), so a smaller network "
            "cannot be compared: check weights and example, or export it as safetensors"
        )


def _checked_error(network: nn.Module, example: Tensor, expected: Tensor) -> float:
    """Return the largest relative difference of a smaller network's outputs, which is small."""
    try:
        with torch.no_grad():
            outputs = network(example.clone())
    except (AttributeError, RuntimeError, TypeError) as problem:
        raise InvalidInput(
            f"the smaller network does not run ({first_line(problem)}), as where a module reads "
            "the weight of a layer itself: export it as safetensors"
        ) from problem
    if isinstance(outputs, Tensor):
        _check_finite(outputs, "the smaller network's outputs")
    error = _distance(outputs, expected)
    if not error <= max(MAX_RELATIVE_ERROR, 2 * torch.finfo(expected.dtype).eps):
        raise InvalidInput(
            f"the smaller network's outputs would differ by {error:.2g}: export it as "
            "safetensors, and report this"
        )
    return error


def _distance(outputs: object, expected: Tensor) -> float:
    if not isinstance(outputs, Tensor) or outputs.shape != expected.shape:
        return math.inf
    if not expected.numel():
        return 0.0
    largest = float(expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny))
    return float((outputs - expected).abs().max()) / largest


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.stat()  # it is not created: a mistyped name would go unnoticed
        atomic_write(path, content)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written ({error.strerror}): name another file"
        ) from error
