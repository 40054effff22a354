"""What a task is: data + model + training recipe + metric, declared without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from suite.declare import Configurable, Declared, Hyperparameter, Search

RECIPE = (
    Hyperparameter("epochs", int, 10, "passes over the training data", low=1, unit="epochs"),
    Hyperparameter(
        "batch_size",
        int,
        128,
        "examples per step; the last, incomplete batch of an epoch is left out",
        low=1,
        unit="examples",
    ),
    Hyperparameter("optimizer", str, "sgd", "optimizer", choices=("sgd", "adam", "adamw")),
    Hyperparameter(
        "learning_rate",
        float,
        0.1,
        "peak learning rate",
        low=0.0,
        search=Search(low=1e-4, high=1.0, log=True),
    ),
    Hyperparameter("momentum", float, 0.9, "momentum of sgd", low=0.0, below=1.0),
    Hyperparameter("nesterov", bool, False, "Nesterov momentum for sgd"),
    Hyperparameter(
        "weight_decay",
        float,
        0.0,
        "L2 coefficient (decoupled under adamw)",
        low=0.0,
        search=Search(low=1e-6, high=1e-2, log=True),
    ),
    Hyperparameter(
        "schedule",
        str,
        "cosine",
        "learning rate over training: constant, or a half cosine to zero",
        choices=("constant", "cosine"),
    ),
    Hyperparameter(
        "warmup", float, 0.0, "linear warm-up", low=0.0, below=1.0, unit="share of training"
    ),
    Hyperparameter(
        "clip_norm", float, 0.0, "clip the gradient's norm to this; 0 does not clip", low=0.0
    ),
    Hyperparameter(
        "label_smoothing", float, 0.0, "label smoothing of the loss", low=0.0, below=1.0
    ),
    Hyperparameter(
        "validation",
        float,
        0.1,
        "share of the training data held out for validation, stratified; 0 trains on all of it",
        low=0.0,
        below=1.0,
    ),
)


@dataclass(frozen=True)
class Dataset(Declared):
    """Data in memory: a train and a test split of examples with class labels.

    Attributes:
        load: ``module:function`` (or ``:function`` in the declaring file) of a function
            Dataset → `tasks.pipeline.Arrays`.
        shape: of one example.
        classes: number of classes.
        train, test: number of examples.
        mean, std: per channel, of inputs scaled to [0, 1].
        checksum: SHA-256 of the arrays (`tasks.pipeline.checksum`), empty if not fixed.
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
    checksum: str = field(default="", kw_only=True)
    licence: str = field(default="", kw_only=True)
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)


@dataclass(frozen=True)
class Task(Declared, Configurable):
    """A dataset, a model and how it is trained; named ``dataset/model``.

    Attributes:
        dataset: name of a declared dataset.
        model: ``module:function`` of a function (shape, classes, **model_options) → nn.Module.
        recipe: what differs from the defaults of `RECIPE`. Every field can be overridden in a
            trial.
        metric: what the leaderboard ranks by.
    """

    title: str = field(kw_only=True)
    dataset: str = field(kw_only=True)
    model: str = field(kw_only=True)
    model_options: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    metric: str = field(default="accuracy", kw_only=True)
    setting: ClassVar[str] = "recipe field"
    hyperparameters: tuple[Hyperparameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        unknown = set(self.recipe) - {field.name for field in RECIPE}
        if unknown:
            raise TypeError(f"task {self.name}: no such recipe field: {sorted(unknown)}")
        fields = tuple(
            replace(f, default=self.recipe[f.name]) if f.name in self.recipe else f for f in RECIPE
        )
        object.__setattr__(self, "hyperparameters", fields)
