"""Format `text`: a text file, for character-level language modelling."""

from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described, files_digest, fraction


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe a text file: `length` of a window, `test_path` or `test` fraction of its end."""
    from tasks.datasets.text import alphabet, split_text, windows_in

    options: dict[str, Any] = {key: data[key] for key in ("path", "test_path") if key in data}
    options["test_share"] = fraction({"test": 0.1, **data}, path)
    length = data.get("length", 256)
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise InvalidInput(
            f"task file {path}: length={length!r:.80}: give the characters per window"
        )
    train, test = split_text(name, options)
    return {
        "load": "tasks.datasets.text:load",
        "kind": "text",
        "shape": (length,),
        "classes": len(alphabet(train)),
        "train": windows_in(train, length),
        "test": windows_in(test, length),
        "fingerprint": files_digest(data),
        "options": options,
    }
