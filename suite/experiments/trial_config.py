"""A trial: validated, hashable by key. Imports no torch."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, StrictInt, ValidationError, model_validator

from suite.core.arguments import not_a_sparsity
from suite.core.code_files import OwnCode
from suite.core.declarations import Method, Value, unknown
from suite.core.errors import InvalidInput
from suite.core.layer_kinds import STANDARD_KINDS
from suite.experiments import registry
from suite.experiments.own_code import code_of, own_origins

if TYPE_CHECKING:
    from tasks.task import Dataset, Task

M = TypeVar("M", bound=BaseModel)

IDENTITY = ("task_revision", "dataset_revision", "method_revision", "task_digest")
"""What a key covers in addition to the settings."""
TRAINER = "trainer_revision"
"""What it also covers if the trial names a trainer."""
CODE = "code"
"""What it also covers if the trial runs code of the user's own (`OwnCode.digest`)."""
MAX_SEED = 2**31


class Trial(BaseModel, frozen=True, extra="forbid"):
    """One (task, method, sparsity, seed, settings): the unit of work, cache, failure and retry.

    `hyperparameters` and `recipe` hold only what differs from the defaults, in canonical types,
    so two ways of writing the same trial are equal and have the same key. A trial with
    ``evaluate="validation"`` (a tuner's search) never reads the test split: it is not a result.

    Raises (through `make`):
        InvalidInput: an unknown name or a value out of bounds.
    """

    task: str
    method: str
    sparsity: float = 0.0
    seed: StrictInt = Field(default=0, ge=0, lt=MAX_SEED)
    hyperparameters: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    execution: Literal["masked", "csr", "auto"] = Field(
        default="masked", exclude_if=lambda how: how == "masked"
    )
    processes: StrictInt = Field(default=1, ge=1, le=4096, exclude_if=lambda count: count == 1)
    evaluate: Literal["test", "validation"] = Field(
        default="test", exclude_if=lambda split: split == "test"
    )
    trainer: str = Field(default="", exclude_if=lambda name: not name)

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "task" not in given or "method" not in given:
            return given
        task, method = registry.tasks()[given["task"]], registry.methods()[given["method"]]
        sparsity = given.get("sparsity", 0.0)
        number = isinstance(sparsity, int | float) and not isinstance(sparsity, bool)
        if not number or not 0 <= sparsity < 1:
            raise not_a_sparsity("sparsity", sparsity)
        if method.dense and sparsity != 0:
            raise InvalidInput(f"sparsity={sparsity:g}: {method.name} takes none; leave it out")
        settings = {
            "hyperparameters": method.changed(given.get("hyperparameters", {})),
            "recipe": task.changed(given.get("recipe", {})),
        }
        if trainer := given.get("trainer"):
            registry.trainers()[trainer].check(task.name, method.name, sparsity, **settings)
            if given.get("processes", 1) != 1:
                raise InvalidInput(f"trainer {trainer} trains in one process: run without torchrun")
        return given | settings | {"sparsity": float(sparsity) + 0.0}  # -0.0 is 0.0

    @classmethod
    def make(cls, /, **given: Any) -> "Trial":
        """Return a validated trial; raises `InvalidInput` with a one-line message."""
        return validated(cls, given, "trial", "run --help")

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
        """Return the full configuration: every setting with its value, and the revisions.

        For a trial that names a trainer: only the settings that the protocol uses.
        """
        settings = {
            "hyperparameters": self.method_declaration.resolve(self.hyperparameters),
            "recipe": self.task_declaration.resolve(self.recipe),
        }
        if self.trainer:
            settings = registry.trainers()[self.trainer].followed(self.method, **settings)
        return {**self.model_dump(), **settings, **self._identity()}

    @property
    def key(self) -> str:
        """Name of this trial's folder in a store: 16 hexadecimal digits.

        A hash of the settings that differ from their defaults (so that adding an option
        changes no key), of what the result depends on in the machine (device, precision, threads),
        of the revisions of task, dataset and method, of what the task's declaration says (so
        that an edited task, or a different one of the same name, gives another key), and of the
        code that is not the suite's own.
        """
        return key_of(self.model_dump(), self._identity())

    def seeds(self) -> "TrialSeeds":
        """Return a maker of the same trial with other seeds."""
        return TrialSeeds(self)

    @property
    def code(self) -> OwnCode:
        """The user's own files that it runs, with their digests; none for the suite's own code."""
        return code_of(self.task, self.method, self.trainer)

    @property
    def own_origins(self) -> tuple[str, ...]:
        """The files and modules that declare and implement it, of those not the suite's own."""
        return own_origins(self.task, self.method, self.trainer)

    def _identity(self) -> dict[str, int | str]:
        task, dataset = self.task_declaration, self.dataset_declaration
        trainers = registry.trainers()
        trainer = {TRAINER: trainers[self.trainer].revision} if self.trainer else {}
        code = self.code.digest
        return {
            **trainer,
            **({CODE: code} if code else {}),
            "task_revision": task.revision,
            "dataset_revision": dataset.revision,
            "method_revision": self.method_declaration.revision,
            "task_digest": task_digest(task, dataset),
        }

    def describe(self) -> str:
        """Return a one-line description of the trial."""
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
        for option in ("device", "precision", "threads", "execution", "evaluate", "trainer"):
            value = getattr(self, option)
            if value != type(self).model_fields[option].default:
                words.append(f"--{option} {value}")
        if self.processes != 1:
            words[0] = f"torchrun --no-python --nproc-per-node {self.processes} {words[0]}"
        return " ".join(words)


class TrialSeeds:
    """Makes trials that differ in the seed only, and their keys.

    A study has up to a thousand seeds of each configuration. That is validated once, and all of the
    text that a key is the hash of but the seed is written once.
    """

    def __init__(self, trial: Trial) -> None:
        """Take a valid trial, whose own seed does not matter."""
        self._trial = trial
        content = _key_content(trial.model_dump(), trial._identity())
        texts = {name: f"{_canonical(name)}:{_canonical(content[name])}" for name in content}
        before = [texts[name] for name in sorted(texts) if name < "seed"]
        after = [texts[name] for name in sorted(texts) if name > "seed"]
        self._hash = hashlib.sha256(("{" + ",".join([*before, '"seed":'])).encode())
        self._after = ",".join(["", *after]) + "}"

    def trial(self, seed: int) -> Trial:
        """Return the trial of a seed.

        Raises:
            InvalidInput: it is not an integer, or out of bounds.
        """
        if type(seed) is not int or not 0 <= seed < MAX_SEED:
            return Trial.make(**{**self._trial.model_dump(), "seed": seed})
        return self._trial.model_copy(update={"seed": seed})

    def key(self, seed: int) -> str:
        """Return the key of the trial of a seed: `Trial.key`, byte for byte."""
        digest = self._hash.copy()
        digest.update(f"{seed}{self._after}".encode())
        return digest.hexdigest()[:16]


def key_of(trial: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """Return the key of a trial with these settings, revisions, and digests of its task and code.

    It is that of every trial that is written or checked; `TrialSeeds` computes it for many.
    """
    return hashlib.sha256(_canonical(_key_content(trial, identity)).encode()).hexdigest()[:16]


def _key_content(trial: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    names = (*IDENTITY, TRAINER) if trial.get("trainer") else IDENTITY
    names = (*names, CODE) if CODE in identity else names
    return {**trial, **{name: identity[name] for name in names}}


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def task_digest(task: "Task", dataset: "Dataset", recipe: Mapping[str, Any] | None = None) -> str:
    """Return a digest of what affects results in the declarations of a task and its dataset.

    `recipe` replaces the task's own (whose fields may have had other names in the past).
    """
    content = [
        [task.model, dict(task.model_options), dict(task.recipe if recipe is None else recipe)],
        [dataset.shape, dataset.classes, dataset.train, dataset.test],
        [dataset.mean, dataset.std, dataset.checksum],
    ]
    if dataset.regression:
        content.append(["targets", "real"])
    content += [[dataset.fingerprint]] if dataset.fingerprint else []
    if task.prunable != STANDARD_KINDS:
        content.append(["prunable", *task.prunable])
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def show(value: Value) -> str:
    """Return a hyperparameter's value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def validated(model: type[M], given: Mapping[str, Any], what: str, see: str) -> M:
    """Return user input as a validated model; `see` is the verb that shows more, if any does.

    Raises:
        InvalidInput: it cannot be used; one line.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        # A field that does not exist explains one that is missing: "task" for "tasks".
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InvalidInput):
            raise cause from None
        *above, last = first["loc"] or ("",)
        place = ": ".join([what, *_place(given, above)])
        if first["type"] == "extra_forbidden" and not above:
            message = unknown("field", str(last), model.model_fields, of=what, see=see)
        elif first["type"] == "extra_forbidden":
            known = _model_at(model, above).model_fields
            message = f"{place}: {unknown('field', str(last), known)}"
        elif first["type"] == "missing":
            message = f"{place}: '{last}' is missing"
        elif isinstance(last, int):
            message = f"{place}: {first['input']!r:.80} is not usable: {allowed(first)}"
        else:
            value = f"{last!s:.80}={first['input']!r:.80}"
            message = f"{place}: {value} is not usable: {allowed(first)}"
        raise InvalidInput(message) from None


def _place(given: Any, path: Sequence[int | str]) -> Iterator[str]:
    """Yield the fields that lead to a value; an entry of a list by its name, else its number."""
    for part in path:
        try:
            given = given[part]
        except (LookupError, TypeError):
            given = None
        if isinstance(part, str):
            yield f"{part:.80}"
        elif isinstance(given, Mapping):
            named = isinstance(given.get("name"), str)
            yield f"{given['name']:.80}" if named else f"entry {part + 1}"


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel]:
    """Return the model of the mapping at a place in a model's input."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            kinds = [model.model_fields[part].annotation]
            while kinds:
                kind = kinds.pop()
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    model = kind
                    break
                kinds += get_args(kind)
    return model


KINDS = {
    "int": "an integer", "float": "a number", "bool": "true or false", "string": "a text",
    "list": "a list", "tuple": "a list", "dict": "a mapping of names",
}  # fmt: skip


PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]*$": "small letters, digits, - and _, beginning with a letter or digit",
}
_COUNTED = {"string_too_long": "characters", "string_too_short": "characters"}


def allowed(error: Any) -> str:
    """Return in words what pydantic would have accepted, given one of its errors."""
    about, kind = error.get("ctx", {}), error["type"]
    bounds = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
    for name, words in bounds.items():
        if name in about:
            return f"give {words.format(about[name])}"
    if kind == "literal_error":
        return f"give {str(about['expected']).replace(chr(39), '')}"
    for name, words in (("min_length", "at least {}"), ("max_length", "at most {}")):
        if name in about:
            return f"give {words.format(about[name])} {_COUNTED.get(kind, 'of them')}"
    if kind == "tuple_type" and isinstance(error["input"], str | int | float):
        return f"give a list, e.g. [{error['input']!s:.40}]"
    if kind == "string_pattern_mismatch":
        return f"give {PATTERNS.get(about['pattern'], 'a text like ' + about['pattern'])}"
    if kind.partition("_")[0] in KINDS and kind.endswith(("_type", "_parsing", "_from_float")):
        return f"give {KINDS[kind.partition('_')[0]]}"
    return str(error["msg"]).splitlines()[0].removeprefix("Value error, ")
