"""Rows of the user's own code: the newest, older ones with results, failures mended since."""

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.boards import Boards, build_boards
from leaderboard.data_frames import results_frame
from leaderboard.site.build import build
from suite.core.errors import TrialFailed
from suite.results.record import Declarations, Record, RecordedMethod, failed
from tests.support.sample_records import done, make_trial

OLD, NEW = "a" * 16, "b" * 16


def own(record: Record, code: str, hour: int = 1) -> Record:
    """Return a record as one of a method of the user's own, of this code, ended at an hour."""
    about = RecordedMethod(title="Mine", family="own", source="here", code=code)
    timing = {"started": f"2025-01-01T{hour:02}:00:00+00:00", "seconds": 1.0}
    trial = record.trial | {"method": "mine"}
    declared = Declarations(method=about)
    return record.model_copy(update={"trial": trial, "declared": declared, "timing": timing})


def broken(seed: int, code: str, sparsity: float = 0.9) -> Record:
    trial = make_trial("static", seed=seed, sparsity=sparsity)
    return own(failed(trial, TrialFailed("loss is not finite")), code)


def fine(seed: int, code: str, hour: int, sparsity: float = 0.9) -> Record:
    return own(done(make_trial("static", seed=seed, sparsity=sparsity)), code, hour)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "newest first"])
def test_what_failed_before_the_code_was_changed_is_no_row_and_is_listed(order):
    records = [broken(0, OLD), broken(1, OLD), fine(2, NEW, 9)][::order]
    (board,), excluded = build_boards(records)
    assert [entry.label for entry, _ in board.rows] == ["Mine (mine)"]
    assert {one.key for one in excluded} == {one.key for one in records if one.status == "failed"}
    assert {one.reason for one in excluded} == {
        "it failed with older code (aaaaaa), and newer code has run there"
    }


def test_a_failure_of_the_newest_code_is_a_row():
    (board,), excluded = build_boards([fine(0, OLD, 1), own_failure_at(9, NEW)])
    labels = [entry.label for entry, _ in board.rows]
    assert labels == ["Mine (mine) (older code aaaaaa)", "Mine (mine)"]
    assert excluded == []


def own_failure_at(hour: int, code: str) -> Record:
    return own(failed(make_trial("static", seed=5), TrialFailed("broke")), code, hour)


def test_older_code_that_has_a_result_keeps_its_row_with_its_failures():
    records = [fine(0, OLD, 1), broken(1, OLD), fine(2, NEW, 9)]
    (board,), excluded = build_boards(records)
    rows = {entry.older: cells for entry, cells in board.rows}
    assert set(rows) == {"", "aaaaaa"}
    assert rows["aaaaaa"][0].failures == ["loss is not finite"]
    assert excluded == []


def test_a_failure_stays_where_no_newer_code_has_run():
    trial = make_trial("static", seed=2, task="fashion_mnist/lenet_300_100")
    boards, excluded = build_boards([broken(0, OLD), own(done(trial), NEW, 9)])
    assert [entry.older for board in boards for entry, _ in board.rows] == ["aaaaaa", ""]
    assert excluded == []


def test_its_place_is_off_the_board_and_tables_of_results_count_it_as_left_out():
    records = [broken(0, OLD), fine(2, NEW, 9)]
    boards = Boards()
    places = [boards.settled(one) for one in [boards.add(record) for record in records]]
    assert [one.on_board for one in places] == [False, True]
    frame, left = results_frame(records, {})
    assert (frame.height, left) == (1, 1)


def test_a_site_lists_it_as_left_out(tmp_path):
    records = [broken(0, OLD), fine(2, NEW, 9)]
    built = build(records, tmp_path)
    assert len(board_groups(built.boards)[0].boards[0].rows) == 1
    index = (tmp_path / "index.html").read_text()
    assert "it failed with older code (aaaaaa)" in index
    (page,) = (tmp_path / "methods").glob("mine-*.html")
    assert records[0].key not in page.read_text()
    assert (tmp_path / f"trials/{records[0].key}.html").is_file()
