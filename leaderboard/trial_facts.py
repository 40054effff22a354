"""What boards, tables and pages of whole sites read of a trial's record: some numbers, and names.

A record has twenty kilobytes in memory, most of it the same for every seed: its settings, its
machine, its layers. `TrialFacts` has what is needed of it beside its own page. It can be written as
two texts, of which trials that differ in their seeds and results only share the first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from pydantic_core import from_json

from suite.results.record import Declarations, Record
from suite.results.recorded_version import RECORDED

BUDGET = "flops_budget"
"""The field of a recipe that says how much a training may cost, as a multiple of dense training."""
TIMES = ("seconds", "seconds_per_step", "peak_memory_bytes")
"""What is read of a record's timing; when it ended is `TrialFacts.finished`."""
WEIGHTS = "model"
"""The digest by which later evaluations know the weights that they measured."""


class Counted(Protocol):
    """The predictions of a split: how many."""

    @property
    def total(self) -> int:
        """Their number."""


class TrialResult(Protocol):
    """What boards and tables read of a trial: its `Record` has it, and so have `TrialFacts`."""

    @property
    def key(self) -> str:
        """The trial's key."""

    @property
    def status(self) -> str:
        """Done or failed."""

    @property
    def trial(self) -> Mapping[str, Any]:
        """All settings."""

    @property
    def configuration(self) -> Mapping[str, Any]:
        """Every setting with its value, and the revisions."""

    @property
    def metric(self) -> str:
        """What its task ranks by."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Values by name."""

    @property
    def counts(self) -> Mapping[Any, Counted]:
        """Counted predictions by split."""

    @property
    def layers(self) -> Sequence[Any]:
        """The prunable weights."""

    @property
    def flops(self) -> Mapping[str, float]:
        """Operations by name."""

    @property
    def timing(self) -> Mapping[str, Any]:
        """Seconds, and when."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Sizes of the splits."""

    @property
    def declared(self) -> Declarations | None:
        """What the user's own method and task say of themselves."""

    @property
    def error(self) -> Mapping[str, str] | None:
        """Type and message of a failure."""

    @property
    def never_updated(self) -> str:
        """Why connectivity was never updated; empty if it was."""

    @property
    def finished(self) -> float:
        """When it ended, in seconds since 1970."""

    @property
    def sparsity(self) -> float:
        """Realised fraction of zeros."""

    @property
    def fingerprint(self) -> str:
        """What changes whenever the record does."""


R = TypeVar("R", bound=TrialResult)


class Total(NamedTuple):
    """How many predictions of a split were counted."""

    total: int


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """A trial in some numbers; attributes as of a `Record`, of which it keeps what is read.

    Attributes:
        trial: all settings.
        configuration: revisions, and of the recipe the budget of FLOPs.
        counts: number of test predictions.
        layers: their names.
        timing: `TIMES`.
        data: size of the test split.
        fingerprint: what changes whenever the record does.
        weights: digest of the final weights; empty if none is recorded.
        signals: whether its layers have measures of gradient signals.
    """

    key: str
    status: str
    trial: Mapping[str, Any]
    configuration: Mapping[str, Any]
    metric: str
    metrics: Mapping[str, float]
    counts: Mapping[str, Counted]
    layers: Sequence[str]
    flops: Mapping[str, float]
    timing: Mapping[str, Any]
    data: Mapping[str, Any]
    declared: Declarations | None
    error: Mapping[str, str] | None
    never_updated: str
    finished: float
    sparsity: float
    fingerprint: str
    weights: str
    signals: bool


def has_signals(record: Record) -> bool:
    """Return whether a record's layers have measures of gradient signals."""
    return any(layer.signals for layer in record.layers)


def evaluated_weights(record: Record) -> str:
    """Return the digest of a record's final weights, as `TrialFacts.weights`."""
    return record.digests.get(WEIGHTS, "")


class FactsText(NamedTuple):
    """Facts of a trial as texts (JSON): what it shares with other seeds, and what is its own."""

    shared: str
    own: str


def facts_text(record: Record) -> FactsText:
    """Return what is read of a record, for `FactsReader`; much faster than to keep the record."""
    trial = {name: value for name, value in record.trial.items() if name != "seed"}
    configuration = {n: record.configuration[n] for n in RECORDED if n in record.configuration}
    recipe = record.configuration.get("recipe")
    if isinstance(recipe, Mapping):
        configuration["recipe"] = {n: v for n, v in recipe.items() if n == BUDGET}
    timing = {name: record.timing[name] for name in TIMES if name in record.timing}
    counts = record.counts.get("test")
    shared = {
        "trial": trial,
        "configuration": configuration,
        "status": record.status,
        "metric": record.metric,
        "metrics": [*record.metrics],
        "flops": [*record.flops],
        "timing": [*timing],
        "layers": [layer.name for layer in record.layers],
        "data": {name: value for name, value in record.data.items() if name == "test"},
        "tested": None if counts is None else counts.total,
        "declared": None if record.declared is None else record.declared.model_dump(),
        "never_updated": record.never_updated,
        "signals": has_signals(record),
    }
    own = [
        record.key,
        record.trial["seed"],
        record.fingerprint,
        evaluated_weights(record),
        record.finished,
        record.sparsity,
        [*record.metrics.values()],
        [*record.flops.values()],
        [*timing.values()],
        record.error,
    ]
    return FactsText(*(json.dumps(one, separators=(",", ":")) for one in (shared, own)))


class FactsReader:
    """Makes facts of texts; what several trials share is in memory once."""

    def __init__(self) -> None:
        self._shared: dict[str, dict[str, Any]] = {}

    def read(self, text: FactsText) -> TrialFacts:
        """Return the facts of a trial.

        Raises:
            ValueError, KeyError, TypeError: it is not the text of any.
        """
        if (shared := self._shared.get(text.shared)) is None:
            shared = self._shared[text.shared] = _parsed(text.shared)
        key, seed, fingerprint, weights, finished, sparsity, metrics, flops, timing, error = (
            from_json(text.own)
        )
        return TrialFacts(
            key=key,
            status=shared["status"],
            trial={**shared["trial"], "seed": seed},
            configuration=shared["configuration"],
            metric=shared["metric"],
            metrics=dict(zip(shared["metrics"], metrics, strict=True)),
            counts=shared["counts"],
            layers=shared["layers"],
            flops=dict(zip(shared["flops"], flops, strict=True)),
            timing=dict(zip(shared["timing"], timing, strict=True)),
            data=shared["data"],
            declared=shared["declared"],
            error=error,
            never_updated=shared["never_updated"],
            finished=finished,
            sparsity=sparsity,
            fingerprint=fingerprint,
            weights=weights,
            signals=shared["signals"],
        )


def facts_of(record: Record) -> TrialFacts:
    """Return the facts of a record."""
    return FactsReader().read(facts_text(record))


def _parsed(text: str) -> dict[str, Any]:
    shared: dict[str, Any] = from_json(text)
    tested, declared = shared["tested"], shared["declared"]
    shared["counts"] = {} if tested is None else {"test": Total(tested)}
    shared["declared"] = None if declared is None else Declarations.model_validate(declared)
    return shared
