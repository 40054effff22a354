"""A task in a YAML file: your own data and model, without Python.

    name: iris/mlp
    data: {format: table, path: iris.csv, target: species}
    model: mlp
    model_options: {hidden: [32]}
    recipe: {epochs: 30, batch_size: 16}

Paths are relative to the file. Shape, classes and number of examples are read from the data itself,
so invalid data is reported before anything is trained.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.core.declarations import Declared, unknown
from suite.core.errors import InvalidInput
from suite.core.layer_kinds import STANDARD_KINDS, checked_kinds
from suite.core.named_paths import exists, odd_kind, real_path
from suite.core.yaml_reader import read_yaml
from tasks.formats import huggingface, images, npz, real_targets, table, text, torch_datasets
from tasks.formats.fields import Describe, check_channels_first
from tasks.recipe import RECIPE
from tasks.task import METRICS, Dataset, Task, check_metric

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
    "metric",
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
"""Short names of the project's models; others are given as ``module:name``, ``file.py:Name`` or
``timm:NAME``."""


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
        raise InvalidInput(f"task file {path}: name={name!r:.80}: give DATA/MODEL, e.g. iris/mlp")
    dataset = _dataset(path, name.split("/")[0], _mapping(path, content, "data"))
    recipe = _mapping(path, content, "recipe")
    for field in recipe:
        if field not in (known := {parameter.name: parameter for parameter in RECIPE}):
            raise InvalidInput(f"task file {path}: {_unknown('recipe field', field, known)}")
    model = content["model"]
    if not isinstance(model, str) or not (model in MODELS or ":" in model):
        raise InvalidInput(
            f"task file {path}: model={model!r:.80}: give one of {', '.join(MODELS)}, or "
            "module:name, or file.py:Name, or timm:NAME"
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
        metric=_metric(path, content.get("metric"), dataset),
        revision=_revision(path, content.get("revision", 1)),
        origin=str(path.resolve()),
    )
    check_metric(task, dataset)
    return [dataset, task]


def _revision(path: Path, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidInput(f"task file {path}: revision={given!r:.80}: give a whole number")
    return given


def _metric(path: Path, given: object, dataset: Dataset) -> str:
    allowed = METRICS[dataset.kind]
    if given is None:
        return allowed[0]
    if given not in allowed:
        raise InvalidInput(
            f"task file {path}: metric={given!r:.80}: give one of {', '.join(allowed)}"
        )
    return str(given)


def _mapping(path: Path, content: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = content.get(field) or {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"task file {path}: {field}={value!r:.80} must be a mapping of names")
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
    if not isinstance(kind, str) or kind not in FORMATS:
        raise InvalidInput(
            f"task file {path}: data format={kind!r:.80}: give one of {', '.join(FORMATS)}"
        )
    describe, fields = FORMATS[kind]
    for field in data:
        if field not in fields:
            raise InvalidInput(f"task file {path}: {_unknown('data field', field, fields)}")
    for field in ("path", "test_path"):
        if field in data and kind != "torch":  # which may name several
            if not isinstance(data[field], str) or not data[field]:
                raise InvalidInput(f"task file {path}: {field}={data[field]!r:.80}: give a path")
            place = real_path(path.parent / data[field])
            if found := odd_kind(place):
                raise InvalidInput(
                    f"task file {path}: {field}: {place} is {found}: give a file or a folder"
                )
            if exists(place):
                data[field] = str(place)
            elif kind not in BY_NAME:
                raise InvalidInput(f"task file {path}: {field}: there is no {place!s:.300}")
    if "path" in fields and "path" not in data and kind != "torch":
        raise InvalidInput(f"task file {path}: data: 'path' is missing")
    if _targets(path, data) == "real":
        describe = real_targets.DESCRIBE[kind]
    described = {"mean": (0.0,), "std": (1.0,), **describe(name, data, path)}
    check_channels_first(described["shape"], path)
    for field in ("train", "test"):
        if described[field] < 1:
            raise InvalidInput(f"task file {path}: the data has no {field} examples: give more")
    return Dataset(
        name, f"task file {path.name}", title=name, origin=str(path.resolve()), **described
    )


def _targets(path: Path, data: dict[str, Any]) -> str:
    """Return what the targets are; the default is taken out, so that it may be left out."""
    targets = data.get("targets", "classes")
    if targets not in ("classes", "real"):
        raise InvalidInput(f"task file {path}: targets={targets!r:.80}: give classes or real")
    if targets == "classes":
        data.pop("targets", None)
    return str(targets)


FORMATS: Mapping[str, tuple[Describe, tuple[str, ...]]] = {
    "images": (images.describe, images.FIELDS),
    "table": (table.describe, ("path", "test_path", "target", "targets", "ignore", "test")),
    "numpy": (npz.describe, ("path", "targets", "test")),
    "text": (text.describe, ("path", "test_path", "length", "test")),
    "torch": (torch_datasets.describe, torch_datasets.FIELDS),
    "huggingface": (huggingface.describe, huggingface.FIELDS),
}
"""Format → (function that describes the data, the fields that it accepts)."""

BY_NAME = ("huggingface",)
"""Formats whose `path` may be the name of something elsewhere."""
