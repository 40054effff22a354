"""Rows of one cell: the score, and the difference from the reference with its corrected p."""

import re

from leaderboard.board_claims import board_claims
from leaderboard.board_groups import board_groups
from leaderboard.boards import build_boards
from leaderboard.pages.study_page import ShownStudy, study_page
from leaderboard.pages.task_and_method_pages import board_views, method_page, task_page
from leaderboard.result_tables import TOO_FEW, dense_note, difference_note, result_tables
from leaderboard.summary_table import summary_table
from suite.core.errors import TrialFailed
from suite.results.record import failed
from tests.leaderboard.sample_boards import TASKS, planted
from tests.support.sample_records import done, done_real, make_trial


def tables(given, **options):
    board = build_boards(given)[0][0]
    claims = board_claims([board])
    return result_tables(board, summary_table([board], claims), claims, **options)


def rows(given, **options):
    (table,) = tables(given, **options)
    return {row.entry.method: row for row in table.rows}


def records(**scores):
    return [
        done(make_trial(method, seed=seed), score, 100.0 if method == "dense" else 25.0)
        for method, found in scores.items()
        for seed, score in enumerate(found)
    ]


FIVE = [0.90, 0.902, 0.898, 0.901, 0.899]


def test_a_row_has_score_seeds_difference_interval_p_sparsity_and_cost():
    given = records(set=[x - 0.05 for x in FIVE], rigl=FIVE, dense=FIVE, snip=FIVE[:2])
    found = rows(given)
    assert list(found) == ["dense", "rigl", "snip", "set"]
    own = found["set"]
    assert (own.cell.mean, own.seeds, own.difference) == ("85.00", 5, "−5.00")
    low, high = own.interval.replace("−", "-").split(" … ")
    assert float(low) < -5 < float(high)
    assert own.p == "< 0.001"
    assert own.cell.cost == "0.25×"
    assert found["snip"].p == TOO_FEW
    assert found["snip"].difference == "+0.00"
    for name in ("dense", "rigl"):
        row = found[name]
        assert row.reference
        assert (row.difference, row.interval, row.p) == ("", "", "")
    assert {float(found[name].sparsity) for name in ("rigl", "set")} == {90.0}


def test_less_is_better_is_a_difference_of_the_values():
    given = [
        done_real(make_trial(method, task="diabetes/mlp", seed=seed), score + seed / 100)
        for method, score in (("rigl", 0.4), ("set", 0.3))
        for seed in range(5)
    ]
    assert rows(given)["set"].difference.startswith("−0.1")


def test_without_the_reference_there_is_no_difference():
    given = records(set=FIVE, dense=FIVE)
    assert rows(given)["set"].difference == ""
    assert difference_note(board_claims(build_boards(given)[0])) == ""
    assert "from RigL" in difference_note(
        board_claims(build_boards(records(rigl=FIVE, set=FIVE))[0])
    )


def test_chosen_rows_have_dense_and_the_reference_beside_them_where_they_ran():
    given = [*planted(), failed(make_trial("snip", seed=90), TrialFailed("loss is not finite"))]
    board = build_boards(given)[0][0]
    (static,) = [entry for entry, _ in board.rows if entry.method == "static"]
    found = tables(given, only=[static])
    assert [table.sparsity for table in found] == [0.8, 0.9]  # it is not run at 0.98
    assert [[row.entry.method for row in table.rows] for table in found] == [
        ["dense", "rigl", "static"]
    ] * 2


def test_a_board_without_dense_says_how_to_add_it():
    board = build_boards(records(set=FIVE))[0][0]
    assert "methods: [dense, …]" in dense_note(board)
    assert "Training FLOPs" in dense_note(board)
    assert dense_note(build_boards(records(set=FIVE, dense=FIVE[:1]))[0][0]) == ""
    (view,) = board_views(*board_groups([board]), [])
    for page in (task_page(view), method_page("set", [view]), of_study(records(set=FIVE))):
        assert dense_note(board) in page
    failed_alone = [*records(set=FIVE), failed(make_trial("dense"), TrialFailed("broke"))]
    assert dense_note(build_boards(failed_alone)[0][0])


def of_study(given):
    study = ShownStudy("mine", "Which is best?", {}, {one.key: one.trial for one in given})
    groups = board_groups(build_boards(given)[0])
    return study_page(study, {one.key: one for one in given}.get, groups)


def test_pages_of_a_study_and_of_a_method_show_the_difference_and_over_what_it_is_corrected():
    given = planted()
    boards = build_boards(given)[0]
    study = of_study(given)
    assert study.count('<table class="results">') == len(TASKS)
    assert "Holm-corrected over the 27 comparisons with RigL of this study." in study
    assert "These are the p-values to quote in a paper" in study
    method = method_page("set", board_views(*board_groups(boards), []))
    assert "In a paper quote the p-values of the" in method
    for page in (study, method):
        body = page.split("sparsity 0.9")[1].split("</tbody>")[0]
        (row,) = re.findall(r'<tr><th scope="row"><a [^>]*>SET</a>.*?</tr>', body, re.DOTALL)
        assert "<td>−2.00</td>" in row
        assert ">RigL</a>" in body


def test_a_study_shows_no_rows_of_others():
    given = planted()
    own = [one for one in given if one.trial["method"] != "granet"]
    study = ShownStudy("mine", "", {}, {one.key: one.trial for one in own})
    page = study_page(study, {}.get, board_groups(build_boards(own)[0]))
    assert "GraNet" not in page
