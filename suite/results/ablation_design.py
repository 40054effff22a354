"""The design of an ablation: cells of trials, stored beside them. Imports no torch.

The design holds the keys of its trials, so a reader needs neither the method's declaration nor the
revision it had.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, StrictInt, model_validator

from suite.core.declarations import check_once
from suite.core.errors import InvalidInput
from suite.experiments.study import MethodEntry, Study, TaskEntry
from suite.experiments.trial_config import show
from suite.results.metadata_store import (
    FORMATS,
    DamagedDocument,
    listed,
    save_document,
    validated,
)
from suite.results.store import Store

KIND = "ablation"
SCHEMA_VERSION = FORMATS[KIND].schema_version


def label(levels: Mapping[str, str]) -> str:
    """Return settings as text: ``window=8 cooldown=0``."""
    return " ".join(f"{name}={level}" for name, level in levels.items())


class Levels(BaseModel, frozen=True, extra="forbid"):
    """A factor of a design: its levels as text, and which of them is the base."""

    name: str
    levels: tuple[str, ...]
    base: str


class Setting(BaseModel, frozen=True, extra="forbid"):
    """One cell of a design: a level of every factor, and its trials' keys by seed."""

    levels: dict[str, str]
    trials: dict[int, str]

    @property
    def label(self) -> str:
        """The levels as text."""
        return label(self.levels)


class Design(BaseModel, frozen=True, extra="forbid"):
    """One method on one task at one sparsity, and what is varied.

    Attributes:
        fixed: hyperparameters and recipe fields that all cells set, as text.
        cells: the base first.
    """

    task: str
    method: str
    sparsity: float
    fixed: dict[str, str]
    factors: tuple[Levels, ...]
    grid: bool
    cells: tuple[Setting, ...]

    @model_validator(mode="after")
    def _whole(self) -> "Design":
        levels = {factor.name: set(factor.levels) for factor in self.factors}
        for cell in self.cells:
            if (
                cell.levels.keys() != levels.keys()
                or not cell.trials
                or any(level not in levels[name] for name, level in cell.levels.items())
            ):
                raise ValueError(f"cell '{cell.label}' does not match its factors and seeds")
        if not self.cells or self.cells[0].levels != self.base:
            raise ValueError("the first cell is not the base")
        different = {frozenset(cell.levels.items()) for cell in self.cells}
        if len(different) < len(self.cells) or len(levels) < len(self.factors):
            raise ValueError("a cell or a factor is there twice")
        if self.grid and len(different) != math.prod(map(len, levels.values())):
            raise ValueError("a cell of the grid is missing")
        return self

    @property
    def base(self) -> dict[str, str]:
        """The base's level of each factor."""
        return {factor.name: factor.base for factor in self.factors}

    @property
    def title(self) -> str:
        """Method, task, sparsity and fixed settings as text."""
        settings = label(self.fixed)
        return f"{self.method} on {self.task}, sparsity {self.sparsity:g}" + (
            f" ({settings})" if settings else ""
        )


class Ablation(BaseModel, frozen=True, extra="forbid"):
    """A study with factors, as it is stored.

    Attributes:
        study: its definition, as in YAML.
        designs: one per task, sparsity and method with levels to vary.
    """

    schema_version: StrictInt = SCHEMA_VERSION
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    question: str
    study: dict[str, Any]
    designs: tuple[Design, ...]


def ablation_of(study: Study) -> Ablation:
    """Return the designs of a study.

    Raises:
        InvalidInput: it varies nothing, names a task twice (which would give two designs of
            the same name), or is not a valid study.
    """
    check_once("task", [task.name for task in study.tasks])
    designs = tuple(
        _design(study, task, entry.on(task.name), sparsity)
        for task in study.tasks
        for sparsity in study.sparsities or (None,)
        for entry in study.methods
        if entry.vary and entry.runs_on(task.name)
    )
    if not designs:
        raise InvalidInput(
            f"study {study.name} varies nothing: give a method in it levels to 'vary', or run it "
            f"with `resonance study`"
        )
    definition = study.model_dump(mode="json", exclude_defaults=True)
    return Ablation(name=study.name, question=study.question, study=definition, designs=designs)


def _design(study: Study, task: TaskEntry, entry: MethodEntry, sparsity: float | None) -> Design:
    cells = []
    for varied in entry.variants():
        trials = [study.trial(task, entry, sparsity, seed, varied) for seed in study.seeds]
        levels = {name: show(level) for name, level in varied.items()}
        cells.append(Setting(levels=levels, trials={t.seed: t.key for t in trials}))
    fixed = entry.set | study.recipe | task.recipe | entry.recipe
    return Design(
        task=task.name,
        method=entry.name,
        sparsity=trials[0].sparsity,
        fixed={name: show(value) for name, value in fixed.items()},
        factors=tuple(
            Levels(name=f.name, levels=tuple(map(show, f.levels)), base=show(f.base))
            for f in entry.factors()
        ),
        grid=entry.grid,
        cells=tuple(cells),
    )


def save(store: Store, ablation: Ablation) -> None:
    """Store an ablation, or replace an older one of its name.

    Raises:
        InvalidInput: its name is not a plain file name.
        StoreUnusable: it cannot be written.
    """
    save_document(store, KIND, ablation.name, ablation.model_dump(mode="json"))


def ablations(store: Store) -> tuple[list[Ablation], list[DamagedDocument]]:
    """Return the ablations in a store, by name, and those that are damaged."""
    return listed(store, KIND, parse_ablation)


def parse_ablation(store: Store, name: str, content: dict[str, Any]) -> Ablation:
    """Return the ablation that a document holds.

    Raises:
        Unreadable: it is none, or one of another name.
    """
    return validated(Ablation, store, KIND, name, content, lambda one: one.name)
