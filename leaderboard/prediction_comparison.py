"""Trials of two methods compared example by example, where their predictions are stored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leaderboard.method_comparison import CellComparison
from leaderboard.statistics.mcnemar import exact_p
from suite.core.errors import InvalidInput
from suite.results.correct_bits import discordant, load_correct_bits
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store


@dataclass(frozen=True)
class PredictionComparison:
    """Two trials of one seed on the same test examples.

    Attributes:
        task, sparsity, seed: what both share.
        first, second: their keys.
        total: predictions on the test split; of text, characters.
        first_only, second_only: those that only one of both has right.
        p: McNemar's exact test of these two, two-sided, not corrected.
    """

    task: str
    sparsity: float
    seed: int
    first: str
    second: str
    total: int
    first_only: int
    second_only: int
    p: float


def compare_predictions(
    store: Store, lines: Iterable[CellComparison], records: Mapping[str, Record]
) -> tuple[list[PredictionComparison], list[CorruptRecord]]:
    """Return the comparisons of all pairs of trials whose predictions are stored.

    Seeds are not put together: their trials are tested on the same examples, so their p-values
    are not independent. Trials whose predictions are missing or damaged are returned too.
    """
    pairs = [
        (line, seed, records[first], records[second])
        for line in lines
        for seed, (first, second) in line.trials.items()
    ]
    stored: dict[str, bytes | None] = {}
    damaged: list[CorruptRecord] = []
    for record in {r.key: r for _, _, *both in pairs for r in both}.values():
        try:
            stored[record.key] = load_correct_bits(store, record)
        except InvalidInput as error:
            damaged.append(CorruptRecord(record.key, error))
    found = []
    for line, seed, first, second in pairs:
        bits, others = stored.get(first.key), stored.get(second.key)
        same = first.data.get("checksum") == second.data.get("checksum")
        if not same or bits is None or others is None or len(bits) != len(others):
            continue
        only, total = discordant(bits, others), first.counts["test"].total
        where = (line.task, line.sparsity, seed, first.key, second.key)
        found.append(PredictionComparison(*where, total, *only, exact_p(*only)))
    return found, damaged
