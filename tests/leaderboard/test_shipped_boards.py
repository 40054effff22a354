"""The boards of what is shipped: without the trials of ablations, and never from a damaged file."""

import pytest

from leaderboard import shipped_boards
from leaderboard.bundles.bundle_file import Header, write_bundle
from suite.core.errors import InvalidInput
from tests.leaderboard.sample_bundles import sample


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Return a folder that stands for what is shipped."""
    monkeypatch.setattr(shipped_boards, "SHIPPED", (tmp_path,))
    shipped_boards.shipped_boards.cache_clear()
    yield tmp_path
    shipped_boards.shipped_boards.cache_clear()


def test_boards_are_of_all_records_each_once(shipped):
    records = [sample("rigl", seed) for seed in range(3)]
    for name, some in {"one": records[:2], "two": records[1:]}.items():
        write_bundle(some, Header.make(name=name), shipped / f"{name}.jsonl.gz")
    (board,), excluded = shipped_boards.shipped_boards()
    ((_, (cell,)),) = board.rows
    assert cell.seeds == [0, 1, 2]
    assert excluded == ()


def test_a_file_that_cannot_be_used_is_named(shipped):
    (shipped / "bad.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match=r"shipped results: bad\.jsonl\.gz"):
        shipped_boards.shipped_boards()
