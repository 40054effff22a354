"""The boards of the results that are part of the repository: the project's own, and submissions."""

import functools

from leaderboard.boards import Board, Excluded, build_boards
from leaderboard.bundles.bundle_file import SHIPPED, ablation_trials, each_once, read_bundles
from suite.core.errors import InvalidInput


@functools.cache
def shipped_boards() -> tuple[tuple[Board, ...], tuple[Excluded, ...]]:
    """Return the boards of all shipped trials but those of ablations, and which are left out.

    Raises:
        InvalidInput: a file of them cannot be used.
    """
    bundles, rejected = read_bundles(SHIPPED)
    for one in rejected:
        raise InvalidInput(f"shipped results: {one.where}: {one.reason}")
    apart = ablation_trials(bundles)
    records = [record for bundle in each_once(bundles) for record in bundle.records]
    boards, excluded = build_boards([record for record in records if record.key not in apart])
    return tuple(boards), tuple(excluded)
