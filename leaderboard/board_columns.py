"""The columns that a leaderboard can show, and how each is read from a record."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from leaderboard.trial_facts import TrialResult
from suite.core.finite_numbers import finite_number
from suite.experiments import registry
from suite.results.metrics import METRICS
from suite.results.training_flops import lacks_own_arithmetic

Unit = Literal["percent", "ratio", "seconds", "bytes", "number"]

SCORE = "test_accuracy"
"""The column that methods are ranked by, unless their task declares another metric."""

COUNTED = frozenset(
    {SCORE, "test_balanced_accuracy", "test_macro_f1", "test_accuracy_8bit", "test_accuracy_4bit"}
)
"""Columns whose values are counts of test examples: they move in steps of about one example."""

METRIC_COLUMNS = (
    "test_balanced_accuracy",
    "test_macro_f1",
    "test_r2",
    "test_rmse",
    "test_nll",
    "test_bits_per_character",
    "test_ece",
    "test_accuracy_corrupted",
    "test_accuracy_fgsm_8_255",
    "test_accuracy_8bit",
    "test_accuracy_4bit",
    "test_r2_8bit",
    "test_r2_4bit",
    "mask_churn",
    "unconnected_units",
    "silent_units",
    "collapsed_layers",
    "sparse_bytes",
)
"""Metrics of records that are columns; all metrics are on the page of a trial."""


@dataclass(frozen=True)
class Column:
    """A quantity to compare methods by.

    Attributes:
        name: used in CSV files and in the address of a view.
        title: shown to readers.
        unit: percent is a fraction of 1, ratio a multiple of the dense network's, seconds and bytes
            are absolute.
        better: which direction is better; empty if neither.
        group: its group in the column picker.
        value: reads it from a finished trial; None if it was not measured.
        to_dense: whether the value is divided by the mean of the board's dense trials.
        plain: whether it is the metric of its name, as it is in a record.
    """

    name: str
    title: str
    unit: Unit
    better: Literal["more", "less", ""]
    group: str
    value: Callable[[TrialResult], float | None]
    to_dense: bool = False
    plain: bool = False

    @property
    def sign(self) -> int:
        """1, or −1 where less is better: values times it are scores, of which more is better."""
        return -1 if self.better == "less" else 1

    @property
    def counted(self) -> bool:
        """Whether its values are counts of test examples."""
        return self.name in COUNTED

    @property
    def possible(self) -> tuple[float, float]:
        """The least and the greatest value that there can be: intervals end there."""
        if self.name.startswith("test_r2"):
            return (-math.inf, 1.0)
        return (0.0, 1.0 if self.unit == "percent" else math.inf)

    @property
    def fraction(self) -> bool:
        """Whether its values are fractions of 1 of which more is better, as accuracies are."""
        return self.unit == "percent" and self.better == "more"


def _metric(name: str) -> Callable[[TrialResult], float | None]:
    return lambda record: record.metrics.get(name)


def _timing(name: str) -> Callable[[TrialResult], float | None]:
    def value(record: TrialResult) -> float | None:
        return finite_number(record.timing.get(name))

    return value


def _training_flops(record: TrialResult) -> float | None:
    """Return the training FLOPs; None where they leave out the method's own arithmetic."""
    method, known = record.trial["method"], registry.methods()
    if method in known and lacks_own_arithmetic(record.flops, known[method]):
        return None
    return record.flops.get("training")


def _metric_column(name: str) -> Column:
    metric = {metric.name: metric for metric in METRICS}[name]
    unit: Unit = "percent" if metric.unit == "percent" else "number"
    if metric.unit == "bytes":
        unit = "bytes"
    group = "quality" if name.startswith("test_") else "network"
    return Column(name, metric.title, unit, metric.better, group, _metric(name), plain=True)


COLUMNS = (
    Column(SCORE, "test accuracy", "percent", "more", "quality", _metric(SCORE), plain=True),
    Column("training_flops", "training FLOPs", "ratio", "less", "cost",
           _training_flops, to_dense=True),
    Column("inference_flops", "inference FLOPs", "ratio", "less", "cost",
           lambda record: record.flops["inference"] / record.flops["inference_dense"]),
    Column("seconds_per_step", "seconds per step", "seconds", "less", "cost",
           _timing("seconds_per_step")),
    Column("seconds", "seconds in total", "seconds", "less", "cost", _timing("seconds")),
    Column("peak_memory_bytes", "peak memory", "bytes", "less", "cost",
           _timing("peak_memory_bytes")),
    Column("realised_sparsity", "realised sparsity", "percent", "", "network",
           lambda record: record.sparsity),
    *map(_metric_column, METRIC_COLUMNS),
)  # fmt: skip
"""In the order of the column picker."""

NAMED_COLUMNS = {column.name: column for column in COLUMNS}


def metric_of(task: str, recorded: str) -> Column:
    """Return the column that a task ranks by: as its declaration says, if it is installed here.

    Else as its records say; accuracy, if this version does not know their metric.
    """
    known = registry.tasks()
    column = NAMED_COLUMNS.get(f"test_{known[task].metric if task in known else recorded}")
    return column if column is not None and column.better else NAMED_COLUMNS[SCORE]
