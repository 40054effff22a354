"""Format `torch`: two `torch.utils.data.Dataset`."""

import hashlib
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.named_paths import exists, real_path
from tasks.content_digest import content_digest
from tasks.formats.fields import Described

FIELDS = ("train", "test", "path", "background", "range")


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe two torch datasets.

    Fields: `train` and `test`, as ``module:name`` or ``file.py:name``; `path`, the file or folder
    that they read, or a list of them: their content then stands for the items, of which only the
    labels are read here; of PIL images also `background` of transparent pixels, and `range` of
    values that mean black and white.
    """
    import numpy as np

    from tasks.datasets.pixels import COLOUR, DEEP, UNRANGED
    from tasks.datasets.survey import Survey
    from tasks.datasets.torch_items import items, items_digest, open_split
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
    content = f"{shape} {labels} {len(datasets['test'])} "
    content += "".join(f" {options[key]}" for key in ("background", "range") if key in options)
    if "path" in data:
        content += content_digest(named_paths(data["path"], path))
    else:
        content += items_digest(datasets, f"dataset {name}")
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


def named_paths(given: object, task_file: Path) -> list[Path]:
    """Return the files and folders that the field `path` names, relative to the task file.

    Raises:
        InvalidInput: it is no text or list of texts, or one does not exist.
    """
    names: list[Any] = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidInput(
            f"task file {task_file}: path={given!r:.80}: give what the datasets read: a file, a "
            "folder or a list of them"
        )
    paths = [real_path(task_file.parent / str(name)) for name in names]
    for path in paths:
        if not exists(path):
            raise InvalidInput(f"task file {task_file}: path: there is no {path!s:.300}")
    return paths
