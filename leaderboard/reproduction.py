"""Published against reproduced: the lines of a table, from published facts and records alone."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from leaderboard.papers import Chosen, Computed, Published, Rows, Table
from leaderboard.relations import RELATIONS, early_stop
from leaderboard.submission import read_all
from suite.core.errors import InvalidInput
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.record import Record

REPRODUCED = Path(__file__).parent / "reproduced"
"""Bundles of the project's own reproductions. They are no entries of the leaderboard: a published
protocol is not the suite's."""

Compute = Callable[[Computed, float], float]
"""Returns relative inference FLOPs at a sparsity."""
SLACK = 1e-9
"""Decimal fractions are not exact: 0.07 − 0.06 is within 0.01."""


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        method, sparsity, published, published_std, trust, source, where: of the published result;
            `published` as text where it is no number.
        printed: how it is published, with its decimals and its standard deviation.
        values: what was reproduced, one per seed, in the unit of the table; None where nothing
            can be (published only).
        computed: whether they were computed and not trained.
        failed: trials that failed.
        bound: the relation claimed ("<0"), where that counts.
        tolerance: the distance that counts as within; None where none is known.
        deviations: from the published protocol.
    """

    method: str
    sparsity: float | None
    published: float | str | None
    published_std: float | None
    values: tuple[float, ...] | None
    computed: bool
    failed: int
    bound: str
    tolerance: float | None
    deviations: str
    trust: str
    source: str
    where: str
    printed: str = ""

    @property
    def mean(self) -> float | None:
        """Mean over seeds; None without a finished trial."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds, of two or more."""
        return statistics.stdev(self.values) if self.values and len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Reproduced minus published."""
        if self.mean is None or not isinstance(self.published, float):
            return None
        return self.mean - self.published

    @property
    def within(self) -> bool | None:
        """Whether the mean fulfils the bound, or lies within the tolerance; None if undecided."""
        if self.mean is None:
            return None
        if self.bound:
            limit = float(self.bound[1:])
            return self.mean > limit if self.bound[0] == ">" else self.mean < limit
        if self.difference is None or self.tolerance is None:
            return None
        return abs(self.difference) <= self.tolerance + SLACK


class Trials(Protocol):
    """Where reproduced trials are found by their keys: a store, or what is shipped."""

    def read(self, key: str) -> Record | None:
        """Return a trial's record; None if there is none."""

    def load(self, key: str, name: str) -> bytes:
        """Return a file of a trial."""


class ShippedTrials:
    """The records of the reproductions that come with the package; curves do not.

    Raises:
        InvalidInput: a file is damaged.
    """

    def __init__(self, folder: Path = REPRODUCED) -> None:
        records, rejected = read_all([folder])
        for one in rejected:
            raise InvalidInput(f"{folder}: {one.where}: {one.reason}")
        self._records = {record.key: record for record in records}

    def read(self, key: str) -> Record | None:
        """Return a trial's record; None if there is none."""
        return self._records.get(key)

    def load(self, key: str, name: str) -> bytes:
        """Refuse: no file of a trial is shipped."""
        raise InvalidInput(f"{name} of trial {key} is not shipped: run the table's study")


def table_lines(table: Table, store: Trials | None, compute: Compute | None = None) -> list[Line]:
    """Return the lines of a table; without a store, or without `compute`, as published only.

    Raises:
        InvalidInput: the study or a record cannot be read.
    """
    study = table.load_study() if store is not None else None
    found = []
    for rows, result in table.lines():
        values: tuple[float, ...] | None = None
        failed = 0
        sparsity = result.sparsity if result else rows.trials.sparsity if rows.trials else None
        if rows.computed is not None and compute is not None:
            values = (compute(rows.computed, sparsity or 0.0),)
        elif rows.trials is not None and store is not None and study is not None:
            values, failed = _reproduced(rows.trials, study, store, sparsity)
            if table.unit == "percent":
                values = tuple(100 * value for value in values)
        found.append(_line(table, rows, result, sparsity, values, failed))
    return found


def _line(
    table: Table,
    rows: Rows,
    result: Published | None,
    sparsity: float | None,
    values: tuple[float, ...] | None,
    failed: int,
) -> Line:
    number = result.number(table.column) if result else None
    std = result.std if result and table.column == "value" else None
    text = str(getattr(result, table.column)) if result else None
    bound = rows.bound or (text if text and text[0] in "<>" else "")
    deviations = "; ".join(filter(None, (rows.deviations, table.deviations if values else "")))
    return Line(
        method=result.method if result else rows.label,
        sparsity=sparsity,
        published=text if number is None or (text and text[0] in "<>") else number,
        published_std=std,
        values=values,
        computed=values is not None and rows.computed is not None,
        failed=failed,
        bound=bound,
        tolerance=table.tolerance if table.tolerance is not None else std and 2 * std,
        deviations=deviations,
        trust=result.trust if result else "",
        source=result.source if result else "",
        where=f"{result.paper}, {result.table}" if result else "",
        printed=(text or "").removesuffix("x") + ("" if std is None else f" ± {std:.2g}"),
    )


def _reproduced(
    chosen: Chosen, study: Study, store: Trials, sparsity: float | None
) -> tuple[tuple[float, ...], int]:
    """Return what the trials show, one value per seed, and how many trials failed."""
    trials = chosen.among(study, sparsity)
    records = {trial.seed: store.read(trial.key) for trial in trials}
    done = {seed for seed, record in records.items() if record and record.status == "done"}
    failed = sum(record is not None for record in records.values()) - len(done)
    if chosen.against is None:
        kept = [record for seed, record in records.items() if seed in done]
        return tuple(r.metrics[chosen.measure] for r in kept if r is not None), failed
    others = {trial.seed: trial for trial in chosen.against.among(study, sparsity)}
    pairs = [(t, others[t.seed]) for t in trials if t.seed in done and t.seed in others]
    return _related(chosen.measure, pairs, store), failed


def _related(
    measure: str, pairs: Sequence[tuple[Trial, Trial]], store: Trials
) -> tuple[float, ...]:
    found = []
    for pair in pairs:
        records = [store.read(trial.key) for trial in pair]
        if all(record is not None and record.status == "done" for record in records):
            stops = [early_stop(store.load(trial.key, "curves.parquet")) for trial in pair]
            found.append(RELATIONS[measure](*stops))
    return tuple(found)
