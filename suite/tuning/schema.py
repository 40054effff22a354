"""Pydantic models of a tuning: its configuration and its results. Imports no torch or Optuna."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, StrictInt, ValidationError, model_validator

from suite.core.declarations import check_once, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.results.metadata_store import (
    FORMATS,
    DamagedDocument,
    listed,
    load_document,
    save_document,
    validated,
)
from suite.results.store import Store
from tasks.task import METRICS

KIND = "tuning"
SCHEMA_VERSION = FORMATS[KIND].schema_version
MAXIMISED = {
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "r2": True,
    "rmse": False,
    "bits_per_character": False,
    "train_flops": False,
    "inference_flops": False,
}
"""Each objective, and whether it is maximised."""
PRUNED_BY = ("accuracy", "r2")
"""Objectives that are known after every epoch, so that a pruner can stop trials by them."""

SEEDS_FROM = 1000
"""First seed used while tuning, so that seeds 0, 1, … of reported results stay unseen."""

MAX_TRIALS = 100_000
MAX_SEEDS = 1000


ALLOWED = {
    "name": (
        "--name",
        "up to 100 characters of a-z, 0-9, '_', '.' and '-', the first one a letter or a digit",
    ),
    "budget": ("--budget", f"a whole number from 1 to {MAX_TRIALS}"),
    "seeds": ("--seeds", f"1 to {MAX_SEEDS}"),
    "final_seeds": ("--final-seeds", f"0 to {MAX_SEEDS}"),
    "sparsities": ("--sparsity", "fractions of zeros in [0, 1)"),
    "seed": ("--seed", f"a whole number from 0 to {2**31 - 1}"),
    "device": ("--device", "cpu or cuda"),
    "precision": ("--precision", "float32 or bfloat16"),
    "threads": ("--threads", "a whole number from 1 to 1024"),
}
"""The option that sets each field, and what is allowed."""


class TuningConfig(BaseModel, frozen=True, extra="forbid"):
    """The configuration of a tuning, the same for every method in it.

    Attributes:
        seeds: training seeds used while tuning.
        budget: number of configurations tried per method, including the default.
        sampler: proposes configurations.
        pruner: rule by which configurations are abandoned early.
        prune_after: whether the pruner decides after each seed, or after each epoch of a training.
        objectives: names from `MAXIMISED`; the first one decides the winner.
        seed: seed of the sampler.
        recipe: recipe fields changed in all trials.
        tuned_recipe: recipe fields that are tuned too.
        final_seeds: seeds on which the winner and the default are evaluated on the test split.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")
    tasks: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    sparsities: tuple[float, ...] = Field(min_length=1)
    seeds: tuple[StrictInt, ...] = Field(min_length=1)
    budget: StrictInt = Field(ge=1, le=MAX_TRIALS)
    sampler: Literal["tpe", "cmaes", "gp", "random", "qmc", "nsgaii"] = "tpe"
    pruner: Literal["none", "median", "hyperband"] = "none"
    prune_after: Literal["seed", "epoch"] = "seed"
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
        """Return a validated configuration.

        Raises:
            InvalidInput: an empty list, an unknown or repeated name, a number out of bounds, a
                pruner with another objective, or seeds used for both tuning and testing.
        """
        for field, what, valid in (
            ("tasks", "task", {task.name: task for task in registry.tasks()}),
            ("methods", "method", {method.name: method for method in registry.methods()}),
        ):
            _check_names(what, given.get(field, ()), valid)
        if given.get("objectives") is None:
            given["objectives"] = _usual_objectives(given["tasks"])
        _check_names("objective", given["objectives"], MAXIMISED)
        _check_objectives(given["objectives"], given["tasks"])
        check_once("sparsity", given.get("sparsities", ()))
        for field in ("sampler", "pruner", "prune_after"):
            if field in given:
                given[field] = _one_of(cls, field, str(given[field]))
        try:
            made = cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            field, value = str(first["loc"][0]), first["input"]
            option, allowed = ALLOWED.get(field, (f"tuning: {field}", first["msg"]))
            raise InvalidInput(f"{option} {value!s:.80}: give {allowed}") from None
        made._check_search()
        if shared := set(made.seeds) & set(made.final_seeds):
            raise InvalidInput(
                f"seeds {sorted(shared)} are used both for tuning and for the final test: "
                "the winner needs fresh ones"
            )
        return made

    def _check_search(self) -> None:
        """Refuse settings of sampler and pruner that contradict each other."""
        if self.pruner != "none" and (
            len(self.objectives) > 1 or self.objectives[0] not in PRUNED_BY
        ):
            raise InvalidInput(
                f"--pruner {self.pruner} stops trials by their {' or '.join(PRUNED_BY)}: give "
                "--objectives one of them alone, or leave the pruner out"
            )
        if self.pruner == "none" and self.prune_after == "epoch":
            raise InvalidInput(
                "--prune-after epoch: no --pruner is given that would stop a trial; give median or "
                "hyperband"
            )
        if self.pruner != "none" and self.prune_after == "seed" and len(self.seeds) == 1:
            raise InvalidInput(
                f"--pruner {self.pruner} with one seed per configuration prunes nothing: give "
                "--prune-after epoch, or more --seeds"
            )
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise InvalidInput(
                f"--sampler cmaes optimises one objective, not {', '.join(self.objectives)}: give "
                "one, or --sampler nsgaii"
            )


class Dimension(BaseModel, frozen=True, extra="forbid"):
    """One dimension of a search space: a range of numbers, or choices.

    Attributes:
        name: the sampler's name for it; ``NAME.kind`` chooses between a number and the keywords
            (such as ``auto``) that a hyperparameter accepts.
        parameter: the hyperparameter or recipe field that it sets.
        part: the part of a trial's settings that `parameter` belongs to.
        whole: whether the values are integers.
        when: (dimension, value): this one is searched only if that dimension has that value.
    """

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


class Candidate(BaseModel, extra="forbid", allow_inf_nan=False):
    """One configuration that was tried. Number 0 is the default.

    Attributes:
        parameters: the sampler's choice, by dimension.
        hyperparameters, recipe: the settings they stand for; everything else has its default.
        values: one per objective; empty if the trial was pruned or failed.
        curve: mean validation score after each seed or epoch (only with a pruner).
        keys: keys of its trials in the store; a training that was stopped has none.
        share: of a whole trial's training that it took.
        reason: why it failed.
    """

    number: StrictInt
    state: Literal["complete", "pruned", "failed"]
    parameters: dict[str, bool | int | float | str]
    hyperparameters: dict[str, Any]
    recipe: dict[str, Any]
    values: list[float] = []
    curve: list[float] = []
    keys: list[str] = []
    share: float = 1.0
    reason: str = ""


class Final(BaseModel, extra="forbid"):
    """Keys of the tested runs on fresh seeds, of the winner and of the default."""

    winner: list[str]
    default: list[str]

    @property
    def tuned(self) -> list[str]:
        """The winner's runs that are not the default's; empty if the default won."""
        return [key for key in self.winner if key not in self.default]


class PastWinner(BaseModel, extra="forbid"):
    """Keys of the tested runs of a configuration that was the winner at some budget.

    Attributes:
        budget: the smallest budget at which it won.
    """

    budget: StrictInt
    keys: list[str]


class MethodResult(BaseModel, extra="forbid", allow_inf_nan=False):
    """The results of one method's search.

    Attributes:
        revision: the method's revision.
        winner: number of the best trial by the first objective; None if none was completed.
        front: numbers of the trials on the Pareto front.
        importance: each dimension's share of the first objective's variance.
        final: None until this winner and the default have been run on fresh seeds.
        tried, pruned: number of configurations in `trials`, and of those abandoned early.
        spent: training taken by all of them, in whole trials; at most the budget. None for these
            three in documents of earlier versions.
        tested: all winners ever run on fresh seeds, including those of smaller budgets; their runs
            remain entries of a tuned method.
    """

    revision: StrictInt
    space: list[Dimension]
    trials: list[Candidate]
    winner: StrictInt | None = None
    front: list[StrictInt] = []
    importance: dict[str, float] = {}
    final: Final | None = None
    tried: StrictInt | None = None
    pruned: StrictInt | None = None
    spent: float | None = None
    tested: list[PastWinner] = []

    @property
    def best(self) -> Candidate | None:
        """The winning trial."""
        return next((trial for trial in self.trials if trial.number == self.winner), None)


class Tuning(BaseModel, extra="forbid"):
    """A tuning: its configuration and the results of each method.

    Attributes:
        run_before: by key of each tested run, whether it was in the store before, on its own or in
            a study, so that it is not the tuning's only. Empty in documents of earlier versions.
    """

    schema_version: StrictInt = SCHEMA_VERSION
    settings: TuningConfig
    versions: dict[str, str] = {}
    methods: dict[str, MethodResult]
    run_before: dict[str, bool] = {}

    @model_validator(mode="after")
    def _final_is_tested(self) -> "Tuning":
        """Add the winner's runs to `tested`; schema 1 has them only in `final`."""
        for result in self.methods.values():
            if result.final is not None and result.final.tuned:
                one = PastWinner(budget=self.settings.budget, keys=result.final.tuned)
                result.tested = merge_winners([*result.tested, one])
        return self

    def tuned_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of all winners' tested runs, each with the recipe fields that were tuned.

        A method whose default won has none: those runs count as the default's.
        """
        return {
            key: self.settings.tuned_recipe
            for result in self.methods.values()
            for one in result.tested
            for key in one.keys
        }


def merge_winners(tested: Iterable[PastWinner]) -> list[PastWinner]:
    """Merge winners that share a run: they are the same configuration."""
    merged: list[PastWinner] = []
    for one in tested:
        for place, other in enumerate(merged):
            if not set(other.keys).isdisjoint(one.keys):
                keys = list(dict.fromkeys([*other.keys, *one.keys]))
                merged[place] = PastWinner(budget=min(other.budget, one.budget), keys=keys)
                break
        else:
            merged.append(one)
    return merged


def check_same_settings(name: str, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Check that a stored search may be resumed with the given settings.

    Raises:
        InvalidInput: they differ; the message lists each difference, stored and given.
    """
    differing = [
        f"{key}: stored {stored.get(key, 'nothing')}, now {given.get(key, 'nothing')}"
        for key in sorted({*stored, *given})
        if stored.get(key) != given.get(key)
    ]
    if differing:
        raise InvalidInput(
            f"{name} was made under other settings ({'; '.join(differing)}): give them again, or "
            "another --name"
        )


def save_tuning(store: Store, tuning: Tuning) -> None:
    """Save a tuning to the store.

    Raises:
        StoreUnusable: it cannot be written.
    """
    save_document(store, KIND, tuning.settings.name, tuning.model_dump(mode="json"))


def load_tuning(store: Store, name: str) -> Tuning | None:
    """Return the stored tuning of that name, or None.

    Raises:
        InvalidInput: the file is damaged, or was written by a newer version.
    """
    content = load_document(store, KIND, name)
    return None if content is None else parse_tuning(store, name, content)


def load_tunings(store: Store) -> tuple[list[Tuning], list[DamagedDocument]]:
    """Return the tunings in a store, sorted by name, and those that are damaged."""
    return listed(store, KIND, parse_tuning)


def tuned_runs(tunings: Iterable[Tuning]) -> dict[str, tuple[str, ...]]:
    """Return `Tuning.tuned_keys` of several tunings, merged."""
    return {key: fields for one in tunings for key, fields in one.tuned_keys().items()}


def parse_tuning(store: Store, name: str, content: dict[str, Any]) -> Tuning:
    """Return the tuning that a document holds.

    Raises:
        Unreadable: it is none, or one of another name.
    """
    return validated(Tuning, store, KIND, name, content, lambda one: one.settings.name)


def _usual_objectives(tasks: Iterable[str]) -> tuple[str, ...]:
    """Return the metric that all tasks rank by.

    Raises:
        InvalidInput: they rank by different ones.
    """
    metrics = {name: registry.tasks()[name].metric for name in tasks}
    if len(set(metrics.values())) > 1:
        words = ", ".join(f"{name} by {metric}" for name, metric in metrics.items())
        raise InvalidInput(
            f"the tasks rank by different metrics ({words}), which have no common mean: tune them "
            "one by one"
        )
    return tuple(set(metrics.values()))


def _check_objectives(objectives: Iterable[str], tasks: Iterable[str]) -> None:
    """Check that every task has the metrics that are to be optimised."""
    for name in tasks:
        kind = registry.datasets()[registry.tasks()[name].dataset].kind
        for objective in objectives:
            others = objective not in {metric for names in METRICS.values() for metric in names}
            if not others and objective not in METRICS[kind]:
                raise InvalidInput(
                    f"--objectives {objective}: task {name} has {', '.join(METRICS[kind])}: give "
                    "one of them"
                )


def _one_of(model: type[BaseModel], field: str, name: str) -> str:
    """Return the choice of a field that a name stands for, as users of Optuna may write it.

    ``CMA-ES``, ``TPESampler`` and ``MedianPruner`` are ``cmaes``, ``tpe`` and ``median``.
    """
    choices = get_args(model.model_fields[field].annotation)
    plain = re.sub(r"[-_ ]|(sampler|pruner)$", "", name.lower())
    if plain not in choices:
        raise InvalidInput(unknown(field.replace("_", "-"), name, choices, see="tune --help"))
    return plain


def _check_names(what: str, given: Sequence[str], valid: Mapping[str, object]) -> None:
    if not given:
        raise InvalidInput(f"{what}s: the list is empty; give at least one")
    for name in given:
        if name not in valid:
            see = f"list {what}s" if what != "objective" else "tune --help"
            raise InvalidInput(unknown(what, name, valid, see=see))
    check_once(what, given)
