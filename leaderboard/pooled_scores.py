"""Scores pooled over sparsities, by entry and task: the input of aggregates over tasks."""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.boards import Board, Cell, same_terms


@dataclass(frozen=True)
class MissingScore:
    """An entry (its label) without a score on a task (its title), and why."""

    entry: str
    task: str
    reason: str


@dataclass(frozen=True)
class PooledScores:
    """Scores of entries on tasks, pooled over sparsities.

    Attributes:
        scores: entry's label → task's title → seed → score, the mean over the sparsities.
            Sparsities of one seed share initial weights and batches, so they are not further runs.
        missing: where an entry has no score.
    """

    scores: dict[str, dict[str, dict[int, float]]]
    missing: list[MissingScore]

    def runs(self) -> dict[str, dict[str, list[float]]]:
        """Return entry → task → scores, in the order of the seeds."""
        return {
            label: {task: [by[seed] for seed in sorted(by)] for task, by in tasks.items()}
            for label, tasks in self.scores.items()
        }

    def means(self) -> dict[str, dict[str, float]]:
        """Return entry → task → mean score."""
        return {
            label: {task: statistics.fmean(scores) for task, scores in tasks.items()}
            for label, tasks in self.runs().items()
        }


def pooled_scores(
    boards: Sequence[Board],
    entries: Collection[str] | None = None,
    sparsities: Collection[float] | None = None,
) -> PooledScores:
    """Return the pooled scores of entries, named by label, over sparsities; None stands for all.

    An entry has a score on a task for the seeds that it has at every one of the sparsities of the
    task's board. If it has no run at one of them, it has no score: nothing is imputed. An entry
    without any score is left out.

    Raises:
        InvalidInput: the boards are on different terms.
    """
    same_terms(boards)
    scores: dict[str, dict[str, dict[int, float]]] = {}
    missing = []
    for board in boards:
        places = [
            i for i, s in enumerate(board.sparsities) if sparsities is None or s in sparsities
        ]
        for entry, cells in board.rows if places else []:
            if entries is not None and entry.label not in entries:
                continue
            means = seed_means([cells[place] for place in places])
            if means:
                scores.setdefault(entry.label, {})[board.title] = means
            else:
                reason = _why_missing({board.sparsities[place]: cells[place] for place in places})
                missing.append(MissingScore(entry.label, board.title, reason))
    return PooledScores(scores, missing)


def _why_missing(cells: Mapping[float, Cell | None]) -> str:
    """Return why an entry with these cells, by sparsity, has no seed at all of them."""
    lacking = [f"{sparsity:g}" for sparsity, cell in cells.items() if not cell or not cell.runs]
    if not lacking:
        return "no seed at all sparsities"
    if all(cell and cell.no_update for cell in cells.values() if not cell or not cell.runs):
        return f"no update of connectivity at sparsity {', '.join(lacking)}"
    return f"no finished trial at sparsity {', '.join(lacking)}"


def seed_means(cells: Sequence[Cell | None]) -> dict[int, float]:
    """Return seed → mean over the cells, for the seeds that all of them have."""
    by_seed = [cell.by_seed if cell else {} for cell in cells]
    seeds = set.intersection(*map(set, by_seed))
    return {seed: statistics.fmean(by[seed] for by in by_seed) for seed in sorted(seeds)}
