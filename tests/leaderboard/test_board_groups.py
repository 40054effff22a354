"""Boards at equal steps and at equal training FLOPs: apart in every figure, beside each other."""

import json
import re

import pytest

from leaderboard.board_claims import board_claims
from leaderboard.board_groups import board_groups, on_other_terms
from leaderboard.board_markdown import BEGIN, END, boards_markdown, spliced
from leaderboard.boards import build_boards, same_terms
from leaderboard.chart_rows import ALL, CHART_ROWS
from leaderboard.charts.board_charts import board_charts
from leaderboard.data_frames import summary_frame
from leaderboard.method_comparison import compare_entries
from leaderboard.pages.index_page import index_page
from leaderboard.pages.paper_view import paper_table
from leaderboard.pages.task_and_method_pages import board_views, method_page, task_page
from leaderboard.pooled_scores import pooled_scores
from leaderboard.site.build import build
from leaderboard.summary_table import summary_table
from leaderboard.terms import EQUAL_STEPS, Terms
from suite.core.errors import InvalidInput
from tests.leaderboard.at_equal_flops import BUDGET, OFF, at_equal_flops
from tests.leaderboard.sample_boards import TASKS, planted
from tests.support.sample_records import done, make_trial

AT_BUDGET = Terms(BUDGET)


@pytest.fixture(scope="module")
def both():
    return build_boards([*planted(), *at_equal_flops()])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("terms") / "site"
    build([*planted(), *at_equal_flops()], out)
    return out


def test_records_with_a_budget_form_boards_of_their_own(both):
    boards, _ = both
    titles = {board.title: board.terms for board in boards}
    assert titles == dict.fromkeys(TASKS, EQUAL_STEPS) | {
        f"{task} (flops_budget=0.3)": AT_BUDGET for task in TASKS
    }
    alone, _ = build_boards(planted())
    assert [b.rows for b in boards if b.terms == EQUAL_STEPS] == [b.rows for b in alone]


def test_records_off_their_budget_are_listed_and_their_cells_say_so(both):
    boards, excluded = both
    off = [one for one in excluded if "its flops_budget of" in one.reason]
    assert len(off) == 5
    (method, sparsity) = next(iter(OFF))
    board = next(b for b in boards if b.terms == AT_BUDGET and b.task == TASKS[0])
    (cell,) = [c.cell for c in board.cells() if (c.entry.method, c.sparsity) == (method, sparsity)]
    assert cell.runs == []
    assert len(cell.off_budget) == 5
    row = next(row for row in summary_table([board]).rows if row.entry.method == method)
    (mark,) = row.cells[board.sparsities.index(sparsity)].marks
    assert (mark.kind, mark.sign) == ("off-budget", "off budget")
    assert "5.0 % above" in mark.reason


def test_costs_are_multiples_of_dense_training_not_of_the_shorter_dense_one(both):
    boards, _ = both
    for board in (board for board in boards if board.terms == AT_BUDGET):
        costs = {c.cost for row in summary_table([board]).rows for c in row.cells if c.mean}
        assert costs == {"0.30×"}


def test_no_table_and_no_pooled_score_is_of_both(both):
    boards, _ = both
    words = "at equal steps and at equal training FLOPs .* never put together: give .* board_groups"
    for function in (summary_table, pooled_scores, same_terms, board_claims, board_charts):
        with pytest.raises(InvalidInput, match=words):
            function(boards)
    groups = board_groups(boards)
    assert [group.terms for group in groups] == [EQUAL_STEPS, AT_BUDGET]
    assert [group.page for group in groups] == ["index.html", "equal-flops-0.3.html"]
    for group in groups:
        pooled = pooled_scores(group.boards)
        assert {task for tasks in pooled.scores.values() for task in tasks} == {
            board.title for board in group.boards
        }
        for figure in CHART_ROWS.values():
            figure(group.boards, ALL)
    assert CHART_ROWS["cost"](groups[1].boards, ALL) == []  # all cost the same
    rows = summary_frame(boards).to_dicts()
    assert {(row["recipe"], row["flops_budget"]) for row in rows} == {
        ("", 0.0), ("flops_budget=0.3", 0.3)
    }  # fmt: skip
    (off,) = [row for row in rows if row["off_budget"]]
    assert (off["method"], off["sparsity"], off["n"]) == ("granet", 0.98, 0)


def test_without_boards_there_is_one_page_and_one_kind_alone_has_the_main_page():
    (empty,) = board_groups([])
    assert (empty.terms, empty.boards, empty.page) == (EQUAL_STEPS, (), "index.html")
    boards, _ = build_boards(at_equal_flops())
    (group,) = board_groups(boards)
    assert (group.terms, group.page, group.prefix) == (AT_BUDGET, "index.html", "")
    page = index_page(boards, [], groups=board_groups(boards))
    assert AT_BUDGET.claim in page
    assert 'class="terms"' not in page


def test_a_board_stands_beside_those_that_differ_in_their_terms_alone(both):
    boards, _ = both
    for board in boards:
        beside = on_other_terms(board, boards)
        assert [one.terms for one in beside] == [EQUAL_STEPS, AT_BUDGET]
        assert {one.task for one in beside} == {board.task}
    longer = [r for r in planted() if r.trial["task"] == TASKS[0]]
    for record in longer:
        record.trial["recipe"] = {"epochs": 3}
    other, _ = build_boards(longer)
    assert on_other_terms(other[0], [*other, *boards]) == other


def test_two_methods_are_compared_board_by_board_and_not_over_both_kinds(both):
    boards, _ = both
    report = compare_entries(boards, "rigl", "set")
    assert {line.task for line in report.lines} == {board.title for board in boards}
    assert report.overall is None
    assert "some boards are at equal steps" in report.verdict
    alone = compare_entries(board_groups(boards)[1].boards, "rigl", "set")
    assert alone.overall is not None


def test_pages_with_tables_of_both_kinds_name_the_family_of_each(site, both):
    boards, _ = both
    families = {
        group.terms: board_claims(group.boards).comparisons for group in board_groups(boards)
    }
    for page in (site / "methods").glob("set-*.html"), (site / "tasks").glob("digits-mlp*.html"):
        text = next(page).read_text()
        assert (
            f"over the {families[EQUAL_STEPS]} comparisons with RigL in all cells of the "
            "leaderboard at equal steps. At equal training FLOPs (0.3 × dense): over "
            f"{families[AT_BUDGET]} of its own."
        ) in text


def test_a_task_page_says_what_its_trials_change_of_the_recipe(site):
    own, changed = sorted((site / "tasks").glob("digits-mlp*.html"), key=lambda p: len(p.name))
    assert "Run with flops budget 0.3 (declared: 0.0)." in changed.read_text()
    assert "Run with" not in own.read_text()


def test_markdown_heads_each_kind_by_its_claim(both):
    boards, _ = both
    text = spliced(boards_markdown(board_groups(boards)), ("", ""))
    places = [text.index(terms.claim) for terms in (EQUAL_STEPS, AT_BUDGET)]
    assert places == sorted(places)
    assert "off budget" in text[places[1] :]
    assert "flops\\_budget" not in text[: places[1]]
    alone, _ = build_boards(planted())
    assert EQUAL_STEPS.claim not in spliced(boards_markdown(board_groups(alone)), ("", ""))
    assert text.startswith(BEGIN)
    assert text.endswith(END)


def visible(path) -> str:
    """Return a page's text without scripts, as a reader without JavaScript has it."""
    text = re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_each_kind_has_a_page_that_links_to_the_other(site):
    for page, own, other in (
        ("index.html", EQUAL_STEPS, "equal-flops-0.3.html"),
        ("equal-flops-0.3.html", AT_BUDGET, "index.html"),
    ):
        text = (site / page).read_text(encoding="utf-8")
        assert own.claim in visible(site / page)
        assert f'<a href="{other}">' in text
        assert f'<a href="{page}" aria-current="page">' in text
    titles = r'<th scope="col" class="plot task"><a [^>]*title="([^"]+)"'
    shown = re.findall(titles, (site / "index.html").read_text(encoding="utf-8"))
    assert shown == list(TASKS)


def test_a_task_s_page_shows_both_tables_each_under_its_claim(site, both):
    boards, _ = both
    views = board_views(*board_groups([b for b in boards if b.terms == EQUAL_STEPS]), [])
    views += board_views(*board_groups([b for b in boards if b.terms == AT_BUDGET]), [])
    for view in views:
        text = (site / view.page).read_text(encoding="utf-8")
        pair = text[text.index('<h2 id="table">') :]
        claims = [pair.index(terms.claim) for terms in (EQUAL_STEPS, AT_BUDGET)]
        tables = [match.start() for match in re.finditer("<table>", pair)][:2]
        assert claims[0] < tables[0] < claims[1] < tables[1]
        own, other = views.index(view), views[(views.index(view) + 2) % 4]
        assert f'href="../{other.page}"' in pair
        assert own == views.index(view)
        assert task_page(view).count("Methods by sparsity on") == 2  # without the other, no pair
        assert text.count("Methods by sparsity on") == 4


def test_the_paper_view_and_its_pictures_say_on_which_terms_they_are(site):
    text = visible(site / "paper.html")
    assert text.count("At equal training FLOPs (0.3 × dense). ") >= 2
    assert (site / "paper.html").read_text(encoding="utf-8").count('<p class="note">At equal') == 2
    assert "Rating, at equal steps." in text
    assert "Rating, at equal training FLOPs (0.3 × dense)." in text
    assert (site / "charts" / "rating.svg").is_file()
    assert (site / "charts" / "equal-flops-0.3-rating.svg").is_file()
    assert not (site / "charts" / "equal-flops-0.3-cost.svg").exists()


def test_a_table_of_a_paper_says_that_it_is_at_equal_training_flops(both):
    boards, _ = both
    for board in boards:
        table = paper_table(board, board_claims([board]))
        for text in (table.terms + table.caption, table.latex, table.markdown):
            assert ("t equal training FLOPs (0.3" in text) == (board.terms == AT_BUDGET)
            assert "in this table)." in text


def test_a_method_s_page_has_figures_for_each_kind(both, site):
    boards, _ = both
    views = [
        view
        for terms in (EQUAL_STEPS, AT_BUDGET)
        for view in board_views(*board_groups([b for b in boards if b.terms == terms]), [])
    ]
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', method_page("set", views))[1])
    named = {one["name"]: one["where"] for one in figures}
    assert named == {
        "accuracy": ", at equal steps",
        "equal-flops-0.3-accuracy": ", at equal training FLOPs (0.3 × dense)",
    }
    for one in figures:
        budgets = {"flops_budget" in row["task"] for row in one["rows"]}
        assert budgets == {one["name"] != "accuracy"}
    (alone,) = json.loads(
        re.search(r'id="figures">(.*?)</script>', method_page("set", views[:2]))[1]
    )
    assert (alone["name"], alone["where"]) == ("accuracy", "")


def test_a_list_of_trials_marks_those_off_their_budget(site):
    page = next(iter(site.glob("methods/granet-*.html")))
    assert visible(page).count("off budget") == 1 + 5  # the cell, and its trials


def test_a_recipe_is_that_of_the_trials_beside_what_the_task_declares():
    records = [
        done(make_trial("set", seed=s, recipe={"epochs": 3, "milestones": ["0.5", "0.75"]}))
        for s in (0, 1)
    ]
    (board,), _ = build_boards(records)
    (view,) = board_views(*board_groups([board]), [])
    page = task_page(view)
    found = re.findall(r'<tr><th scope="row">([^<]+)</th><td>(.*?)</td></tr>', page)
    rows = {name: re.sub("<[^>]+>", "", value) for name, value in found}
    assert rows["epochs"] == "3 declared: 20"
    assert rows["milestones"] == "0.5,0.75 declared: none"
    assert rows["batch size"] == "32"
    assert "Epochs and max steps are those of dense training" not in page


def test_tables_at_equal_training_flops_alone_say_so_too():
    budgeted, _ = build_boards(at_equal_flops())
    usual, _ = build_boards(planted())
    head = "**At equal training FLOPs (0.3 × dense).**"
    assert spliced(boards_markdown(board_groups(budgeted)), ("", "")).count(head) == 1
    assert "**At equal" not in spliced(boards_markdown(board_groups(usual)), ("", ""))
