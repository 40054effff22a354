"""Text for character-level language modelling: any UTF-8 file, gzipped or not."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from suite.core.errors import InvalidInput
from tasks.data import Arrays
from tasks.datasets.files import check_file, locate, memory_bytes
from tasks.task import Dataset

MEMORY_PER_BYTE = 4
"""Memory that a text takes at least, in multiples of its size: of bytes, text and indices."""
MAX_UNPACKED = 200
"""Most that a gzipped text unpacks to, in multiples of its size; small ones may be more."""
ALWAYS_UNPACKED = 2**26


def load(dataset: Dataset) -> Arrays:
    """Return windows of character indices, and the next character of each.

    The alphabet is the training text's characters, sorted by code point; the test text may contain
    no others. Options: `files`, names to look for in $RESONANCE_DATA and the cache, or `path`;
    `test_path` of a separate test text, or `test_share`, the fraction at the text's end.

    Raises:
        InvalidInput: it cannot be found or read, or the test text has characters that the
            training text lacks.
    """
    train, test = split_text(dataset.name, dataset.options)
    characters = alphabet(train)
    return Arrays(
        *_windows(_numbers(train, characters, dataset, "training"), dataset.shape[0]),
        *_windows(_numbers(test, characters, dataset, "test"), dataset.shape[0]),
    )


def split_text(name: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the training and the test text that a dataset's options name.

    Raises:
        InvalidInput: see `load`.
    """
    path = options.get("path") or locate(*options.get("files", ()))
    if path is None:
        files = " or ".join(options["files"])
        raise InvalidInput(
            f"dataset {name} was not found: set RESONANCE_DATA to a folder that holds {files}"
        )
    raw = read_bytes(Path(path))
    if (expected := options.get("sha256")) and hashlib.sha256(raw).hexdigest() != expected:
        raise InvalidInput(
            f"{path} is not the published text (SHA-256 {hashlib.sha256(raw).hexdigest()}, not "
            f"{expected}): fetch it again"
        )
    text = _decode(Path(path), raw)
    if test_path := options.get("test_path"):
        return text, _decode(Path(test_path), read_bytes(Path(test_path)))
    cut = int(len(text) * (1 - options.get("test_share", 0.1)))
    return text[:cut], text[cut:]


def alphabet(text: str) -> str:
    """Return the distinct characters of a text, sorted by code point."""
    return "".join(sorted(set(text)))


def windows_in(text: str, length: int) -> int:
    """Return the number of windows of `length`, each followed by a character, in a text."""
    return max(0, len(text) - 1) // length


def read_bytes(path: Path) -> bytes:
    """Return a file's content, decompressed if its name ends in .gz.

    Raises:
        InvalidInput: it cannot be read, is not a plain file, or does not fit in memory.
    """
    size = check_file(path, f"text {path}", MEMORY_PER_BYTE)
    limit = min(memory_bytes() // MEMORY_PER_BYTE, max(ALWAYS_UNPACKED, MAX_UNPACKED * size))
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            raw = file.read(limit + 1)
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    if len(raw) > limit:
        raise InvalidInput(
            f"{path} unpacks to more than {limit:,} bytes, which no text of {size:,} bytes should: "
            "give it without .gz"
        )
    return raw


def _decode(path: Path, raw: bytes) -> str:
    if b"\0" in raw[:4096]:
        raise InvalidInput(f"{path} holds NUL characters, so it is no text: give a file of text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not UTF-8 text (byte {error.start}): convert it to UTF-8"
        ) from error


def _numbers(text: str, characters: str, dataset: Dataset, part: str) -> torch.Tensor:
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
    indices = np.searchsorted(known, codes).clip(max=max(0, len(known) - 1))
    unknown = np.flatnonzero(known[indices] != codes) if len(codes) else codes
    if len(unknown):
        first = int(unknown[0])
        line = text.count("\n", 0, first) + 1
        raise InvalidInput(
            f"dataset {dataset.name}: the {part} text has the character {text[first]!r} in line "
            f"{line}, which is not in the training text: remove it, or train on a text that has it"
        )
    return torch.from_numpy(indices.astype(np.int64))


def _windows(text: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    count = max(0, len(text) - 1) // length
    end = count * length
    return text[:end].view(count, length), text[1 : end + 1].view(count, length)
