"""Published results with their sources, and the tables of them that studies reproduce.

`published/*.yaml` holds results, `published/tables/*.yaml` lists which of them are in a table and
which trials of which study reproduce them.
"""

import fnmatch
import functools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.core.yaml_reader import read_yaml
from suite.experiments.study import Study, load_study
from suite.experiments.trial_config import Trial

FOLDER = resources.files("leaderboard") / "published"


class PublishedResult(BaseModel, frozen=True, extra="forbid"):
    """One published result.

    Attributes:
        sparsity: fraction of zeros; None if it is not one number (see the notes).
        train_flops, test_flops: as printed; multiples of the dense network's if it ends in x.
        metric: what `value` is; names that end in ``_pct`` are in per cent.
        value: a number with its published decimals, a bound (">0.3"), or a result in words.
        std: standard deviation over seeds, if published.
        trust: read in the authors' own repository (primary), quoted by others (secondary), or in
            the abstract alone.
    """

    paper: str
    table: str
    dataset: str
    model: str
    method: str
    sparsity: float | None = Field(default=None, ge=0, lt=1)
    train_flops: str = ""
    test_flops: str = ""
    metric: str
    value: int | float | str
    std: float | None = Field(default=None, ge=0)
    trust: Literal["primary", "secondary", "abstract"]
    notes: str = ""
    source: str

    def number(self, column: str = "value") -> float | None:
        """Return a column's number (0.42 of "0.42x", 0.3 of ">0.3"); None if there is none."""
        match = re.fullmatch(r"[<>]?(-?[\d.]+)x?", str(getattr(self, column)))
        return float(match[1]) if match else None


class ComputedFlops(BaseModel, frozen=True, extra="forbid"):
    """Inference FLOPs relative to dense, computed from the shapes of a task's network.

    Attributes:
        dense: names of layers that stay dense.
        dense_layers_compensate: whether the others are pruned more for it.
    """

    task: str
    distribution: Literal["uniform", "er", "erk"]
    dense: tuple[str, ...] = ()
    dense_layers_compensate: bool = True


class TrialFilter(BaseModel, frozen=True, extra="forbid"):
    """Selects trials of a table's study: those that match all fields.

    Attributes:
        sparsity: overrides the published one.
        measure: what is read from the trials: a metric, or one of `early_stop.RELATIONS`.
        against: the trials that a relation compares with, on the same seeds.
    """

    method: str
    task: str | None = None
    sparsity: float | None = None
    set: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    measure: str = "test_accuracy"
    against: "TrialFilter | None" = None

    def among(self, study: Study, sparsity: float | None) -> list[Trial]:
        """Return the matching trials of a study, for a published result of this sparsity."""
        return [t for t in study.trials() if self._matches(t, study, sparsity)]

    def _matches(self, trial: Trial, study: Study, sparsity: float | None) -> bool:
        target = sparsity if self.sparsity is None else self.sparsity
        dense = trial.method_declaration.dense
        return (
            trial.method == self.method
            and (self.task is None or trial.task == self.task)
            and (dense or target is None or abs(trial.sparsity - target) < 1e-9)
            and trial.method_declaration.changed(self.set) == trial.hyperparameters
            and trial.task_declaration.changed(study.recipe | self.recipe) == trial.recipe
        )


class TableRows(BaseModel, frozen=True, extra="forbid"):
    """Rows of a table: the published results that match, and what reproduces them.

    Attributes:
        published: file name under ``published/`` (``file``), and values of columns, in which ``*``
            matches anything. None if nothing is published to compare with.
        label: name of the row in that case.
        bound: the published claim ("<0"), if that and not the number is compared.
        deviations: from the published protocol, for these rows only.
    """

    published: dict[str, str | float] | None = None
    label: str = ""
    bound: str = Field(default="", pattern=r"^([<>]-?[\d.]+)?$")
    trials: TrialFilter | None = None
    computed: ComputedFlops | None = None
    deviations: str = ""

    def results(self) -> list[PublishedResult]:
        """Return the published results that match, in file order."""
        if self.published is None:
            return []
        wanted = {name: text for name, text in self.published.items() if name != "file"}
        return [
            result
            for result in published(str(self.published["file"]))
            if all(_is(getattr(result, name), text) for name, text in wanted.items())
        ]


class PublishedTable(BaseModel, frozen=True, extra="forbid"):
    """A published table and how it is reproduced.

    Attributes:
        rows: a published result is in the table once, at the first rows that match it.
        study: the study to run; None if nothing has to be trained.
        column: of the published results, the one to compare.
        unit: percent, times (multiples of dense) or number.
        tolerance: largest accepted difference; None for two published standard deviations.
        needs: what running it requires besides a CPU.
        deviations: from the published protocol, for all rows.
        note: for readers.
    """

    name: str
    title: str
    study: str | None = None
    column: Literal["value", "test_flops"] = "value"
    unit: Literal["percent", "times", "number"] = "percent"
    tolerance: float | None = None
    needs: str = ""
    rows: tuple[TableRows, ...]
    deviations: str = ""
    note: str = ""

    def lines(self) -> Iterator[tuple[TableRows, PublishedResult | None]]:
        """Yield each line of the table: what reproduces it, and the published result if any."""
        shown: set[int] = set()
        for rows in self.rows:
            if rows.published is None:
                yield rows, None
            for result in rows.results():
                if id(result) not in shown:
                    shown.add(id(result))
                    yield rows, result

    def load_study(self) -> Study | None:
        """Return the study of the table, if it has one."""
        return None if self.study is None else load_study(self.study)


def _is(value: object, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return fnmatch.fnmatchcase(str(value), wanted)
    return value == wanted


def _files(folder: Any) -> dict[str, Any]:
    files = {p.name.removesuffix(".yaml"): p for p in folder.iterdir() if p.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def published_files() -> list[str]:
    """Return the names of the files of published results."""
    return list(_files(FOLDER))


@functools.cache
def published(name: str) -> tuple[PublishedResult, ...]:
    """Return the results of one file of published results.

    Raises:
        InvalidInput: there is no such file, or it is not valid.
    """
    files = _files(FOLDER)
    if name not in files:
        raise InvalidInput(unknown("published results", name, files, see="list tables"))
    content = read_yaml(files[name], f"published {name}", "groups")
    try:
        return tuple(PublishedResult.model_validate(row) for row in _flat(content))
    except ValidationError as error:
        raise InvalidInput(f"published {name}: {_first(error)}") from None


def _flat(content: Any) -> Iterator[dict[str, Any]]:
    """Yield complete rows: values of a file, then of a group, are defaults of their rows."""
    shared = {name: value for name, value in content.items() if name != "groups"}
    for group in content["groups"]:
        defaults = shared | {name: value for name, value in group.items() if name != "rows"}
        for row in group["rows"]:
            yield defaults | row


def tables() -> list[str]:
    """Return the names of the tables."""
    return list(_files(FOLDER / "tables"))


@functools.cache
def table(name: str) -> PublishedTable:
    """Return a table by name.

    Raises:
        InvalidInput: there is no such table, or its declaration is not valid.
    """
    files = _files(FOLDER / "tables")
    if name not in files:
        raise InvalidInput(unknown("table", name, files, see="list tables"))
    content = read_yaml(files[name], f"table {name}", "rows")
    try:
        return PublishedTable.model_validate({"name": name, **content})
    except ValidationError as error:
        raise InvalidInput(f"table {name}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
