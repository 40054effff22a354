"""The lines of a table: published against reproduced results."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from leaderboard.bundles.bundle_file import read_all
from leaderboard.reproduction.early_stop import RELATIONS, early_stop
from leaderboard.reproduction.published_results import (
    ComputedFlops,
    PublishedResult,
    PublishedTable,
    TableRows,
    TrialFilter,
)
from leaderboard.trial_facts import TrialResult
from suite.core.errors import InvalidInput
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.record import Record

REPRODUCED = Path(__file__).parents[1] / "reproduced"
"""Bundles of the project's own reproductions. They are not entries of the leaderboard, since a
published protocol is not the suite's."""

ComputeFlops = Callable[[ComputedFlops, float], float]
"""Returns relative inference FLOPs at a sparsity."""
DECIMAL_SLACK = 1e-9
"""Allows for inexact decimal fractions: 0.07 − 0.06 is within 0.01."""


@dataclass(frozen=True)
class TableLine:
    """One line of a table.

    Attributes:
        method, sparsity, published, published_std, trust, source, where: of the published result;
            `published` is text if it is not a number.
        printed: the published value as printed, with its standard deviation if it has one.
        values: reproduced values, one per seed, in the unit of the table; None if the line is not
            reproduced.
        computed: whether values were computed instead of trained.
        failed: number of failed trials.
        bound: the published claim ("<0"), if that is compared.
        tolerance: largest accepted difference; None if unknown.
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
        """Whether the mean satisfies the bound, or is within the tolerance; None if undecided."""
        if self.mean is None:
            return None
        if self.bound:
            limit = float(self.bound[1:])
            return self.mean > limit if self.bound[0] == ">" else self.mean < limit
        if self.difference is None or self.tolerance is None:
            return None
        return abs(self.difference) <= self.tolerance + DECIMAL_SLACK

    @property
    def rounded(self) -> str:
        """The mean, rounded to the decimals of the published figure; empty without one of both."""
        figure = self.printed.partition(" ")[0]
        if self.mean is None or not isinstance(self.published, float):
            return ""
        return f"{self.mean:.{len(figure.partition('.')[2])}f}"

    @property
    def rounds_to_published(self) -> bool | None:
        """Whether the mean rounds to the published figure; None if there is none of both.

        It is a stricter question than `within`: a figure of two decimals is met to 0.01 also by
        what rounds to its neighbour.
        """
        return float(self.rounded) == self.published if self.rounded else None


class Trials(Protocol):
    """Reproduced trials by key: a store, or the shipped records."""

    def read(self, key: str) -> TrialResult | None:
        """Return a trial's record, or what is known of it; None if there is none."""

    def load(self, key: str, name: str) -> bytes:
        """Return a file of a trial."""


class ShippedTrials:
    """The records of reproductions that come with the package, without curves.

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

    @property
    def tasks(self) -> set[str]:
        """The names of their tasks."""
        return {record.trial["task"] for record in self._records.values()}

    def load(self, key: str, name: str) -> bytes:
        """Raise InvalidInput: files of trials are not shipped."""
        raise InvalidInput(f"{name} of trial {key} is not shipped: run the table's study")


def table_lines(
    table: PublishedTable, store: Trials | None, compute: ComputeFlops | None = None
) -> list[TableLine]:
    """Return the lines of a table; without a store, or without `compute`, published values only.

    Raises:
        InvalidInput: the study or a record cannot be read.
    """
    study = table.load_study() if store is not None else None
    lines = []
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
        lines.append(_line(table, rows, result, sparsity, values, failed))
    return lines


def _line(
    table: PublishedTable,
    rows: TableRows,
    result: PublishedResult | None,
    sparsity: float | None,
    values: tuple[float, ...] | None,
    failed: int,
) -> TableLine:
    number = result.number(table.column) if result else None
    std = result.std if result and table.column == "value" else None
    text = str(getattr(result, table.column)) if result else None
    bound = rows.bound or (text if text and text[0] in "<>" else "")
    deviations = "; ".join(filter(None, (rows.deviations, table.deviations if values else "")))
    return TableLine(
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
    chosen: TrialFilter, study: Study, store: Trials, sparsity: float | None
) -> tuple[tuple[float, ...], int]:
    """Return the reproduced values, one per seed, and the number of failed trials."""
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
    values = []
    for pair in pairs:
        records = [store.read(trial.key) for trial in pair]
        if all(record is not None and record.status == "done" for record in records):
            stops = [early_stop(store.load(trial.key, "curves.parquet")) for trial in pair]
            values.append(RELATIONS[measure](*stops))
    return tuple(values)
