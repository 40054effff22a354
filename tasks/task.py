"""The declaration of a task: data + model + training recipe + metric, without torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from suite.core.declarations import Configurable, Declared, Hyperparameter, Value, unknown
from suite.core.errors import InvalidInput
from suite.core.layer_kinds import STANDARD_KINDS, checked_kinds
from tasks.recipe import RECIPE, Recipe, parse_milestones

KINDS = ("labels", "real", "text", "stream")
CLASSIFICATION = ("accuracy", "balanced_accuracy", "macro_f1")
METRICS: Mapping[str, tuple[str, ...]] = {
    "labels": CLASSIFICATION,
    "stream": CLASSIFICATION,
    "text": ("bits_per_character", "accuracy"),
    "real": ("r2", "rmse"),
}
"""The metrics that a task may rank by, by its dataset's kind; the first is usual."""
REFERENCE = re.compile(r"(?:.+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")
"""``module:name`` or ``file.py:name``."""
MAX_CLASSES = 100_000
"""More classes than this are taken for a mistake: they would be as many outputs of the model."""


@dataclass(frozen=True)
class Dataset(Declared):
    """A train and a test split of examples.

    Attributes:
        load: ``module:function`` (or ``:function`` in the declaring file) of a function
            Dataset → `tasks.data.Arrays`, or → `tasks.stream.Files` for a stream.
        shape: of one example as the model receives it.
        classes: number of classes, of characters, or of real targets: of the model's outputs.
        labels: what the classes 0 … k − 1 are called in the data; empty if they are numbers from 0
            there as well.
        train, test: number of examples.
        mean, std: per channel, of inputs scaled to [0, 1].
        kind: ``labels`` (in memory, one class per example), ``real`` (in memory, one or more real
            numbers per example: regression), ``text`` (in memory, a character to predict at each
            position) or ``stream`` (image files read during training).
        checksum: SHA-256 of the arrays (`tasks.loading.checksum`), empty if not fixed.
        fingerprint: digest of a user's own files; other data gives another trial.
        options: what the loader needs (file names, for instance).
    """

    title: str = field(kw_only=True)
    load: str = field(kw_only=True)
    shape: tuple[int, ...] = field(kw_only=True)
    classes: int = field(kw_only=True)
    train: int = field(kw_only=True)
    test: int = field(kw_only=True)
    mean: tuple[float, ...] = field(kw_only=True)
    std: tuple[float, ...] = field(kw_only=True)
    kind: str = field(default="labels", kw_only=True)
    labels: tuple[int | str, ...] = field(default=(), kw_only=True)
    checksum: str = field(default="", kw_only=True)
    fingerprint: str = field(default="", kw_only=True)
    licence: str = field(default="", kw_only=True)
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "/" in self.name:
            raise InvalidInput(
                f"dataset name {self.name!r:.80} has a /, which separates dataset and model in the "
                "names of tasks: leave it out"
            )
        if self.kind not in KINDS:
            raise TypeError(f"dataset {self.name}: kind={self.kind!r} is none of {KINDS}")
        if self.classes > MAX_CLASSES:
            raise InvalidInput(
                f"dataset {self.name}: classes={self.classes:,} is more than the {MAX_CLASSES:,} "
                "that are trained: number the labels that occur from 0"
            )

    @property
    def regression(self) -> bool:
        """Whether the targets are real numbers."""
        return self.kind == "real"

    def training_examples(self, validation: float) -> int:
        """Return how many training examples are left when a fraction is held out."""
        return self.train - round(self.train * validation)


@dataclass(frozen=True)
class Task(Declared, Configurable):
    """A dataset, a model and how it is trained; named ``dataset/model`` or ``…@recipe``.

    Attributes:
        dataset: name of a declared dataset.
        model: ``module:name`` of what builds the model (`tasks.model_factory.make_model`).
        recipe: what differs from the defaults of `RECIPE`. Every field can be overridden in a
            trial.
        metric: what the leaderboard ranks by, one of `METRICS` for the dataset's kind.
        prunable: the kinds of layers whose weights may be pruned, of `KINDS`.
        compare: ``module:function`` of a function (dataset, masks by layer) → metrics, where the
            true connectivity is known; empty where it is not. Names of metrics consist of
            lower-case letters, digits and ``_``.
    """

    title: str = field(kw_only=True)
    dataset: str = field(kw_only=True)
    model: str = field(kw_only=True)
    model_options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)
    prunable: tuple[str, ...] = field(default=STANDARD_KINDS, kw_only=True)
    compare: str = field(default="", kw_only=True)
    setting: ClassVar[str] = "recipe field"
    hyperparameters: tuple[Hyperparameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name.count("/") > 1:
            raise InvalidInput(
                f"task name {self.name!r:.80} has more than one /: give DATASET/MODEL or "
                "DATASET/MODEL@RECIPE"
            )
        known = {field.name: field for field in RECIPE}
        for name in sorted(self.recipe.keys() - known.keys()):
            see = "info digits/mlp"
            raise InvalidInput(unknown(self.setting, name, known, of=self.name, see=see))
        known_metrics = {name for names in METRICS.values() for name in names}
        if self.metric not in known_metrics:
            allowed = ", ".join(sorted(known_metrics))
            raise TypeError(f"task {self.name}: metric={self.metric!r} is none of {allowed}")
        object.__setattr__(self, "prunable", checked_kinds(self.prunable))
        fields = tuple(
            replace(f, default=self.recipe[f.name]) if f.name in self.recipe else f for f in RECIPE
        )
        object.__setattr__(self, "hyperparameters", fields)

    def check(self, options: Mapping[str, object]) -> dict[str, Value]:
        """Return `options` in canonical types; milestones may be numbers.

        Raises:
            InvalidInput: an unknown name (with the nearest valid ones) or a bad value.
        """
        given = options.get("milestones")
        if isinstance(given, float):
            options = {**options, "milestones": repr(given)}
        elif isinstance(given, list | tuple):
            texts = [repr(x) if isinstance(x, float) else x for x in given]
            options = {**options, "milestones": texts}
        checked = super().check(options)
        if isinstance(milestones := checked.get("milestones"), tuple):
            parse_milestones(milestones)
        return checked

    @property
    def model_reference(self) -> str:
        """What builds the model, ``module:name``; a file's path is absolute."""
        return _absolute(self.model, self.origin)

    def resolve_recipe(self, options: Mapping[str, object]) -> Recipe:
        """Return the recipe with `options` in place of the defaults; raises as `check`."""
        return Recipe.of(self.resolve(options))


def check_metric(task: Task, dataset: Dataset) -> None:
    """Check that a task ranks by a metric that its dataset's targets have.

    Raises:
        InvalidInput: accuracy of real numbers, say.
    """
    allowed = METRICS[dataset.kind]
    if task.metric not in allowed:
        what = {"real": "real targets", "text": "text"}.get(dataset.kind, "classes as targets")
        raise InvalidInput(
            f"task {task.name}: metric={task.metric!r}: dataset {dataset.name} has {what}: give "
            f"metric one of {', '.join(allowed)}"
        )
    if task.metric == "rmse" and dataset.classes > 1:
        raise InvalidInput(
            f"task {task.name}: metric='rmse': dataset {dataset.name} has {dataset.classes} "
            "targets, each in its own unit: give metric r2"
        )


def code_origins(task: Task, dataset: Dataset) -> list[str]:
    """Return the files and modules whose code a task and its dataset run, each once.

    They declare them, build the model, compare masks, and load the data.
    """
    references = [task.model_reference, task.compare, _absolute(dataset.load, dataset.origin)]
    for value in dataset.options.values():
        if isinstance(value, str) and REFERENCE.fullmatch(value):
            references.append(_absolute(value, dataset.origin))
    modules = [reference.rpartition(":")[0] for reference in references]
    origins = dict.fromkeys([task.origin, dataset.origin, *modules])
    return [origin for origin in origins if origin and not origin.endswith((".yaml", ".yml"))]


def _absolute(reference: str, origin: str) -> str:
    """Return ``file.py:name`` with the file's path relative to `origin` made absolute."""
    module, _, name = reference.rpartition(":")
    if module.endswith(".py") and not Path(module).is_absolute():
        return f"{Path(origin).parent / module}:{name}"
    return reference


def variant(task: Task, suffix: str, title: str, **changes: Any) -> Task:
    """Return the task under the name ``task@suffix``, with these changes.

    A ``recipe`` among the changes is merged into the task's own. ``@short`` is by convention a
    recipe that a CPU finishes in minutes, for a quick try.
    """
    recipe = {**task.recipe, **changes.pop("recipe", {})}
    return replace(
        task, name=f"{task.name}@{suffix}", title=f"{task.title}, {title}", recipe=recipe, **changes
    )
