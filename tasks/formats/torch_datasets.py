"""Format `torch`: two `torch.utils.data.Dataset`."""

import hashlib
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe two torch datasets, `train` and `test`, as ``module:name`` or ``file.py:name``."""
    import numpy as np

    from tasks.datasets.pixels import COLOUR, DEEP, UNRANGED
    from tasks.datasets.torch_items import items, open_split
    from tasks.labels import distinct, renamed

    options, datasets = {}, {}
    for which in ("train", "test"):
        module, _, attribute = str(data.get(which, "")).rpartition(":")
        if not module or not attribute:
            raise InvalidInput(f"task file {path}: data: '{which}' must be module:name")
        if module.endswith(".py"):
            module = str((path.parent / module).resolve())
        options[which] = f"{module}:{attribute}"
        datasets[which] = open_split(options[which])
    first, labels, modes = None, [], set()
    for x, y in items(datasets["train"], f"dataset {name}: train"):
        first = x if first is None else first
        labels.append(y)
        modes.add(getattr(x, "mode", "") if hasattr(x, "getbands") else "")
    if hasattr(first, "getbands"):  # PIL images: decided over all of them
        shape = (3 if modes & set(COLOUR) else 1, first.height, first.width)
    else:
        shape = tuple(np.shape(first))
    deep = {"deep": True} if modes & {*DEEP, *UNRANGED} else {}
    content = f"{shape} {labels[:1000]} {len(labels)} {len(datasets['test'])}"
    values = distinct(np.array(labels), f"dataset {name}: train")
    return {
        "load": "tasks.datasets.torch_items:load",
        "shape": shape,
        "classes": len(values),
        "labels": renamed(values),
        "train": len(labels),
        "test": len(datasets["test"]),
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "options": options | deep,
    }
