"""The main page as it is written: what it holds, and what it keeps from running."""

import base64
import hashlib
import html
import json
import re

import pytest

from leaderboard.board_claims import board_claims
from leaderboard.boards import build_boards
from leaderboard.pages.index_page import INDEX_SCRIPTS, index_page
from leaderboard.pages.templating import asset, embedded_code, embedded_data
from leaderboard.statistics.multiple_comparisons import rank_intervals
from leaderboard.summary_table import SummaryTable, is_best, summary_table
from suite.results.record import Record
from tests.leaderboard.sample_boards import SCORES, SPARSITIES, TASKS, hostile, planted
from tests.support.sample_records import done, make_trial


def page(records: list[Record]) -> str:
    return index_page(*build_boards(records))


def table(records: list[Record]) -> SummaryTable:
    return summary_table(build_boards(records)[0])


# ---------------------------------------------------------------- at a glance


def test_the_table_has_every_competitor_at_every_sparsity_of_every_task():
    shown = table(planted())
    assert [(head.title, head.sparsities) for head in shown.heads] == [
        (task, list(SPARSITIES)) for task in TASKS
    ]
    assert {row.entry.method for row in shown.rows} == {"dense", *SCORES}
    assert {len(row.cells) for row in shown.rows} == {len(TASKS) * len(SPARSITIES)}


def test_dense_goes_first_and_the_others_as_they_stand_on_average():
    methods = [row.entry.method for row in table(planted()).rows]
    assert methods == ["dense", "rigl", "granet", "set", "snip", "resonance", "static"]


def test_a_cell_says_mean_interval_rank_and_cost():
    rigl = next(row for row in table(planted()).rows if row.entry.method == "rigl")
    first = rigl.cells[0]
    assert (first.mean, first.half, first.rank, first.cost) == ("95.00", "0.17", "1–2", "0.40×")


def test_dense_stands_beside_the_others_without_a_rank():
    boards = build_boards(planted())[0]
    found = list(board_claims(boards).ranks.values())
    by_seed = [
        {
            entry.method: cell.by_seed
            for entry, cells in board.rows
            if (cell := cells[place]) and cell.runs and not entry.dense
        }
        for board in boards
        for place in range(len(SPARSITIES))
    ]
    assert set(by_seed[0]) == set(SCORES)
    # All pairs of both tasks are one family.
    expected = rank_intervals(by_seed)
    assert [{e.method: rank for e, rank in ranks.items()} for ranks in found] == expected


def test_best_is_who_is_not_shown_to_be_worse_and_shown_to_be_better_than_half():
    first = {row.entry.method for row in table(planted()).rows if row.cells[0].best}
    assert first == {"rigl", "granet"}
    few = {row.entry.method for row in table(planted(4)).rows if row.cells[0].best}
    assert few == set()
    entries = [row.entry for row in table(planted()).rows if not row.entry.dense]
    told = dict(zip(entries, [(1, 3), (1, 4), (1, 6), (2, 6), (4, 6), (4, 6)], strict=True))
    assert [is_best(entry, 5, told) for entry in entries] == [True] + [False] * 5
    assert not is_best(entries[0], 4, told)
    assert not is_best(entries[0], 5, {entries[0]: (1, 1)})


def test_the_highest_mean_is_said_of_those_with_enough_seeds_and_is_no_claim():
    alike = [
        done(make_trial(method, seed=seed), 0.9 + shift / 1000 + (seed + shift) % 5 / 50)
        for shift, method in enumerate(("rigl", "set", "snip"))
        for seed in range(5 if method != "snip" else 3)
    ]
    cells = {row.entry.method: row.cells[0] for row in table(alike).rows}
    assert [method for method, cell in cells.items() if cell.top] == ["set"]
    assert [method for method, cell in cells.items() if cell.best] == []
    assert cells["set"].rank == "1–3"


def test_signs_say_why_a_cell_is_not_as_the_others():
    place = SPARSITIES.index(0.98)
    rows = {row.entry.method: row.cells[place] for row in table(planted()).rows}
    found = {method: [(one.kind, one.sign) for one in cell.marks] for method, cell in rows.items()}
    assert found["rigl"] == []
    assert found["static"] == [("missing", "–")]
    assert found["set"] == [("failed", "✕5")]
    assert found["snip"] == [("few", "n=3")]
    assert found["granet"] == [("off", "s=50.0 %")]
    (off,) = (one for one in rows["granet"].marks if one.kind == "off")
    assert off.reason == "50.0 % of the weights are zero, not the nominal 98 %"
    assert found["resonance"] == [("worse", "▼"), ("outdated", "↺1")]
    worse, _ = rows["resonance"].marks
    assert worse.reason.startswith("worse than RigL: difference −4.00 points, 95 % interval −4.")
    assert worse.reason.endswith("corrected p < 0.001")
    assert rows["snip"].rank == ""
    assert rows["set"].mean == ""


@pytest.mark.parametrize(("zeros", "marked"), [(900, 0), (895, 0), (905, 0), (894, 1), (906, 1)])
def test_half_a_point_off_the_nominal_sparsity_is_not_marked(zeros, marked):
    record = done(make_trial())
    record.layers[0].zeros = zeros
    (row,) = table([record]).rows
    assert sum(one.kind == "off" for one in row.cells[0].marks) == marked


def test_a_small_dense_network_has_no_zeros_to_be_off():
    record = done(make_trial("small_dense"))
    record.layers[0].zeros = 0
    (row,) = table([record]).rows
    assert [one.kind for one in row.cells[0].marks] == ["few"]


# ---------------------------------------------------------------- the file


def test_what_is_left_out_is_listed_with_its_reason():
    old = done(make_trial())
    old.configuration["method_revision"] = 0
    text = page([done(make_trial(seed=1)), old])
    assert f"<code>{old.key}</code> method static is at revision" in text
    assert 'id="left-out"' not in page([done(make_trial(seed=1))])


def test_the_page_is_one_file_that_asks_for_nothing_but_vega():
    text = page(planted())
    assert len(text) < 4e5
    text = re.sub(r"(<script[^>]*>).*?</script>", r"\1</script>", text, flags=re.DOTALL)
    assert re.findall(r"<(?:script|img|iframe|link|object|embed)[^>]*(?:src|href)=", text) == []
    places = {place.partition("/")[0] for place in re.findall(r'<a [^>]*href="([^"]+)"', text)}
    assert places == {
        "#main", "#charts-title", "#all-cells", "#meaning", "#left-out", "#coverage",
        "paper.html", "leaderboard.md", "leaderboard.csv", "trials.csv", "tasks", "methods",
    }  # fmt: skip
    for name in ("style.css", "index.css"):
        assert "@import" not in asset(name)
        assert "url(" not in asset(name)


def test_only_the_scripts_of_the_page_may_run():
    text = page(hostile())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    allowed = set(re.findall(r"'sha256-([^']+)'", html.unescape(policy)))
    bodies = re.findall(r'<script(?: type="module")?>(.*?)</script>', text, flags=re.DOTALL)
    assert len(bodies) == len(INDEX_SCRIPTS)
    digests = {base64.b64encode(hashlib.sha256(b.encode()).digest()).decode() for b in bodies}
    assert digests == allowed
    assert "default-src 'none'" in html.unescape(policy)
    assert not re.search(r"script-src[^;]*'unsafe-inline'", html.unescape(policy))


def test_hostile_texts_are_escaped_and_their_data_read_back_whole():
    text = page(hostile())
    before, _, after = text.partition('<script type="application/json" id="page-data">')
    content = after[: after.index("</script>")]
    assert "<" not in content
    data = json.loads(content)
    assert "<script>window.harmed = 1</script>" in {task["name"] for task in data["tasks"]}
    assert {"x" * 10_000, "=cmd|' /C calc'!A1"} <= {entry["method"] for entry in data["entries"]}
    assert "<script>window" not in before
    assert "onerror='" not in before.replace("onerror=&#39;", "")


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT >", "<script", "<!--"])
def test_a_script_cannot_end_its_element(text):
    code = embedded_code(f'const x = "{text}"; 1 < 2')
    assert text not in code
    assert code.endswith("1 < 2")


def test_data_that_json_cannot_say_is_refused():
    assert embedded_data({"a": "</script>&"}) == '{"a":"\\u003c/script>&"}'
    with pytest.raises(ValueError, match="JSON"):
        embedded_data([float("nan")])
