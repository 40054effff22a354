"""Scores pooled over sparsities, by entry and task: the input of aggregates over tasks."""

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from leaderboard.boards import Board, Cell


@dataclass(frozen=True)
class PooledScores:
    """Scores of entries on tasks, pooled over sparsities.

    Attributes:
        scores: entry's label → task's title → seed → score, the mean over the sparsities.
            Sparsities of one seed share initial weights and batches, so they are not further runs.
        missing: entry's label, task's title, and why the entry has no score there.
    """

    scores: dict[str, dict[str, dict[int, float]]]
    missing: list[tuple[str, str, str]]

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
    """
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
                missing_at = [
                    f"{board.sparsities[place]:g}"
                    for place in places
                    if not (cell := cells[place]) or not cell.runs
                ]
                reason = f"no finished trial at sparsity {', '.join(missing_at)}"
                missing.append(
                    (
                        entry.label,
                        board.title,
                        reason if missing_at else "no seed at all sparsities",
                    )
                )
    return PooledScores(scores, missing)


def seed_means(cells: Sequence[Cell | None]) -> dict[int, float]:
    """Return seed → mean over the cells, for the seeds that all of them have."""
    by_seed = [cell.by_seed if cell else {} for cell in cells]
    seeds = set.intersection(*map(set, by_seed))
    return {seed: statistics.fmean(by[seed] for by in by_seed) for seed in sorted(seeds)}
