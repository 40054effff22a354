"""Records → the cells of a leaderboard: task × method × sparsity."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leaderboard.statistics import Interval, mean_interval
from suite import registry
from suite.config import show, task_digest
from suite.results.record import Record

if TYPE_CHECKING:
    import polars as pl

METRIC = "test_accuracy"


@dataclass(frozen=True)
class Entry:
    """A competitor: a method with the hyperparameters that differ from its defaults."""

    method: str
    settings: str

    @property
    def label(self) -> str:
        """What the row is called."""
        known = registry.methods()
        title = known[self.method].title if self.method in known else self.method
        return f"{title} ({self.settings})" if self.settings else title


@dataclass
class Cell:
    """The trials of one entry at one sparsity of a task."""

    values: list[float] = field(default_factory=list)
    training_flops: list[float] = field(default_factory=list)
    realised: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def interval(self) -> Interval | None:
        """Mean and confidence interval of the metric, as a share; None without a finished trial."""
        return mean_interval(self.values) if self.values else None


@dataclass
class Board:
    """One task (with the recipe overrides of its trials): rows are entries, columns sparsities."""

    task: str
    settings: str
    sparsities: list[float]
    rows: list[tuple[Entry, list[Cell | None]]]
    dense_flops: float | None

    @property
    def title(self) -> str:
        """The task's name, with what the trials override of its recipe."""
        return f"{self.task} ({self.settings})" if self.settings else self.task


@dataclass(frozen=True)
class Excluded:
    """A record that is not on a board, and why."""

    key: str
    trial: str
    reason: str


def build_boards(records: Iterable[Record]) -> tuple[list[Board], list[Excluded]]:
    """Group records into boards; a method that takes no sparsity stands in every column.

    Records of an older revision of their task, dataset or method are left out and listed.
    Nothing is imputed: a cell without a finished trial is empty or lists its failures.
    """
    cells: dict[tuple[str, str], dict[Entry, dict[float, Cell]]] = defaultdict(dict)
    excluded: list[Excluded] = []
    for record in records:
        trial = record.trial
        if reason := _out_of_date(record):
            excluded.append(Excluded(record.key, f"{trial['task']} {trial['method']}", reason))
            continue
        board = (trial["task"], _settings(trial))
        entry = Entry(trial["method"], _words(trial["hyperparameters"]))
        cell = cells[board].setdefault(entry, {}).setdefault(trial["sparsity"], Cell())
        if record.status == "failed":
            cell.failures.append((record.error or {}).get("message", "failed"))
            continue
        cell.values.append(record.metrics[METRIC])
        cell.training_flops.append(record.flops["training"])
        cell.realised.append(record.sparsity)
        cell.seeds.append(trial["seed"])
    return [_board(*key, entries) for key, entries in sorted(cells.items())], excluded


def _board(task: str, settings: str, entries: dict[Entry, dict[float, Cell]]) -> Board:
    everywhere = {entry for entry in entries if _is_dense(entry.method)}
    sparsities = sorted({s for e, by in entries.items() if e not in everywhere for s in by}) or [
        0.0
    ]
    rows: list[tuple[Entry, list[Cell | None]]] = []
    for entry, by_sparsity in entries.items():
        if entry in everywhere:
            rows.append((entry, [next(iter(by_sparsity.values()))] * len(sparsities)))
        else:
            rows.append((entry, [by_sparsity.get(s) for s in sparsities]))
    rows.sort(key=lambda row: (row[0] not in everywhere, -_mean(row[1]), row[0].label))
    dense = [f for e in everywhere for c in entries[e].values() for f in c.training_flops]
    return Board(task, settings, sparsities, rows, sum(dense) / len(dense) if dense else None)


def _mean(cells: list[Cell | None]) -> float:
    """Return the mean over a row's finished cells, for the order of rows; none comes last."""
    means = [cell.interval.mean for cell in cells if cell and cell.interval]
    return sum(means) / len(means) if means else -1.0


def _is_dense(method: str) -> bool:
    known = registry.methods()
    return method in known and known[method].dense


def _out_of_date(record: Record) -> str:
    kinds = (("task", registry.tasks()), ("method", registry.methods()))
    for kind, known in kinds:
        name, found = record.trial[kind], record.configuration.get(f"{kind}_revision")
        if name in known and found != known[name].revision:
            return f"{kind} {name} is at revision {known[name].revision}, this record at {found}"
    name = record.trial["task"]
    if name in registry.tasks():
        task = registry.tasks()[name]
        revision, found = (
            registry.datasets()[task.dataset].revision,
            record.configuration.get("dataset_revision"),
        )
        if found != revision:
            return f"dataset {task.dataset} is at revision {revision}, this record at {found}"
        digest = task_digest(task, registry.datasets()[task.dataset])
        if record.configuration.get("task_digest") != digest:
            return f"task {name} is declared differently now"
    return ""


def _settings(trial: dict[str, Any]) -> str:
    words = [_words(trial["recipe"])] if trial["recipe"] else []
    usual = {"device": "cpu", "precision": "float32", "threads": 1}
    words += [f"{name}={trial[name]}" for name, value in usual.items() if trial[name] != value]
    return ", ".join(words)


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={show(value)}" for name, value in settings.items())


def summary_frame(boards: list[Board]) -> "pl.DataFrame":
    """Return one row per cell, for CSV."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for board in boards:
        for entry, cells in board.rows:
            for sparsity, cell in zip(board.sparsities, cells, strict=True):
                interval = cell.interval if cell else None
                rows.append(
                    {
                        "task": board.task,
                        "recipe": board.settings,
                        "method": entry.method,
                        "hyperparameters": entry.settings,
                        "sparsity": sparsity,
                        "metric": METRIC,
                        "n": interval.n if interval else 0,
                        "mean": interval.mean if interval else None,
                        "ci_low": interval.low if interval else None,
                        "ci_high": interval.high if interval else None,
                        "realised_sparsity": _average(cell.realised) if cell else None,
                        "training_flops": _average(cell.training_flops) if cell else None,
                        "failed": len(cell.failures) if cell else 0,
                    }
                )
    return pl.DataFrame(rows, infer_schema_length=None)


def trial_frame(records: Iterable[Record]) -> "pl.DataFrame":
    """Return one row per record, for CSV: what the boards were made from."""
    import polars as pl

    rows = [
        {
            "key": record.key,
            "status": record.status,
            "task": record.trial["task"],
            "method": record.trial["method"],
            "sparsity": record.trial["sparsity"],
            "seed": record.trial["seed"],
            "hyperparameters": _words(record.trial["hyperparameters"]),
            "recipe": _settings(record.trial),
            "realised_sparsity": record.sparsity if record.layers else None,
            **record.metrics,
            **{f"{name}_flops": value for name, value in record.flops.items()},
            "seconds": record.timing.get("seconds"),
            "error": (record.error or {}).get("message"),
        }
        for record in records
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _average(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
