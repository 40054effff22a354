"""The boards of each study by itself: of its own trials, and corrected together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_groups import BoardGroup, board_groups
from leaderboard.boards import Board, Boards
from leaderboard.trial_facts import TrialResult


@dataclass(frozen=True)
class StudyBoards:
    """Boards by study.

    Attributes:
        of_study: the boards of each study that has results, by its name.
        of_none: those of the trials that belong to no study.
    """

    of_study: Mapping[str, Sequence[BoardGroup]]
    of_none: Sequence[BoardGroup]


def study_boards(
    studies: Mapping[str, Collection[str]],
    results: Sequence[TrialResult],
    groups: Sequence[BoardGroup],
    tuned: Mapping[str, Collection[str]],
) -> StudyBoards:
    """Return the boards of each study, given the keys of its trials.

    `results` are those on the boards of `groups`; `tuned` is as for `Boards`. A trial of several
    studies is on the boards of each.
    """

    def made(own: Sequence[TrialResult]) -> Sequence[BoardGroup]:
        return groups if len(own) == len(results) else board_groups(_boards(own, tuned))

    found: dict[str, Sequence[BoardGroup]] = {}
    of_studies: set[str] = set()
    for name, keys in studies.items():
        own = [one for one in results if one.key in keys]
        of_studies.update(one.key for one in own)
        if own:
            found[name] = made(own)
    return StudyBoards(found, made([one for one in results if one.key not in of_studies]))


def _boards(results: Iterable[TrialResult], tuned: Mapping[str, Collection[str]]) -> list[Board]:
    collection = Boards(tuned)
    for one in results:
        collection.add(one)
    return collection.built()
