"""Two methods of a store compared: the command's `compare` and the Python function of that name."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from leaderboard.boards import build_boards
from leaderboard.method_comparison import TUNED, MethodComparison, compare_entries
from leaderboard.prediction_comparison import PredictionComparison, compare_predictions
from leaderboard.selection import select
from suite.core.errors import InvalidInput
from suite.experiments.study import Study
from suite.results.metadata_store import DamagedDocument, each_once
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.trial_summaries import trial_summaries
from suite.tuning.schema import load_tunings, tuned_runs


@dataclass(frozen=True)
class StoreComparison:
    """The comparison; the trials and documents that cannot be read; pairs by test example."""

    report: MethodComparison
    damaged: list[CorruptRecord]
    documents: list[DamagedDocument]
    predictions: list[PredictionComparison]


def compare_in_store(
    store: Store,
    first: str,
    second: str,
    *,
    task: str | None = None,
    sparsities: Collection[float] = (),
    study: str | Path | Study | None = None,
    include_ablations: bool = False,
    rope: float | None = None,
) -> StoreComparison:
    """Compare two methods of a store; names and `rope` are those of `compare_entries`.

    Trials that belong to an ablation or a tuning only count with `include_ablations`, as part of
    the `study` (a name, a file or itself), or where ``METHOD:tuned`` is named.

    Raises:
        InvalidInput: as `compare_entries`; there is no such study; the store has no trial of it.
    """
    include_ablations |= any(name.partition(":")[2] == TUNED for name in (first, second))
    chosen = select(store, study, include_ablations=include_ablations)
    records, damaged = _of_methods(store, {_method(first), _method(second)})
    shown = [record for record in records if chosen.takes(record.key)]
    tunings, unread = load_tunings(store)
    boards, _ = build_boards(shown, tuned_runs(tunings))
    if not boards:
        raise InvalidInput(_nothing(store, chosen.study, len(records)))
    try:
        report = compare_entries(boards, first, second, task, sparsities, rope)
    except InvalidInput as error:
        if apart := len(records) - len(shown) if chosen.apart else 0:
            raise InvalidInput(
                f"{error}; {apart} trials of ablations and tunings count with --include-ablations"
            ) from None
        raise
    by_key = {record.key: record for record in shown}
    predictions, without = compare_predictions(store, report.lines, by_key)
    documents = each_once([*chosen.damaged, *unread])
    return StoreComparison(report, [*damaged, *without], documents, predictions)


def _of_methods(store: Store, methods: Collection[str]) -> tuple[list[Record], list[CorruptRecord]]:
    """Return the records of two methods; all, if one has none, so that messages name the others.

    A full record takes some 25 kB of memory, and a store may hold 100,000.
    """
    if len(methods) < 2:
        return store.read_all()
    summaries, damaged = trial_summaries(store)
    keys = [one.key for one in summaries if one.method in methods]
    if {one.method for one in summaries} >= set(methods):
        records, broken = store.read_each(sorted(keys))
        return records, [*damaged, *broken]
    return store.read_all()


def _method(name: str) -> str:
    """Return the method of ``METHOD``, ``METHOD@VERSION``, ``METHOD:SETTINGS``."""
    return name.partition(":")[0].partition("@")[0]


def _nothing(store: Store, study: str, records: int) -> str:
    """Return why there is no board, in one line: what is missing and what to do."""
    if study:
        return f"study {study} has no finished trial in store {store.location}: run it first"
    if records:
        return (
            f"store {store.location} holds only trials of ablations, tunings or searches: give "
            "--include-ablations or --study NAME (`resonance list studies`)"
        )
    return (
        f"store {store.location} holds no trials: name another with --store, or run a study first, "
        "e.g. `resonance study quickstart`"
    )
