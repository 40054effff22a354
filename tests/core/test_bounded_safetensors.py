"""Headers of tensor files are limited, and must fit the file."""

import json

import pytest
import torch
from safetensors.torch import save

from suite.core.bounded_safetensors import LIMITS, InvalidTensors, metadata

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def packed(header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_the_metadata_of_a_sound_file_are_returned():
    tensors = {"a": torch.zeros(3, 2), "b": torch.ones(5, dtype=torch.bool), "c": torch.zeros(0, 4)}
    tensors |= {str(kind): torch.zeros(3, dtype=kind) for kind in (torch.bfloat16, torch.int8)}
    assert metadata(save(tensors, {"x": "y"})) == {"x": "y"}
    assert metadata(save(tensors)) == {}
    assert metadata(packed({"a": ENTRY})) == {}


UNSOUND = {
    "a header longer than the file": ((10**9).to_bytes(8, "little") + b"{}", "header would have"),
    "a header longer than any": (
        (LIMITS.size + 1).to_bytes(8, "little") + bytes(LIMITS.size + 1), "header would have"),
    "a header of two million lists": (packed(b"[" + b"[]," * 2_000_000 + b"[]]"), "values"),
    "a name twice": (packed(b'{"a": 1, "a": 2}'), "given twice"),
    "no object": (packed(b"[]"), "not that of safetensors"),
    "no tensor": (packed({"a": 3}), "not that of safetensors"),
    "numbers as metadata": (packed({"a": ENTRY, "__metadata__": {"x": 1}}), "not texts"),
    "a tensor outside": (packed({"a": ENTRY}, bytes(4)), "outside"),
    "bytes of no tensor": (packed({"a": ENTRY}, bytes(9)), "8 of 9 bytes"),
    "a shape of another size": (packed({"a": ENTRY | {"shape": [2**40]}}), "another size"),
    "a negative size": (packed({"a": ENTRY | {"shape": [-2]}}), "no whole number"),
    "nothing": (b"", "header"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_file_is_refused_in_one_line(what):
    content, says = UNSOUND[what]
    with pytest.raises(InvalidTensors, match=says) as error:
        metadata(content)
    assert "\n" not in str(error.value)
