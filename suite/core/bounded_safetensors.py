"""Files of tensors from outside: the header is limited, and must fit the file, before it is used.

safetensors itself takes a header of 100 MB, whose JSON becomes gigabytes.
"""

import io
import math
from typing import Any, BinaryIO

from suite.core.bounded_json import InvalidJson, Limits, parse

LIMITS = Limits(size=32 * 2**20, values=2_000_000, depth=4, text=32 * 2**20)
"""Of a header: a tensor has about ten values, and a state's structure is one text."""
METADATA = "__metadata__"
MAX_SIZE = 2**48
"""Of each dimension, and of all but those of size 0 together: strides are products of them."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "U16": 16, "I16": 16, "F16": 16,
    "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class InvalidTensors(ValueError):
    """A file is not one of safetensors, or its header does not fit it; says why, in one line."""


def metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of a file's content; see `metadata_of_file`."""
    return metadata_of_file(io.BytesIO(content), len(content))


def metadata_of_file(file: BinaryIO, size: int) -> dict[str, str]:
    """Return the metadata of a file of `size` bytes, whose tensors may then be loaded.

    Raises:
        InvalidTensors: its header is too long, no JSON or of another form, or its tensors do not
            take up exactly the rest of the file.
        OSError: it cannot be read.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > min(LIMITS.size, size - 8):
        raise InvalidTensors(f"its header would have {length:,} bytes, more than the file or any")
    try:
        header = parse(file.read(length), LIMITS)
        about = header.pop(METADATA, {})
        if not all(isinstance(value, str) for value in about.values()):
            raise InvalidTensors("its metadata are not texts")
        taken = sum(_bytes_of(entry, size - 8 - length) for entry in header.values())
    except InvalidJson as error:
        raise InvalidTensors(f"its header: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidTensors):
            raise
        raise InvalidTensors("its header is not that of safetensors") from error
    if taken != size - 8 - length:
        raise InvalidTensors(f"its tensors take {taken:,} of {size - 8 - length:,} bytes")
    return dict(about)


def _bytes_of(entry: dict[str, Any], available: int) -> int:
    """Return how many bytes a tensor takes, after checking that its shape says the same."""
    begin, end = entry["data_offsets"]
    shape = entry["shape"]
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise InvalidTensors("a tensor has a size that is no whole number")
    if len(shape) > 64 or not begin <= end <= available:
        raise InvalidTensors("a tensor lies outside the file")
    bits = BITS.get(entry["dtype"])
    if bits is None:
        raise InvalidTensors("a tensor has a type that is not known here")
    if math.prod(shape) * bits != 8 * (end - begin):
        raise InvalidTensors("a tensor has another size than its shape says")
    if math.prod(size for size in shape if size) > MAX_SIZE:
        raise InvalidTensors("a tensor has a shape that is too large, though it is empty")
    return int(end - begin)
