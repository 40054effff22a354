"""The boards of a study are of its own trials, and one family."""

from leaderboard.board_groups import board_groups
from leaderboard.boards import build_boards
from leaderboard.study_boards import study_boards
from tests.leaderboard.sample_boards import TASKS, planted


def test_each_study_has_the_boards_of_its_own_trials():
    given = planted()
    groups = board_groups(build_boards(given)[0])
    keys = {one.key for one in given if one.trial["task"] == TASKS[0]}
    found = study_boards({"one": keys, "none": {"a" * 16}}, given, groups, {})
    assert set(found.of_study) == {"one"}
    (group,) = found.of_study["one"]
    assert [board.task for board in group.boards] == [TASKS[0]]
    assert [board.task for one in found.of_none for board in one.boards] == [TASKS[1]]
    assert 0 < group.claims.comparisons < groups[0].claims.comparisons


def test_of_a_study_of_all_trials_the_boards_are_those_of_the_leaderboard():
    given = planted()
    groups = board_groups(build_boards(given)[0])
    found = study_boards({"all": {one.key for one in given}}, given, groups, {})
    assert found.of_study["all"] is groups
    assert not any(group.boards for group in found.of_none)
