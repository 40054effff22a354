"""Format `torch`: two `torch.utils.data.Dataset`."""

import hashlib
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described

FIELDS = ("train", "test", "background", "range")


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe two torch datasets.

    Fields: `train` and `test`, as ``module:name`` or ``file.py:name``; of PIL images also
    `background` of transparent pixels, and `range` of values that mean black and white.
    """
    import numpy as np

    from tasks.datasets.pixels import COLOUR, DEEP, UNRANGED
    from tasks.datasets.survey import Survey
    from tasks.datasets.torch_items import items, open_split
    from tasks.labels import distinct, renamed

    options: dict[str, Any] = {}
    datasets = {}
    for which in ("train", "test"):
        module, _, attribute = str(data.get(which, "")).rpartition(":")
        if not module or not attribute:
            raise InvalidInput(f"task file {path}: data: '{which}' must be module:name")
        if module.endswith(".py"):
            module = str((path.parent / module).resolve())
        options[which] = f"{module}:{attribute}"
        datasets[which] = open_split(options[which])
    first: Any = None
    labels, modes = [], set()
    for x, y in items(datasets["train"], f"dataset {name}: train"):
        first = x if first is None else first
        labels.append(y)
        modes.add(getattr(x, "mode", "") if hasattr(x, "getbands") else "")
    shape = tuple(np.shape(first))
    if hasattr(first, "getbands"):  # PIL images: decided over all of them
        colour, deep = modes & set(COLOUR), modes & {*DEEP, *UNRANGED}
        found = Survey((), first.width, first.height, " ".join(colour), " ".join(deep))
        try:
            reading = found.reading(data.get("background"), data.get("range"), options["train"])
        except InvalidInput as error:
            raise InvalidInput(f"task file {path}: {error}") from error
        shape = (reading.channels, found.height, found.width)
        options |= reading.options()
    content = f"{shape} {labels[:1000]} {len(labels)} {len(datasets['test'])}"
    content += "".join(f" {options[key]}" for key in ("background", "range") if key in options)
    values = distinct(np.array(labels), f"dataset {name}: train")
    return {
        "load": "tasks.datasets.torch_items:load",
        "shape": shape,
        "classes": len(values),
        "labels": renamed(values),
        "train": len(labels),
        "test": len(datasets["test"]),
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "options": options,
    }
