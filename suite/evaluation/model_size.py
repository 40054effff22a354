"""Size of a trained network on disk, dense and sparse, as safetensors files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

Storage = Literal["dense", "bitmap", "csr"]


@dataclass(frozen=True)
class DiskSize:
    """Bytes of the dense and the sparse file, and how the sparse one stores each masked weight."""

    dense: int
    sparse: int
    storage: dict[str, Storage]


def disk_size(model: nn.Module, masks: Mapping[str, Tensor]) -> DiskSize:
    """Return the size of a network's parameters and buffers on disk.

    Both numbers are the sizes of actual safetensors files, including headers. Dense: all tensors, a
    shared tensor once. Sparse: of each masked weight the active values and their positions, as a
    bitmap or in compressed rows, whichever is smaller; a weight that is smaller dense stays dense.
    `masks` are by layer name: boolean, True where a weight is active.
    """
    tensors: dict[str, Tensor] = {}
    first: dict[int, str] = {}
    names: dict[str, str] = {}  # maps a shared tensor's names to the first one
    for name, value in model.state_dict(keep_vars=True).items():
        names[name] = first.setdefault(id(value), name)
        if names[name] == name:
            tensors[name] = value.detach().cpu().contiguous().clone()
    dense = len(save(tensors))
    storage: dict[str, Storage] = {}
    for layer, mask in masks.items():
        # A layer is called by its module, or by its parameter where a module has several.
        name = names[layer if layer in names else f"{layer}.weight".removeprefix(".")]
        parts, storage[layer] = encode(tensors.pop(name), mask.cpu())
        tensors |= {f"{name}{suffix}": part for suffix, part in parts.items()}
    return DiskSize(dense, len(save(tensors)), storage)


def encode(weight: Tensor, mask: Tensor) -> tuple[dict[str, Tensor], Storage]:
    """Return the tensors that store a weight, by suffix of its name, and the format.

    bitmap: one bit per weight. csr: the weight as a matrix [units, rest], with the start of each
    row (int32) and the column indices, in the narrowest type that holds them.
    """
    values = weight[mask]
    bitmap = torch.from_numpy(np.packbits(mask.flatten().numpy(), bitorder="little"))
    rows = mask.flatten(1)
    columns = rows.nonzero()[:, 1]
    starts = torch.zeros(len(rows) + 1, dtype=torch.int32)
    starts[1:] = rows.sum(1).cumsum(0)
    columns = columns.to(_narrowest(rows.shape[1]))
    formats: dict[Storage, dict[str, Tensor]] = {
        "dense": {"": weight},
        "bitmap": {".values": values, ".bitmap": bitmap},
        "csr": {".values": values, ".rows": starts, ".columns": columns},
    }
    smallest = min(formats, key=lambda name: sum(part.nbytes for part in formats[name].values()))
    return formats[smallest], smallest


def decode(parts: Mapping[str, Tensor], storage: Storage, shape: torch.Size) -> Tensor:
    """Return the weight that `encode` stored."""
    if storage == "dense":
        return parts[""]
    weight = torch.zeros(shape, dtype=parts[".values"].dtype)
    if storage == "bitmap":
        packed = parts[".bitmap"].numpy()
        bits = np.unpackbits(packed, count=weight.numel(), bitorder="little")
        weight[torch.from_numpy(bits).bool().view(shape)] = parts[".values"]
    else:
        counts = parts[".rows"].diff().long()
        rows = torch.arange(len(counts)).repeat_interleave(counts)
        weight.flatten(1)[rows, parts[".columns"].long()] = parts[".values"]
    return weight


def _narrowest(columns: int) -> torch.dtype:
    if columns <= 2**8:
        return torch.uint8
    return torch.uint16 if columns <= 2**16 else torch.int32
