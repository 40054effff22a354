"""Tables for papers: bold where something is shown, and LaTeX that no name can break."""

import re

import pytest

from leaderboard.boards import Board, build_boards
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.paper_view import latex_table, markdown_table
from leaderboard.summary_table import summary_table
from suite.core.errors import TrialFailed
from suite.results.record import Record, failed
from tests.support.sample_records import done, make_trial


def records(**accuracies: list[float]) -> list[Record]:
    return [
        done(make_trial(method, seed=seed), accuracy)
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def board(given: list[Record]) -> Board:
    (one,) = build_boards(given)[0]
    return one


def rows(text: str) -> dict[str, str]:
    """Return the body of a LaTeX table: method → the rest of its line."""
    lines = [line.strip() for line in text.splitlines() if line.endswith(r"\\")]
    return dict(line.removesuffix(r" \\").split(" & ", 1) for line in lines)


SPREAD = [-0.002, 0.0, 0.002, 0.001, -0.001]
CLEAR = {
    "dense": [0.95 + x for x in SPREAD],
    "rigl": [0.93 + x for x in SPREAD],
    "static": [0.85 + x for x in SPREAD],
}


def test_the_best_is_bold_where_the_others_are_shown_to_be_worse():
    one = board(records(**CLEAR))
    found = rows(latex_table(one, summary_table([one])))
    assert found["RigL"].startswith(r"\textbf{93.00} $\pm$ 0.20")
    assert found["Static random"] == r"85.00 $\pm$ 0.20"
    assert "textbf" not in found["Dense"]
    assert "| RigL | **93.00 ± 0.20** |" in markdown_table(one, summary_table([one]))


def test_nothing_is_bold_below_five_seeds_or_where_nothing_is_told_apart():
    few = {name: values[:4] for name, values in CLEAR.items()}
    same = CLEAR | {"static": CLEAR["rigl"]}
    for given in (few, same):
        one = board(records(**given))
        assert "textbf" not in latex_table(one, summary_table([one]))
        assert "**9" not in markdown_table(one, summary_table([one]))
    one = board(records(**few))
    assert rows(latex_table(one, summary_table([one])))["RigL"].endswith(r"\textsuperscript{n=4}")


def test_those_that_are_not_told_apart_share_the_bold():
    given = CLEAR | {"set": CLEAR["rigl"]}
    one = board(records(**given))
    found = rows(latex_table(one, summary_table([one])))
    assert "textbf" in found["RigL"]
    assert "textbf" in found["SET"]


def test_what_is_missing_says_so():
    broken = failed(make_trial("rigl", sparsity=0.98), TrialFailed("broke"))
    one = board([*records(**CLEAR), broken])
    found = rows(latex_table(one, summary_table([one])))
    assert found["RigL"].endswith("& failed")
    assert found["Static random"].endswith("& --")


HOSTILE = [
    "a & b", "50% off", "$x$", "a_b^c", "#1", "~", r"\input{secret}", "{", "}", "[10pt]", "*",
    "a\nb\r\n\\\\ c", "a--b", "<|>", "“quoted” 'x' \"y\" `z`", "中文 😀", "\x00\x07\u2028", "ν = ½",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_cell_of_a_table_that_latex_can_read(name):
    given = records(**CLEAR)
    for record in given:
        if record.trial["method"] == "rigl":
            record.trial["method"] = name
    one = board(given)
    text = latex_table(one, summary_table([one]))
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 4
    for line in lines:
        assert len(re.findall(r"(?<!\\)&", line)) == 1
        assert line.count(r"\\") == 1
    assert_balanced(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_has_no_command_but_those_of_the_table(name):
    text = escape_latex(name)
    assert_balanced(text)
    assert not re.search(r"(?<!\\)[#%&_]", text)
    assert not re.search(r"[~^<>|\x00-\x1f]", text)
    words = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|symbol"
    words += r"|textquotesingle|textasciigrave|nu|[{}$&#%_])"
    assert "\\" not in re.sub(words, "", text)
    assert all(letter.isascii() or letter.isalpha() for letter in text)


def assert_balanced(text: str) -> None:
    """Look at braces and dollars as LaTeX reads them."""
    bare = re.sub(r"\\[{}$\\]", "", re.sub(r"^%.*$", "", text, flags=re.MULTILINE))
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0


def test_a_table_is_a_whole_environment_of_booktabs():
    one = board(records(**CLEAR))
    text = latex_table(one, summary_table([one]))
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"),
    ]  # fmt: skip
    order = [text.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert order == sorted(order)
    assert r"\begin{tabular}{lr}" in text


def test_a_cell_whose_method_never_updated_says_so():
    records = [done(make_trial("set", seed=seed)) for seed in range(5)]
    idle = [one.model_copy(update={"no_update": "no update falls into"}) for one in records]
    boards, _ = build_boards(idle)
    table = summary_table(boards)
    assert "| SET | no update |" in markdown_table(boards[0], table)
    assert rows(latex_table(boards[0], table)) == {"Method": "$s = 0.9$", "SET": "no update"}
