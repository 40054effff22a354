"""The benchmark of the page has as many rows as it says."""

from suite.bench.page import large_boards


def test_there_are_two_thousand_rows_with_a_value_in_every_column():
    boards = large_boards()
    cells = [cell for board in boards for cell in board.cells()]
    assert len(cells) == 2000
    assert len({run.key for _, _, cell in cells for run in cell.runs}) == 10_000
