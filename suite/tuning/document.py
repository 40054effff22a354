"""What a tuning is asked and what it found: small models, read without torch and Optuna."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from suite.core.declarations import check_once, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.results.metadata_store import documents, load_document, save_document
from suite.results.store import Store

KIND = "tuning"
SCHEMA_VERSION = 2
SAMPLERS = ("tpe", "random", "qmc", "gp", "nsgaii")
PRUNERS = ("none", "median", "hyperband")
MAXIMISED = {"accuracy": True, "train_flops": False, "inference_flops": False}
"""The objectives, and whether more is better."""

SEEDS_FROM = 1000
"""Tuning's seeds count from here, so that seeds 0, 1, … of reported results stay fresh."""

MAX_TRIALS = 100_000
MAX_SEEDS = 1000


class TuningConfig(BaseModel):
    """What a tuning is asked: the same for every method that it names.

    Attributes:
        seeds: of the trainings that are looked at while tuning.
        budget: configurations tried per method, the default among them.
        objectives: by name (`MAXIMISED`); the first one decides who wins.
        seed: of the sampler.
        recipe: what all trials change of their tasks' recipes.
        tuned_recipe: fields of the recipe that are tuned as well.
        final_seeds: of the runs of winner and default that are tested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")
    tasks: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    sparsities: tuple[float, ...] = Field(min_length=1)
    seeds: tuple[StrictInt, ...] = Field(min_length=1)
    budget: StrictInt = Field(ge=1, le=MAX_TRIALS)
    sampler: Literal["tpe", "random", "qmc", "gp", "nsgaii"] = "tpe"
    pruner: Literal["none", "median", "hyperband"] = "none"
    objectives: tuple[str, ...] = Field(default=("accuracy",), min_length=1)
    seed: StrictInt = Field(default=0, ge=0, lt=2**31)
    recipe: dict[str, Any] = {}
    tuned_recipe: tuple[str, ...] = ()
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: StrictInt = Field(default=1, ge=1, le=1024)
    final_seeds: tuple[StrictInt, ...] = tuple(range(5))

    @classmethod
    def make(cls, **given: Any) -> "TuningConfig":
        """Return checked settings.

        Raises:
            InvalidInput: an empty list, a name that does not exist or is given twice, a number out
                of bounds, a pruner with another objective, or seeds that are not fresh.
        """
        for field, what, valid in (
            ("tasks", "task", {task.name: task for task in registry.tasks()}),
            ("methods", "method", {method.name: method for method in registry.methods()}),
            ("objectives", "objective", MAXIMISED),
        ):
            _check_names(what, given.get(field, ("accuracy",)), valid)
        check_once("sparsity", given.get("sparsities", ()))
        for field, what, allowed in (
            ("sampler", "sampler", SAMPLERS),
            ("pruner", "pruner", PRUNERS),
        ):
            if (name := given.get(field, allowed[0])) not in allowed:
                raise InvalidInput(f"--{what} {name}: give one of {', '.join(allowed)}")
        try:
            made = cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise InvalidInput(f"tuning: {place}={first['input']!r:.80}: {first['msg']}") from None
        if made.pruner != "none" and made.objectives != ("accuracy",):
            raise InvalidInput(
                f"--pruner {made.pruner} stops trials by their accuracy: give --objectives "
                "accuracy alone, or leave the pruner out"
            )
        if shared := set(made.seeds) & set(made.final_seeds):
            raise InvalidInput(
                f"seeds {sorted(shared)} are both tuned on and tested: the winner needs fresh ones"
            )
        return made


class Dimension(BaseModel):
    """One dimension of a search space: a range of numbers, or choices.

    Attributes:
        name: its name for the sampler; ``NAME.kind`` chooses between a number and the words that a
            hyperparameter allows beside numbers.
        parameter: the hyperparameter or recipe field that it belongs to.
        part: where that stands in a trial.
        whole: whether the numbers are integers.
        when: the dimension and its value under which this one is searched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameter: str
    part: Literal["hyperparameters", "recipe"] = "hyperparameters"
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    whole: bool = False
    choices: tuple[bool | int | float | str, ...] = ()
    when: tuple[str, bool | int | float | str] | None = None

    def __str__(self) -> str:
        if self.choices:
            text = "one of " + ", ".join(map(str, self.choices))
        else:
            text = f"{self.low:g} to {self.high:g}" + (", logarithmic" if self.log else "")
            text += f" in steps of {self.step:g}" if self.step else ""
        return text + (f", where {self.when[0]} is {self.when[1]}" if self.when else "")


class Tried(BaseModel):
    """One configuration that was tried. Number 0 is the default.

    Attributes:
        parameters: what the sampler chose, by dimension.
        hyperparameters, recipe: what they mean for a trial; what is not there has its default.
        values: of the objectives; none where the trial was pruned or failed.
        curve: the validation accuracy as more seeds had been trained (where there is a pruner).
        keys: of its trials in the store.
        reason: of a failure.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    number: StrictInt
    state: Literal["complete", "pruned", "failed"]
    parameters: dict[str, bool | int | float | str]
    hyperparameters: dict[str, Any]
    recipe: dict[str, Any]
    values: list[float] = []
    curve: list[float] = []
    keys: list[str] = []
    reason: str = ""


class Final(BaseModel):
    """The runs on fresh seeds that were tested, by key, of winner and default."""

    model_config = ConfigDict(extra="forbid")

    winner: list[str]
    default: list[str]

    @property
    def tuned(self) -> list[str]:
        """The winner's runs; none where the default won, whose runs they are then."""
        return [key for key in self.winner if key not in self.default]


class PastWinner(BaseModel):
    """The tested runs of a configuration that won once, by key.

    Attributes:
        budget: the smallest with which it won.
    """

    model_config = ConfigDict(extra="forbid")

    budget: StrictInt
    keys: list[str]


class Tuned(BaseModel):
    """What was found for one method.

    Attributes:
        revision: of the method.
        winner: number of the best trial by the first objective; None where none was completed.
        front: numbers of the trials that no other is better than in every objective.
        importance: fraction of each dimension in the variance of the first objective.
        final: None until this winner and the default have been run on fresh seeds.
        tested: all winners that were ever run on fresh seeds, those of smaller budgets too: their
            runs stay those of a tuner.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    revision: StrictInt
    space: list[Dimension]
    trials: list[Tried]
    winner: StrictInt | None = None
    front: list[StrictInt] = []
    importance: dict[str, float] = {}
    final: Final | None = None
    tested: list[PastWinner] = []

    @property
    def best(self) -> Tried | None:
        """The winning trial."""
        return next((trial for trial in self.trials if trial.number == self.winner), None)


class Tuning(BaseModel):
    """A tuning: what it was asked, and what it found by method."""

    model_config = ConfigDict(extra="forbid")

    schema_version: StrictInt = SCHEMA_VERSION
    settings: TuningConfig
    versions: dict[str, str] = {}
    methods: dict[str, Tuned]

    @model_validator(mode="after")
    def _final_is_tested(self) -> "Tuning":
        """Count the winner's runs among the tested ones; schema 1 has them in `final` alone."""
        for found in self.methods.values():
            if found.final is not None and found.final.tuned:
                one = PastWinner(budget=self.settings.budget, keys=found.final.tuned)
                found.tested = together([*found.tested, one])
        return self

    def tuned_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the tested runs of all winners, each with the recipe fields it tuned.

        A method whose default won has none: those runs are the default's.
        """
        return {
            key: self.settings.tuned_recipe
            for found in self.methods.values()
            for one in found.tested
            for key in one.keys
        }


def together(tested: Iterable[PastWinner]) -> list[PastWinner]:
    """Return tested winners once each: those that share a run are the same configuration."""
    found: list[PastWinner] = []
    for one in tested:
        for place, other in enumerate(found):
            if not set(other.keys).isdisjoint(one.keys):
                keys = list(dict.fromkeys([*other.keys, *one.keys]))
                found[place] = PastWinner(budget=min(other.budget, one.budget), keys=keys)
                break
        else:
            found.append(one)
    return found


def refuse_other(what: str, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with what was asked something else.

    Raises:
        InvalidInput: the two differ; it says in what, as it was and is.
    """
    differing = [
        f"{key}: stored {stored.get(key, 'nothing')}, now {asked.get(key, 'nothing')}"
        for key in sorted({*stored, *asked})
        if stored.get(key) != asked.get(key)
    ]
    if differing:
        raise InvalidInput(
            f"{what} was made under other settings ({'; '.join(differing)}): give them again, or "
            "another --name"
        )


def save_tuning(store: Store, tuning: Tuning) -> None:
    """Keep a tuning's document in the store.

    Raises:
        StoreUnusable: it cannot be written.
    """
    save_document(store, KIND, tuning.settings.name, tuning.model_dump(mode="json"))


def load_tuning(store: Store, name: str) -> Tuning | None:
    """Return the tuning of that name; None where there is none.

    Raises:
        InvalidInput: the document is damaged, or written by a newer program.
    """
    content = load_document(store, KIND, name)
    return None if content is None else _read(store, name, content)


def tunings(store: Store) -> list[Tuning]:
    """Return all tunings of a store, by name; raises as `load_tuning` does."""
    return [_read(store, name, content) for name, content in documents(store, KIND).items()]


def tuned_runs(found: Iterable[Tuning]) -> dict[str, tuple[str, ...]]:
    """Return what `Tuning.tuned_keys` says, of several tunings together."""
    return {key: fields for one in found for key, fields in one.tuned_keys().items()}


def _read(store: Store, name: str, content: Any) -> Tuning:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InvalidInput(
            f"{store.location}/{KIND}/{name}.json has schema version {version}, this program reads "
            f"up to {SCHEMA_VERSION}: update resonance-bench"
        )
    try:
        return Tuning.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(
            f"{store.location}/{KIND}/{name}.json is no tuning that this program reads: delete it "
            "and run `resonance tune` again, which goes on from what was tried"
        ) from error


def _check_names(what: str, given: Sequence[str], valid: Mapping[str, object]) -> None:
    if not given:
        raise InvalidInput(f"{what}s: the list is empty; give at least one")
    for name in given:
        if name not in valid:
            see = f"list {what}s" if what != "objective" else "tune --help"
            raise InvalidInput(unknown(what, name, valid, see=see))
    check_once(what, given)
