"""A task in a YAML file: your own data and model, without Python.

    name: iris/mlp
    data: {format: table, path: iris.csv, target: species}
    model: mlp
    model_options: {hidden: [32]}
    recipe: {epochs: 30, batch_size: 16}

Paths are relative to the file. Shape, classes and number of examples are read from the data itself,
so invalid data is reported before anything is trained.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suite.core.declarations import Declared, unknown
from suite.core.errors import InvalidInput
from suite.core.layer_kinds import STANDARD_KINDS, checked_kinds
from suite.core.yaml_reader import read_yaml
from tasks.recipe import RECIPE
from tasks.task import Dataset, Task

FIELDS = (
    "name",
    "data",
    "model",
    "model_options",
    "recipe",
    "title",
    "source",
    "revision",
    "prunable",
)

MODELS = {
    "mlp": "tasks.models.mlp:mlp",
    "lenet_5": "tasks.models.lenet:lenet_5",
    "conv": "tasks.models.conv:conv_net",
    "resnet": "tasks.models.resnet:resnet",
    "wide_resnet": "tasks.models.wide_resnet:wide_resnet",
    "vgg": "tasks.models.conv:vgg_bn",
    "resnet_50": "tasks.models.imagenet:resnet_50",
    "mobilenet_v1": "tasks.models.imagenet:mobilenet_v1",
    "vit": "tasks.models.transformer:vit",
    "gpt": "tasks.models.transformer:gpt",
}
"""Short names of the project's models; others are given as ``module:name`` or ``file.py:Name``."""

Described = dict[str, Any]
"""Fields of `Dataset` that a format reads from the data."""

Describe = Callable[[str, dict[str, Any], Path], Described]


def read_task_file(path: Path) -> list[Declared]:
    """Return the dataset and the task that a YAML file declares.

    Raises:
        InvalidInput: the file is not valid, or the data cannot be used; the message says where.
    """
    content = read_yaml(path, f"task file {path}", ", ".join(FIELDS[:5]))
    for field in ("name", "data", "model"):
        if field not in content:
            raise InvalidInput(f"task file {path}: '{field}' is missing")
    for field in content:
        if field not in FIELDS:
            raise InvalidInput(f"task file {path}: {_unknown('field', field, FIELDS)}")
    name = content["name"]
    if not isinstance(name, str) or name.count("/") != 1 or not all(name.split("/")):
        raise InvalidInput(f"task file {path}: name={name!r}: give DATA/MODEL, e.g. iris/mlp")
    dataset = _dataset(path, name.split("/")[0], _mapping(path, content, "data"))
    recipe = _mapping(path, content, "recipe")
    for field in recipe:
        if field not in (known := {parameter.name: parameter for parameter in RECIPE}):
            raise InvalidInput(f"task file {path}: {_unknown('recipe field', field, known)}")
    model = content["model"]
    if not isinstance(model, str) or not (model in MODELS or ":" in model):
        raise InvalidInput(
            f"task file {path}: model={model!r}: give one of {', '.join(MODELS)}, or "
            "module:name, or file.py:Name"
        )
    blank = Task(name, "", title="", dataset="", model="")
    task = Task(
        name,
        str(content.get("source", f"task file {path.name}")),
        title=str(content.get("title", name)),
        dataset=dataset.name,
        model=MODELS.get(model, model),
        model_options=_mapping(path, content, "model_options"),
        recipe=blank.check(recipe),
        prunable=_kinds(path, content.get("prunable", STANDARD_KINDS)),
        metric="bits_per_character" if dataset.kind == "text" else "accuracy",
        revision=content.get("revision", 1),
        origin=str(path.resolve()),
    )
    return [dataset, task]


def _mapping(path: Path, content: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = content.get(field) or {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"task file {path}: {field}={value!r} must be a mapping of names")
    return dict(value)


def _kinds(path: Path, given: object) -> tuple[str, ...]:
    try:
        return checked_kinds(given)
    except InvalidInput as error:
        raise InvalidInput(f"task file {path}: {error}") from None


def _unknown(kind: str, name: object, valid: Any) -> str:
    return unknown(kind, str(name), valid, see="info digits/mlp")


def _dataset(path: Path, name: str, data: dict[str, Any]) -> Dataset:
    kind = data.pop("format", None)
    if kind not in FORMATS:
        raise InvalidInput(
            f"task file {path}: data format={kind!r}: give one of {', '.join(FORMATS)}"
        )
    describe, fields = FORMATS[kind]
    for field in data:
        if field not in fields:
            raise InvalidInput(f"task file {path}: {_unknown('data field', field, fields)}")
    for field in ("path", "test_path"):
        if field in data:
            data[field] = str((path.parent / str(data[field])).resolve())
            if not Path(data[field]).exists():
                raise InvalidInput(f"task file {path}: {field}: there is no {data[field]}")
    if "path" in fields and "path" not in data:
        raise InvalidInput(f"task file {path}: data: 'path' is missing")
    described = {"mean": (0.0,), "std": (1.0,), **describe(name, data, path)}
    for field in ("train", "test"):
        if described[field] < 1:
            raise InvalidInput(f"task file {path}: the data has no {field} examples: give more")
    return Dataset(
        name, f"task file {path.name}", title=name, origin=str(path.resolve()), **described
    )


def _fraction(data: Mapping[str, Any], path: Path) -> float:
    fraction = data.get("test", 0.2)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise InvalidInput(f"task file {path}: test={fraction!r}: give a fraction between 0 and 1")
    return fraction


def _folder(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe images: `path` of a folder or archive, `size` to scale to, `stream`, `test`."""
    from tasks.datasets.images import (
        by_split,
        check_empty_classes,
        contents,
        fingerprint,
        image_paths,
        open_image,
    )

    where = Path(data["path"])
    if where.is_dir():
        check_empty_classes(where)
        names = image_paths(where)
        first = (names[0], (where / names[0]).read_bytes()) if names else None
    else:
        images = list(contents(where))
        names = [item for item, _ in images]
        first = images[0] if images else None
    train, test = by_split(names, str(where))
    count = sum(map(len, train.values()))
    assert first is not None  # by_split refuses a folder without images
    image = open_image(first[1], f"{where}/{first[0]}")
    channels = 1 if image.mode in ("1", "L", "I", "I;16", "F") else 3
    size = data.get("size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InvalidInput(f"task file {path}: size={size!r}: give the side in pixels")
    stream = bool(data.get("stream", False))
    if stream and (test is None or size is None):
        raise InvalidInput(
            f"task file {path}: streamed images need folders 'train' and 'test', and a 'size'"
        )
    height, width = (size, size) if size is not None else (image.height, image.width)
    held = round(count * _fraction(data, path)) if test is None else sum(map(len, test.values()))
    return {
        "load": "tasks.datasets.imagenet:find_files" if stream else "tasks.datasets.folder:load",
        "kind": "stream" if stream else "labels",
        "shape": (channels, height, width),
        "classes": len(train),
        "train": count - held if test is None else count,
        "test": held,
        "mean": (0.5,) * channels,
        "std": (0.25,) * channels,
        "fingerprint": fingerprint(where),
        "options": {"path": str(where), "resize": size is not None},
    }


def _table(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe a CSV, TSV or Parquet file: `target`, `ignore`, `test_path` or `test` fraction."""
    from tasks.datasets.table import read_table

    if not isinstance(data.get("target"), str):
        raise InvalidInput(f"task file {path}: data: 'target' must name the column to predict")
    options: dict[str, Any] = {
        key: data[key] for key in ("path", "test_path", "target", "ignore") if key in data
    }
    table = read_table(Path(data["path"]), options)
    if "test_path" in data:
        test = len(read_table(Path(data["test_path"]), options, table.classes).y)
        train = len(table.y)
    else:
        test = round(len(table.y) * _fraction(data, path))
        train = len(table.y) - test
    return {
        "load": "tasks.datasets.table:load",
        "shape": (table.x.shape[1],),
        "classes": len(table.classes),
        "train": train,
        "test": test,
        "fingerprint": _digest(data),
        "options": options,
    }


def _numpy(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe an .npz file of x and y, or of train_x, train_y, test_x, test_y; `test` fraction."""
    from tasks.datasets.arrays import read_archive

    arrays = read_archive(Path(data["path"]))
    x, y = (arrays.get(f"train_{part}", arrays.get(part)) for part in ("x", "y"))
    assert x is not None
    assert y is not None
    test = len(arrays["test_x"]) if "test_x" in arrays else round(len(x) * _fraction(data, path))
    return {
        "load": "tasks.datasets.arrays:load_archive",
        "shape": tuple(x.shape[1:]),
        "classes": max(int(part.max()) for key, part in arrays.items() if key.endswith("y")) + 1,
        "train": len(x) if "test_x" in arrays else len(x) - test,
        "test": test,
        "fingerprint": _digest(data),
        "options": {"path": data["path"]},
    }


def _text(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe a text file: `length` of a window, `test_path` or `test` fraction of its end."""
    from tasks.datasets.text import alphabet, split_text, windows_in

    options: dict[str, Any] = {key: data[key] for key in ("path", "test_path") if key in data}
    options["test_share"] = _fraction({"test": 0.1, **data}, path)
    length = data.get("length", 256)
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise InvalidInput(f"task file {path}: length={length!r}: give the characters per window")
    train, test = split_text(name, options)
    return {
        "load": "tasks.datasets.text:load",
        "kind": "text",
        "shape": (length,),
        "classes": len(alphabet(train)),
        "train": windows_in(train, length),
        "test": windows_in(test, length),
        "fingerprint": _digest(data),
        "options": options,
    }


def _torch(name: str, data: dict[str, Any], path: Path) -> Described:
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


def _digest(data: Mapping[str, Any]) -> str:
    """Return a digest of the files and of how they are read, but not of their location."""
    digest = hashlib.sha256()
    for key in sorted(data):
        if key in ("path", "test_path"):
            digest.update(Path(data[key]).read_bytes())
        else:
            digest.update(f"{key}={data[key]!r}".encode())
    return digest.hexdigest()[:16]


FORMATS: Mapping[str, tuple[Describe, tuple[str, ...]]] = {
    "images": (_folder, ("path", "size", "stream", "test")),
    "table": (_table, ("path", "test_path", "target", "ignore", "test")),
    "numpy": (_numpy, ("path", "test")),
    "text": (_text, ("path", "test_path", "length", "test")),
    "torch": (_torch, ("train", "test")),
}
"""Format → (function that describes the data, the fields that it accepts)."""
