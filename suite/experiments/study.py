"""A study: a set of trials with a question, from YAML. Imports no torch."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, StrictFloat, StrictInt, model_validator

from suite.core.declarations import Value, unknown
from suite.core.errors import InvalidInput
from suite.core.yaml_reader import read_yaml
from suite.experiments import registry
from suite.experiments.factors import Factor, combinations, factors_of
from suite.experiments.trial_config import Trial, validated

MAX_SEEDS = 1000
STUDIES = Path(__file__).with_name("studies")
"""The folder of the studies that are part of the project."""


class MethodEntry(BaseModel, frozen=True, extra="forbid"):
    """A method in a study, with its hyperparameters (`set`) and recipe fields there.

    `vary` makes it an ablation: hyperparameter → levels. One factor is varied at a time while the
    others keep their defaults, or, with `grid`, all combinations are run.
    """

    name: str
    set: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    vary: dict[str, tuple[Any, ...]] = {}
    grid: bool = False

    def factors(self) -> tuple[Factor, ...]:
        """Return the factors of `vary`.

        Raises:
            InvalidInput: as `factors_of`.
        """
        return factors_of(registry.methods()[self.name], self.set, self.vary)

    def variants(self) -> list[dict[str, Value]]:
        """Return the settings of each variant, in addition to `set`; the base comes first.

        Raises:
            InvalidInput: as `factors_of` and `combinations`.
        """
        return combinations(self.factors(), grid=self.grid)


class Study(BaseModel, frozen=True, extra="forbid"):
    """A set of trials with a question: every task × seed × sparsity × method.

    A method that takes no sparsity is run once per task and seed, one with levels to `vary` once
    for each variant. `controls_left_out` gives the reason for a missing control method. `trainer`
    names a published protocol that replaces the training loop. `execution` is how weights are
    stored. `plugins` are files with additional methods and tasks, as for ``--plugin``, with paths
    relative to the study's file.
    """

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
    execution: Literal["masked", "csr", "auto"] = "masked"
    trainer: str = ""
    controls_left_out: str = ""
    plugins: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        listed = given.get("sparsities")
        if isinstance(listed, list | tuple) and any(isinstance(one, bool) for one in listed):
            raise InvalidInput("sparsities: give numbers in [0, 1), not true or false")
        for field in ("tasks", "methods"):
            if isinstance(given.get(field), str):
                raise InvalidInput(f"{field}={given[field]}: give a list, e.g. [{given[field]}]")
        if isinstance(given.get("methods"), list):
            given["methods"] = [
                {"name": entry} if isinstance(entry, str) else entry for entry in given["methods"]
            ]
        if isinstance(given.get("seeds"), int) and not isinstance(given["seeds"], bool):
            if given["seeds"] > MAX_SEEDS:
                raise InvalidInput(f"seeds={given['seeds']}: give at most {MAX_SEEDS}")
            given["seeds"] = list(range(given["seeds"]))
        return given

    @classmethod
    def make(cls, /, **given: Any) -> "Study":
        """Return a validated study; raises `InvalidInput` with a one-line message."""
        what = f"study {given.get('name', '')}".strip()
        return validated(cls, given, what, "list studies")

    def trials(self) -> list[Trial]:
        """Return the trials without duplicates, in a fixed order (all methods of a cell together).

        Raises:
            InvalidInput: there are none, or one is invalid.
        """
        unique: dict[str, Trial] = {}
        variants = [(entry, varied) for entry in self.methods for varied in entry.variants()]
        cells = itertools.product(self.tasks, self.seeds, self.sparsities or (None,), variants)
        for task, seed, sparsity, (entry, varied) in cells:
            trial = self.trial(task, entry, sparsity, seed, varied)
            unique.setdefault(trial.key, trial)
        if not unique:
            raise InvalidInput(
                f"study {self.name} is empty: give at least one task, one method and one seed"
            )
        return list(unique.values())

    def trial(
        self,
        task: str,
        entry: MethodEntry,
        sparsity: float | None,
        seed: int,
        varied: Mapping[str, Value],
    ) -> Trial:
        """Return the trial of one variant of a method.

        Raises:
            InvalidInput: it is invalid, or has no sparsity.
        """
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
            hyperparameters={**entry.set, **varied},
            recipe=self.recipe | entry.recipe,
            **self.model_dump(include={"device", "precision", "threads", "execution", "trainer"}),
        )

    def missing_controls(self) -> list[str]:
        """Return the names of the control methods that are not in the study."""
        named = {entry.name for entry in self.methods}
        return [m.name for m in registry.methods() if m.control and m.name not in named]


def shipped_studies() -> list[str]:
    """Return the names of the studies that are part of the project."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def load_study(name_or_file: str) -> Study:
    """Return a shipped study by name, or one from a YAML file.

    Raises:
        InvalidInput: no such study or file, not YAML, or not a valid study.
    """
    shipped = name_or_file in shipped_studies()
    path = STUDIES / f"{name_or_file}.yaml" if shipped else Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        message = unknown("study", name_or_file, shipped_studies(), see="list studies")
        raise InvalidInput(f"{message}; a study of your own is a file that ends in .yaml")
    fields = "tasks, methods, sparsities, seeds, plugins"
    study = Study.make(**read_yaml(path, f"study {name_or_file}", fields))
    if study.plugins:
        registry.use_plugins([str(path.parent / plugin) for plugin in study.plugins])
    return study
