"""Format `torch`: two `torch.utils.data.Dataset`."""

import hashlib
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe two torch datasets, `train` and `test`, as ``module:name`` or ``file.py:name``."""
    from suite.core.discovery import load

    options, datasets = {}, {}
    for which in ("train", "test"):
        module, _, attribute = str(data.get(which, "")).rpartition(":")
        if not module or not attribute:
            raise InvalidInput(f"task file {path}: data: '{which}' must be module:name")
        if module.endswith(".py"):
            module = str((path.parent / module).resolve())
        options[which] = f"{module}:{attribute}"
        loaded = load(options[which])
        datasets[which] = loaded() if callable(loaded) else loaded
    labels = [int(datasets["train"][number][1]) for number in range(len(datasets["train"]))]
    first = datasets["train"][0][0]
    bands = len(first.getbands()) if hasattr(first, "getbands") else 0
    shape = (bands, first.height, first.width) if bands else tuple(first.shape)
    content = f"{shape} {labels[:1000]} {len(labels)} {len(datasets['test'])}"
    return {
        "load": "tasks.datasets.arrays:load_torch",
        "shape": shape,
        "classes": max(labels, default=0) + 1,
        "train": len(labels),
        "test": len(datasets["test"]),
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "options": options,
    }
