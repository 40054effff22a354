"""Trials and studies: validated, hashable by key, YAML in and out. Imports no torch."""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_validator,
)

from suite import registry
from suite.declare import Method, Value, unknown
from suite.errors import InvalidInput

if TYPE_CHECKING:
    from tasks.task import Dataset, Task

M = TypeVar("M", bound=BaseModel)

MOST_SEEDS = 1000
MOST_VALUES = 100_000
IDENTITY = ("task_revision", "dataset_revision", "method_revision", "task_digest")
"""What a key covers beside the settings."""


class Trial(BaseModel):
    """One (task, method, sparsity, seed, settings): the unit of work, cache, failure and retry.

    `hyperparameters` and `recipe` hold only what differs from the defaults, in canonical types,
    whatever was given: two ways to write the same trial are equal and have the same key.

    Raises (through `make`):
        InvalidInput: an unknown name or a value out of bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    method: str
    sparsity: float = 0.0
    seed: StrictInt = Field(default=0, ge=0, lt=2**31)
    hyperparameters: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    execution: Literal["masked", "csr", "auto"] = Field(
        default="masked", exclude_if=lambda how: how == "masked"
    )
    processes: StrictInt = Field(default=1, ge=1, le=4096, exclude_if=lambda count: count == 1)

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "task" not in given or "method" not in given:
            return given
        task, method = registry.tasks()[given["task"]], registry.methods()[given["method"]]
        sparsity = given.get("sparsity", 0.0)
        if isinstance(sparsity, bool) or not isinstance(sparsity, int | float):
            raise InvalidInput(f"sparsity={sparsity!r} is not usable: give a number in [0, 1)")
        if not 0 <= sparsity < 1:
            shown = f"{sparsity:g}" if isinstance(sparsity, float) else f"{sparsity!r:.40}"
            raise InvalidInput(f"sparsity={shown} is not usable: give a number in [0, 1)")
        if method.dense and sparsity != 0:
            raise InvalidInput(f"sparsity={sparsity:g}: {method.name} takes none; leave it out")
        return given | {
            "sparsity": float(sparsity) + 0.0,  # -0.0 is 0.0
            "hyperparameters": method.changed(given.get("hyperparameters", {})),
            "recipe": task.changed(given.get("recipe", {})),
        }

    @classmethod
    def make(cls, /, **given: Any) -> "Trial":
        """Return a validated trial; every complaint is one line of `InvalidInput`."""
        return _validated(cls, given, "trial")

    @property
    def task_declaration(self) -> "Task":
        """The declared task."""
        return registry.tasks()[self.task]

    @property
    def dataset_declaration(self) -> "Dataset":
        """The declared dataset of the task."""
        return registry.datasets()[self.task_declaration.dataset]

    @property
    def method_declaration(self) -> Method:
        """The declared method."""
        return registry.methods()[self.method]

    def resolved(self) -> dict[str, Any]:
        """Return the full configuration: every setting with its value, and the revisions."""
        return {
            **self.model_dump(),
            "hyperparameters": self.method_declaration.resolve(self.hyperparameters),
            "recipe": self.task_declaration.resolve(self.recipe),
            **self._identity(),
        }

    @property
    def key(self) -> str:
        """Name of this trial's folder in a store: 16 hexadecimal digits.

        A hash of the settings that differ from their defaults (so that a new option invalidates
        nothing), of what the result depends on in the machine (device type, precision, threads),
        of the revisions of task, dataset and method, and of what the task's declaration says (so
        that an edited task, or another one of its name, is another trial).
        """
        return key_of(self.model_dump(), self._identity())

    def _identity(self) -> dict[str, int | str]:
        task, dataset = self.task_declaration, self.dataset_declaration
        return {
            "task_revision": task.revision,
            "dataset_revision": dataset.revision,
            "method_revision": self.method_declaration.revision,
            "task_digest": task_digest(task, dataset),
        }

    def describe(self) -> str:
        """Return the trial in one line of words."""
        words = [self.task, self.method]
        if not self.method_declaration.dense:
            words.append(f"s={self.sparsity:g}")
        words.append(f"seed={self.seed}")
        words += [f"{n}={show(v)}" for n, v in (self.hyperparameters | self.recipe).items()]
        return " ".join(words)

    def command(self) -> str:
        """Return the command that runs this trial again."""
        words = ["resonance run", self.task, self.method]
        if not self.method_declaration.dense:
            words.append(f"-s {self.sparsity!r}")
        words.append(f"--seed {self.seed}")
        for option, settings in (("--set", self.hyperparameters), ("--recipe", self.recipe)):
            words += [f"{option} {shlex.quote(f'{n}={show(v)}')}" for n, v in settings.items()]
        if self.device != "cpu":
            words.append(f"--device {self.device}")
        if self.precision != "float32":
            words.append(f"--precision {self.precision}")
        if self.threads != 1:
            words.append(f"--threads {self.threads}")
        if self.execution != "masked":
            words.append(f"--execution {self.execution}")
        if self.processes != 1:
            words[0] = f"torchrun --nproc-per-node {self.processes} -m suite.training"
        return " ".join(words)


def key_of(trial: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """Return the key of a trial with these settings, revisions and digest of its task.

    The only function that computes it, for who writes a record and for who checks one.
    """
    content = {**trial, **{name: identity[name] for name in IDENTITY}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def task_digest(task: "Task", dataset: "Dataset") -> str:
    """Return a digest of what a task's and its dataset's declarations say that matters."""
    said = [
        [task.model, dict(task.model_options), dict(task.recipe)],
        [dataset.shape, dataset.classes, dataset.train, dataset.test],
        [dataset.mean, dataset.std, dataset.checksum],
    ]
    if dataset.fingerprint:
        said.append([dataset.fingerprint])
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def show(value: Value) -> str:
    """Return a hyperparameter's value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


class MethodEntry(BaseModel):
    """A method in a study, with the hyperparameters that the study changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    set: dict[str, Any] = {}


class Study(BaseModel):
    """A set of trials with a question: every task × seed × sparsity × method.

    A method that takes no sparsity is run once per task and seed. `controls_left_out` says why a
    control method is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    question: str
    tasks: tuple[str, ...]
    methods: tuple[MethodEntry, ...]
    sparsities: tuple[StrictFloat, ...] = ()
    seeds: tuple[StrictInt, ...]
    recipe: dict[str, Any] = {}
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    controls_left_out: str = ""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        if any(isinstance(value, bool) for value in _items(given.get("sparsities"))):
            raise InvalidInput("sparsities: give numbers in [0, 1), not true or false")
        if isinstance(given.get("methods"), list):
            given["methods"] = [
                {"name": entry} if isinstance(entry, str) else entry for entry in given["methods"]
            ]
        if isinstance(given.get("seeds"), int) and not isinstance(given["seeds"], bool):
            if given["seeds"] > MOST_SEEDS:
                raise InvalidInput(f"seeds={given['seeds']}: give at most {MOST_SEEDS}")
            given["seeds"] = list(range(given["seeds"]))
        return given

    @classmethod
    def make(cls, /, **given: Any) -> "Study":
        """Return a validated study; every complaint is one line of `InvalidInput`."""
        return _validated(cls, given, f"study {given.get('name', '')}".strip())

    def trials(self) -> list[Trial]:
        """Return the trials, each once, in a fixed order (all methods of a cell together).

        Raises:
            InvalidInput: there is none, or one is not valid.
        """
        found: dict[str, Trial] = {}
        for task in self.tasks:
            for seed in self.seeds:
                for sparsity in self.sparsities or (None,):
                    for entry in self.methods:
                        trial = self._trial(task, entry, sparsity, seed)
                        found.setdefault(trial.key, trial)
        if not found:
            raise InvalidInput(
                f"study {self.name} is empty: give at least one task, one method and one seed"
            )
        return list(found.values())

    def _trial(self, task: str, entry: MethodEntry, sparsity: float | None, seed: int) -> Trial:
        dense = registry.methods()[entry.name].dense
        if sparsity is None and not dense:
            raise InvalidInput(
                f"study {self.name}: {entry.name} needs a sparsity; list some under 'sparsities'"
            )
        return Trial.make(
            task=task,
            method=entry.name,
            sparsity=0.0 if dense or sparsity is None else sparsity,
            seed=seed,
            hyperparameters=entry.set,
            recipe=self.recipe,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
        )

    def missing_controls(self) -> list[str]:
        """Return the control methods that exist but are not in the study."""
        named = {entry.name for entry in self.methods}
        return [m.name for m in registry.methods() if m.control and m.name not in named]


def shipped_studies() -> list[str]:
    """Return the names of the studies that come with the project."""
    folder = resources.files("suite") / "studies"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def load_study(name_or_file: str) -> Study:
    """Return a shipped study by name, or one from a YAML file.

    Raises:
        InvalidInput: no such study or file, not YAML, or not a valid study.
    """
    if name_or_file in shipped_studies():
        source = resources.files("suite") / "studies" / f"{name_or_file}.yaml"
        return Study.make(**_mapping(source.read_text(encoding="utf-8"), name_or_file))
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        raise InvalidInput(unknown("study", name_or_file, shipped_studies(), see="list studies")
                           + "; a study of your own is a file that ends in .yaml")  # fmt: skip
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"study file {path} cannot be read: {error}") from error
    return Study.make(**_mapping(text, name_or_file))


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without the silent loss of a field that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; a repeated key is an error."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice")
        return super().construct_mapping(node, deep)


def _values(content: Any, known: dict[int, float]) -> float:
    """Return how many values YAML stands for, each alias written out; no end if it is in itself."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        known[id(content)] = math.inf
        parts = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(content)]


def _mapping(text: str, name: str) -> Mapping[str, Any]:
    try:
        content = yaml.load(text, Loader=_Loader)
        if (count := _values(content, {})) > MOST_VALUES:
            raise InvalidInput(
                f"study {name}: its aliases stand for {count:g} values, at most {MOST_VALUES:,} "
                "are usable: write out what it needs"
            )
    except (yaml.YAMLError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise InvalidInput(f"study {name} is not valid YAML: {line}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InvalidInput(
            f"study {name}: expected a mapping with tasks, methods, sparsities, seeds"
        )
    return content


def _validated(model: type[M], given: Mapping[str, Any], what: str) -> M:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        # A field that does not exist explains one that is missing: "task" for "tasks".
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InvalidInput):
            raise cause from None
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            message = unknown(
                "field",
                place,
                model.model_fields,
                of=what,
                see="list studies" if model is Study else "run --help",
            )
        elif first["type"] == "missing":
            message = f"{what}: '{place}' is missing"
        else:
            message = f"{what}: {place}={first['input']!r}: {first['msg']}"
        raise InvalidInput(message) from None
