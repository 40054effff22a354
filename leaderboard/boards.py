"""Boards: the trials of a task by method and sparsity, grouped from records."""

import functools
import hashlib
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple

from leaderboard.board_columns import COLUMNS, NAMED_COLUMNS, SCORE, Column, metric_of
from leaderboard.code_versions import (
    CodeVersion,
    CodeVersions,
    digest_of_task,
    outdated,
    recorded_version,
)
from leaderboard.statistics.intervals import Interval, mean_interval
from leaderboard.terms import EQUAL_STEPS, Terms
from leaderboard.trial_facts import BUDGET, R, TrialResult
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial, show
from suite.results.record import RecordedMethod, RecordedTask
from suite.results.recorded_version import RecordedVersion

IDENTIFYING_FIELDS = frozenset({"task", "method", "sparsity", "seed", "hyperparameters", "recipe"})
"""Fields that name a trial's cell and seed. Other options, if not default, make a new board."""
DEFAULT_OPTIONS = {
    name: field.default
    for name, field in Trial.model_fields.items()
    if name not in IDENTIFYING_FIELDS
}
UNTESTED = "it was not tested (it belongs to a tuner's search), so it is not a result"
ANALYSIS = "it is an analysis ({}), which measures other things than how accurate a method is"
NOT_INSTALLED = "not installed here"
MAX_LABEL_SETTINGS = 160
"""Characters of settings in a label, which every row of a chart shows."""


@dataclass(frozen=True)
class Entry:
    """A competitor: a method with the hyperparameters that differ from its defaults.

    Attributes:
        tuned: whether a tuner found the values and they were run on fresh seeds.
        older: the first digits of the digest of the code, if that is the user's own and not the
            newest; results of different code are never in one row.
        about: what the records say of a method that is not installed.
    """

    method: str
    settings: str
    tuned: bool = False
    older: str = ""
    about: RecordedMethod | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """A unique name: statistics are computed by label."""
        words = ["tuned"] if self.tuned else []
        words += [_shortened(self.settings)] if self.settings else []
        label = f"{self.title} ({': '.join(words)})" if words else self.title
        return f"{label} (older code {self.older})" if self.older else label

    @property
    def title(self) -> str:
        """The method's title; with its name if it is not installed, as titles may coincide."""
        known = registry.methods()
        if self.method in known:
            return known[self.method].title
        if self.about is not None:
            return f"{self.about.title} ({self.method})"
        return f"{self.method} ({NOT_INSTALLED})"

    @property
    def family(self) -> str:
        """The family of the method."""
        known = registry.methods()
        if self.method in known:
            return known[self.method].family
        return self.about.family if self.about is not None else NOT_INSTALLED

    @property
    def dense(self) -> bool:
        """Whether it takes no sparsity and is a reference at every sparsity."""
        known = registry.methods()
        if self.method in known:
            return known[self.method].dense
        return self.about is not None and self.about.dense

    @property
    def zeros(self) -> bool:
        """Whether its sparsity is a fraction of zeros; small dense networks have none."""
        known = registry.methods()
        if self.method in known:
            return not self.dense and known[self.method].zeros
        return not self.dense and (self.about is None or self.about.zeros)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished trial on a board: its values by column, of those that were measured.

    `tested` is the number of test examples (of text, characters); 0 if its record lacks it.
    """

    key: str
    seed: int
    values: dict[str, float]
    tested: int = 0


MAX_SPARSITY_DEVIATION = 0.005
"""A larger difference between realised and nominal sparsity is marked in a cell."""
SPARSITY_SLACK = 1e-6
"""Added to the limit, so that the page, which holds seven digits of a value, agrees."""


@dataclass
class Cell:
    """The trials of one entry at one sparsity of a task.

    Attributes:
        runs: finished trials of the current revisions.
        failures: messages of failed trials.
        outdated: why other trials do not count: their task or method has changed since.
        off_budget: why others are on no board at equal training FLOPs: they took more, or less.
        no_update: why others are no results of their method: it never updated connectivity.
        metric: the column that the task ranks by.
    """

    runs: list[Run] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    off_budget: list[str] = field(default_factory=list)
    no_update: list[str] = field(default_factory=list)
    metric: Column = NAMED_COLUMNS[SCORE]

    def column(self, name: str) -> list[float]:
        """Return a column's values over the runs that have it."""
        return [run.values[name] for run in self.runs if name in run.values]

    @property
    def values(self) -> list[float]:
        """The values of the metric, in the order of `seeds`."""
        return [run.values[self.metric.name] for run in self.runs]

    @property
    def scores(self) -> list[float]:
        """The values of the metric, of which more is better: negated if less is."""
        return [self.metric.sign * value for value in self.values]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return [run.seed for run in self.runs]

    @property
    def by_seed(self) -> dict[int, float]:
        """Seed → score."""
        return dict(zip(self.seeds, self.scores, strict=True))

    @property
    def resolution(self) -> float:
        """The step between values of the metric: one test example if it counts them, else 0."""
        tested = max((run.tested for run in self.runs), default=0)
        return 1 / tested if tested and self.metric.counted else 0.0

    @property
    def interval(self) -> Interval | None:
        """Mean of the metric with its confidence interval; None without a finished trial."""
        return mean_interval(self.values, resolution=self.resolution) if self.runs else None

    @property
    def only_failed(self) -> bool:
        """Whether nothing but failures is known of it."""
        return not (self.runs or self.outdated or self.off_budget or self.no_update)

    def mean(self, name: str) -> float | None:
        """Return the mean of a column; None if no run has it."""
        values = self.column(name)
        return statistics.fmean(values) if values else None

    def off_nominal(self, sparsity: float) -> float | None:
        """Return the realised sparsity if it is off the nominal one, else None."""
        zeros = self.mean("realised_sparsity")
        off = zeros is not None and abs(zeros - sparsity) > MAX_SPARSITY_DEVIATION + SPARSITY_SLACK
        return zeros if off else None


class PlacedCell(NamedTuple):
    """A cell with its entry and its sparsity: None for a dense entry, which takes none."""

    entry: Entry
    sparsity: float | None
    cell: Cell


@dataclass
class Board:
    """One task, under one set of changes to its recipe: rows are entries, columns sparsities.

    A dense entry has the same cell in every column of its row; `cells` yields it once.
    `dense` holds the means of the dense network's trials by column, for ratios to dense; means of
    0 are left out. At equal training FLOPs, where the dense network trains for less time as well,
    its training FLOPs are those of the task's dense training. `metric` is the column that the task
    ranks by; `about` is what the records say of a task that is not installed. `terms` are those on
    which methods are compared, and `otherwise` the settings without them. `examples` is the number
    of test examples of its trials; None if they differ, or depend on each other (characters of a
    text).
    """

    task: str
    settings: str
    sparsities: list[float]
    rows: list[tuple[Entry, list[Cell | None]]]
    dense: dict[str, float]
    metric: Column = NAMED_COLUMNS[SCORE]
    about: RecordedTask | None = None
    terms: Terms = EQUAL_STEPS
    otherwise: str = ""
    examples: int | None = None

    @property
    def resolution(self) -> float:
        """The step between values of the metric: the smallest of its cells; 0 if unknown."""
        steps = (cell.resolution for _, _, cell in self.cells())
        return min((step for step in steps if step), default=0.0)

    @property
    def title(self) -> str:
        """The task's name, with what its trials change of the recipe."""
        return board_title(self.task, self.settings)

    def cells(self) -> Iterator[PlacedCell]:
        """Yield the cells that have a trial, by row and column; that of a dense entry once."""
        for entry, row in self.rows:
            if entry.dense:
                yield from (PlacedCell(entry, None, cell) for cell in row[:1] if cell)
            else:
                columns = zip(self.sparsities, row, strict=True)
                yield from (PlacedCell(entry, at, cell) for at, cell in columns if cell)

    def column(self, cell: Cell, name: str) -> float | None:
        """Return a cell's mean in a column as shown: relative to dense if the column is."""
        mean = cell.mean(name)
        if name not in RELATIVE_COLUMNS or mean is None:
            return mean
        return mean / self.dense[name] if name in self.dense else None


def board_title(task: str, settings: str) -> str:
    """Return the title of a board."""
    return f"{task} ({_shortened(settings)})" if settings else task


def _shortened(words: str) -> str:
    """Return settings shortened for a label, with a digest to keep labels unique."""
    if len(words) <= MAX_LABEL_SETTINGS:
        return words
    return f"{words[:MAX_LABEL_SETTINGS]}… {hashlib.sha256(words.encode()).hexdigest()[:6]}"


READ = [(column.name, None if column.plain else column.value) for column in COLUMNS]
"""How each column is read from a record; None for a metric of its name, which most are."""
RELATIVE_COLUMNS = frozenset(column.name for column in COLUMNS if column.to_dense)


@dataclass(frozen=True)
class Excluded:
    """A record that is not on a board, and why."""

    key: str
    trial: str
    reason: str


class PlacedRecord(NamedTuple, Generic[R]):
    """A record with its board (task, settings), its entry, and whether it counts.

    `left_out` says why it does not count; empty if it does, and if it failed. One that is not
    `on_board` is not listed there either. `made_by` is None for one that is no result.
    """

    record: R
    board: tuple[str, str]
    entry: Entry
    left_out: str
    on_board: bool = True
    made_by: RecordedVersion | None = None


def build_boards(
    records: Iterable[TrialResult], tuned: Mapping[str, Collection[str]] | None = None
) -> tuple[list[Board], list[Excluded]]:
    """Group records into boards; also return the records that are on none. See `Boards`."""
    boards = Boards(tuned)
    for record in records:
        boards.add(record)
    return boards.built(), boards.excluded


_Place = tuple[Entry, CodeVersion]


class Boards:
    """Groups records into boards, one at a time. A method without a sparsity is in every column.

    Records of an older revision of their task, dataset or method do not count, nor do those that
    miss their `flops_budget` by more than 1 %, nor those of a training in which a method that
    updates connectivity never did (`Record.never_updated`): they are listed, and their cell is
    marked. Trials of a tuner's search were not tested and are not results. Nothing is imputed: a
    cell without a finished trial is empty or lists its failures. Trials of different code of the
    user's own are different entries; all but the newest are marked (`CodeVersions`). An older one
    of which every trial failed is left out where newer code of the method has run on the board.

    `tuned` maps the keys of trials whose settings a tuner found to the recipe fields that were
    tuned as well; those fields belong to the entry, not to the board.

    """

    def __init__(self, tuned: Mapping[str, Collection[str]] | None = None) -> None:
        self._excluded: list[Excluded] = []
        self._failed: dict[tuple[tuple[str, str], _Place], list[Excluded]] = defaultdict(list)
        self._tuned = tuned or {}
        self._cells: dict[tuple[str, str], dict[_Place, dict[float, Cell]]] = defaultdict(dict)
        self._metrics: dict[tuple[str, str], Column] = {}
        self._terms: dict[tuple[str, str], tuple[Terms, str]] = {}
        self._dense_training: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._examples: dict[tuple[str, str], set[int | None]] = defaultdict(set)
        self._versions = CodeVersions()
        self._seeds_taken: set[tuple[int, int]] = set()
        self._digest = functools.cache(digest_of_task)
        self._reasons: dict[RecordedVersion, str] = {}
        self._names: dict[_Place, Entry] = {}

    @property
    def excluded(self) -> list[Excluded]:
        """Records that are on no board, and why."""
        repaired = (
            replace(one, reason=reason)
            for (board, place), found in self._failed.items()
            if (reason := self._repaired(board, place))
            for one in found
        )
        return [*self._excluded, *repaired]

    def add(self, record: R, apart: str = "") -> PlacedRecord[R]:
        """Add a record to its board; return it with its place, which `settled` completes.

        One that belongs to something else than a study (`apart`, in words) is placed but not added.
        """
        trial = record.trial
        board, entry = self._place(record)
        if not is_result(record):
            trainer = record.trial.get("trainer")
            reason = ANALYSIS.format(trainer) if is_analysis(record) else UNTESTED
            return PlacedRecord(record, board, entry, reason, on_board=False)
        made_by = recorded_version(record)
        if apart:
            reason = f"it belongs to {apart} only, and boards are of studies"
            return PlacedRecord(record, board, entry, reason, on_board=False, made_by=made_by)
        self._names.clear()
        reason = self._outdated(made_by)
        if reason:
            version = self._versions.installed(made_by)
        else:
            version = self._versions.add(record, made_by)
        by_sparsity = self._cells[board].setdefault((entry, version), {})
        metric = self._metric_of(board, record)
        cell = by_sparsity.setdefault(trial["sparsity"], Cell(metric=metric))
        if reason:
            cell.outdated.append(reason)
        elif record.status == "failed":
            cell.failures.append((record.error or {}).get("message", "failed"))
            self._failed[board, (entry, version)].append(Excluded(record.key, _name(trial), ""))
        elif reason := record.never_updated:
            cell.no_update.append(reason)
        elif metric.name not in record.metrics:
            reason = f"it has no {metric.name}, which the task ranks by: run it again"
            cell.outdated.append(reason)
        elif reason := self._terms[board][0].left_out(record):
            cell.off_budget.append(reason)
        elif (id(cell), trial["seed"]) in self._seeds_taken:
            reason = f"another trial of seed {trial['seed']} is already in its cell"
        else:
            self._seeds_taken.add((id(cell), trial["seed"]))
            self._examples[board].add(_test_examples(record))
            cell.runs.append(Run(record.key, trial["seed"], _values(record), _tested(record)))
            self._dense_training[board].append(record.flops.get("dense_training", 0.0))
        if reason:
            self._excluded.append(Excluded(record.key, _name(trial), reason))
        return PlacedRecord(record, board, entry, reason, made_by=made_by)

    def built(self) -> list[Board]:
        """Return the boards of the records added so far."""
        boards = []
        for board, places in sorted(self._cells.items()):
            named = {
                self._named(*place): cells
                for place, cells in places.items()
                if not self._repaired(board, place)
            }
            about = self._versions.task_facts(board[0])
            sizes = self._examples[board]
            examples = next(iter(sizes)) if len(sizes) == 1 else None
            made = _board(*board, named, self._metrics[board], about)
            terms, otherwise = self._terms[board]
            dense = dict(made.dense)
            if terms.flops_budget and (training := self._dense_training[board]):
                dense["training_flops"] = statistics.fmean(training)
            boards.append(
                replace(made, terms=terms, otherwise=otherwise, dense=dense, examples=examples)
            )
        return boards

    def settled(self, placed: PlacedRecord[R]) -> PlacedRecord[R]:
        """Return a place as `built` shows it: only then it is known which code is the newest."""
        if (made_by := placed.made_by) is None:
            return placed
        if placed.left_out and placed.left_out == self._outdated(made_by):
            version = self._versions.installed(made_by)
        else:
            version = self._versions.of(made_by)
        settled = placed._replace(entry=self._named(placed.entry, version))
        if reason := self._repaired(placed.board, (placed.entry, version)):
            return settled._replace(left_out=reason, on_board=False)
        return settled

    def _repaired(self, board: tuple[str, str], place: _Place) -> str:
        """Return why a row is left out: all of it failed, with code that is not the newest there.

        Empty for other rows.
        """
        if (board, place) not in self._failed:
            return ""
        entry, version = place
        older = self._versions.older(version)
        if not older or any(not cell.only_failed for cell in self._cells[board][place].values()):
            return ""
        newer = any(
            other.method == entry.method and not self._versions.older(made_by)
            for other, made_by in self._cells[board]
        )
        return f"it failed with older code ({older}), and newer code has run there" if newer else ""

    def _outdated(self, made_by: RecordedVersion) -> str:
        """Return why records of this version are out of date; empty if they are not."""
        if (reason := self._reasons.get(made_by)) is None:
            reason = self._reasons[made_by] = outdated(made_by, self._digest)
        return reason

    def _named(self, entry: Entry, version: CodeVersion) -> Entry:
        if (named := self._names.get((entry, version))) is None:
            older, about = self._versions.older(version), self._versions.method_facts(entry.method)
            named = self._names[entry, version] = replace(entry, older=older, about=about)
        return named

    def _metric_of(self, board: tuple[str, str], record: TrialResult) -> Column:
        """Return what a board ranks by: as its task says, or, where it is unknown, its records."""
        if board not in self._metrics:
            self._metrics[board] = metric_of(board[0], record.metric)
        return self._metrics[board]

    def _place(self, record: TrialResult) -> tuple[tuple[str, str], Entry]:
        trial, tuned = record.trial, self._tuned
        own = {n: v for n, v in trial["recipe"].items() if n in tuned.get(record.key, ())}
        settings = settings_text(trial["hyperparameters"] | own)
        about = record.declared.method if record.declared is not None else None
        entry = Entry(trial["method"], settings, record.key in tuned, about=about)
        board = (trial["task"], overrides_text(trial, set(own)))
        if board not in self._terms:
            self._terms[board] = Terms.of(record), overrides_text(trial, {*own, BUDGET})
        return board, entry


def same_terms(boards: Sequence[Board]) -> None:
    """Check that boards may be shown in one table, or their scores pooled.

    Raises:
        InvalidInput: they are on different terms.
    """
    terms = sorted({board.terms for board in boards})
    if len(terms) > 1:
        listed = " and ".join(one.words for one in terms)
        raise InvalidInput(
            f"boards {listed} are never put together: give the boards of one group of "
            "board_groups(boards)"
        )


def is_result(record: TrialResult) -> bool:
    """Return whether a record is a test result; analyses and a tuner's search are not."""
    return (
        not is_analysis(record)
        and record.trial.get("evaluate", "test") == "test"
        and (record.status == "failed" or f"test_{record.metric}" in record.metrics)
    )


def _name(trial: Mapping[str, Any]) -> str:
    return f"{trial['task']} {trial['method']}"


def _tested(record: TrialResult) -> int:
    """Return the number of test examples; 0 if the record does not say."""
    counts, stated = record.counts.get("test"), record.data.get("test")
    if counts is not None:
        return counts.total
    return stated if isinstance(stated, int) and stated > 0 else 0


def is_analysis(record: TrialResult) -> bool:
    """Return whether a record is that of an analysis of a training."""
    trainer = record.trial.get("trainer", "")
    return bool(trainer) and not registry.replaces_training(trainer)


def _test_examples(record: TrialResult) -> int | None:
    """Return the number of independent test examples; None where it is not known."""
    size = record.data.get("test")
    whole = isinstance(size, int) and not isinstance(size, bool) and size > 0
    return size if whole and "test_bits_per_character" not in record.metrics else None


def _values(record: TrialResult) -> dict[str, float]:
    found, metrics = {}, record.metrics
    for name, read in READ:
        value = metrics.get(name) if read is None else read(record)
        if value is not None:
            found[name] = value
    return found


def _board(
    task: str,
    settings: str,
    entries: dict[Entry, dict[float, Cell]],
    metric: Column,
    about: RecordedTask | None,
) -> Board:
    everywhere = {entry for entry in entries if entry.dense}
    sparse = {s for e, by in entries.items() if e not in everywhere for s in by}
    sparsities = sorted(sparse) or [0.0]
    rows: list[tuple[Entry, list[Cell | None]]] = []
    for entry, by_sparsity in entries.items():
        if entry in everywhere:
            rows.append((entry, [next(iter(by_sparsity.values()))] * len(sparsities)))
        else:
            rows.append((entry, [by_sparsity.get(s) for s in sparsities]))
    rows.sort(key=lambda row: (row[0] not in everywhere, -_mean(row[1]), row[0].label))
    newest = [entry for entry in everywhere if not entry.older]
    reference = Cell(
        metric=metric, runs=[run for e in newest for c in entries[e].values() for run in c.runs]
    )
    means = ((column.name, reference.mean(column.name)) for column in COLUMNS)
    found = {name: mean for name, mean in means if mean}
    return Board(task, settings, sparsities, rows, found, metric, about)


def _mean(cells: list[Cell | None]) -> float:
    """Return the mean score over a row's finished cells, to sort by; −∞ without one."""
    means = [statistics.fmean(cell.scores) for cell in cells if cell and cell.runs]
    return statistics.fmean(means) if means else -math.inf


def overrides_text(trial: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """Return what a trial changes of its task's recipe and of the default options, as text."""
    recipe = {name: value for name, value in trial["recipe"].items() if name not in without}
    words = [settings_text(recipe)] if recipe else []
    for name, usual in DEFAULT_OPTIONS.items():
        if trial.get(name, usual) != usual:
            words.append(f"{name}={show(trial[name])}")
    return ", ".join(words)


def settings_text(settings: dict[str, Any]) -> str:
    """Return settings as written on the command line."""
    return ", ".join(f"{name}={show(value)}" for name, value in settings.items())
