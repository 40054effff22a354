"""What boards claim: ranks and signs of one family, the same wherever a cell is shown."""

import re

import pytest

from leaderboard.board_claims import board_claims
from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import board_markdown, boards_markdown, spliced
from leaderboard.boards import Entry, build_boards
from leaderboard.pages.task_and_method_pages import board_views, method_page, task_page
from leaderboard.score_text import rope_text
from leaderboard.statistics.families import against_reference
from leaderboard.summary_table import summary_table
from tests.leaderboard.sample_boards import SCORES, SPARSITIES, TASKS, planted
from tests.support.sample_records import done, done_real, make_trial

RIGL = Entry("rigl", "")


@pytest.fixture(scope="module")
def boards():
    return build_boards(planted())[0]


def test_all_boards_are_one_family(boards):
    found, one = board_claims(boards), board_claims(boards[:1])
    # Two tasks, three sparsities, five methods besides RigL; at 0.98 of one task three are lacking.
    assert found.comparisons == 2 * 3 * 5 - 3
    assert one.comparisons == 3 * 5 - 3
    assert found.reference == "RigL"
    assert "Holm-corrected over the 27 comparisons with RigL in all cells shown." in (
        found.sentences()
    )
    pairs = [15] * 5 + [3]  # of six methods; of three at 0.98 of the first task
    assert found.pairs == sum(pairs)
    assert "one comparison" in board_claims(_only(boards, {"rigl", "set"}, 1)).sentences()


def _only(boards, methods, columns):
    records = [
        record
        for record in planted()
        if record.trial["method"] in methods
        and record.trial["task"] == TASKS[1]
        and record.trial["sparsity"] in SPARSITIES[:columns]
    ]
    return build_boards(records)[0]


def test_a_sign_says_the_difference_and_its_corrected_p(boards):
    signs = board_claims(boards).signs[TASKS[1], 0.8]
    by_method = {entry.method: sign for entry, sign in signs.items()}
    assert {m: s.sign for m, s in by_method.items() if m != "granet"} == dict.fromkeys(
        ["set", "snip", "static", "resonance"], "▼"
    )
    assert re.fullmatch(
        r"worse than RigL: difference −2\.00 points, 95 % interval −2\.0\d … −1\.9\d, "
        r"corrected p (= 0\.\d+|< 0\.001)",
        by_method["set"].reason,
    )
    assert RIGL not in signs


def test_a_small_difference_with_enough_seeds_is_equivalent():
    alike = [
        done(make_trial(method, seed=seed), 0.9 + ((seed + shift) % 3) / 1000)
        for shift, method in enumerate(("rigl", "set"))
        for seed in range(8)
    ]
    found = board_claims(build_boards(alike)[0])
    ((sign,),) = [tuple(by.values()) for by in found.signs.values()]
    assert (sign.verdict, sign.sign) == ("equivalent", "≈")
    assert sign.reason.startswith("equivalent to RigL within ± 0.5 points: difference")


def test_without_the_reference_there_is_no_sign_and_no_sentence():
    records = [r for r in planted() if r.trial["method"] != "rigl"]
    found = board_claims(build_boards(records)[0])
    assert (found.signs, found.reference, found.comparisons) == ({}, "", 0)
    assert found.sentences() == ""
    assert board_claims([]).sentences() == ""
    other = board_claims(build_boards(records)[0], "set")
    assert other.reference == "SET"
    assert other.comparisons > 0


def test_metrics_that_are_not_in_per_cent_have_no_region():
    trials = [(method, seed) for method in ("rigl", "set") for seed in range(6)]
    real = [done_real(make_trial(m, task="diabetes/mlp", seed=s), 0.4 + s / 100) for m, s in trials]
    both = [*real, *planted()]
    assert "per cent" not in board_claims(build_boards(planted())[0]).within
    found = board_claims(build_boards(both)[0])
    assert found.within == "0.5 points (only where scores are in per cent)"
    alone = board_claims(build_boards(real)[0])
    assert alone.within == ""
    assert "equivalent" not in alone.sentences()
    board = build_boards(real)[0][0]
    assert rope_text(board.metric, 0.1) == "0.1 of test R²"
    assert rope_text(build_boards(planted())[0][0].metric, 0.01) == "1 point"


def test_a_cell_says_the_same_on_every_page(boards):
    claims = board_claims(boards)
    views = board_views(*board_groups(boards), [])
    whole = summary_table(boards)
    for place, view in enumerate(views):
        own = summary_table([view.board], claims)
        assert own == view.summary_table
        rows = {row.entry: row.cells for row in whole.rows}
        for row in own.rows:
            first = 3 * place
            assert [(c.rank, c.marks) for c in row.cells] == [
                (c.rank, c.marks) for c in rows[row.entry][first : first + 3]
            ]
    for page in (task_page(views[1]), method_page("set", views)):
        assert "over the 27 comparisons with RigL in all cells of the leaderboard." in page


def test_the_readme_has_the_signs_and_says_over_what_they_are_corrected(boards):
    text = spliced(boards_markdown(board_groups(boards)), ("before\n", "\nafter"))
    assert "over the 27 comparisons with RigL in all these tables." in text
    rows = [line for line in text.splitlines() if line.startswith("| SET |")]
    assert [line.count("▼") for line in rows] == [2, 3]
    assert "▼" not in board_markdown(boards[0])


def test_it_is_the_family_of_the_statistics(boards):
    from leaderboard.board_claims import family_cells

    cells = [cell for board in boards for cell in family_cells(board)]
    family = against_reference(cells, "RigL")
    assert family.tested == board_claims(boards).comparisons
    assert {cell.resolution for cell in cells} == {1 / 360, 1 / 10_000}
    assert set(cells[0].scores) == {Entry(m, "").label for m in SCORES}
