"""Tables for papers: bold where something is shown, and LaTeX that no name can break."""

import re

import pytest

from leaderboard.board_claims import board_claims
from leaderboard.board_groups import board_groups
from leaderboard.boards import Board, build_boards
from leaderboard.pages.latex import escape_latex
from leaderboard.pages.paper_view import (
    OF_NO_STUDY,
    PaperStudy,
    paper_sections,
    paper_table,
)
from leaderboard.study_boards import study_boards
from suite.core.errors import TrialFailed
from suite.results.record import Record, failed
from tests.leaderboard.sample_boards import planted
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


def latex(one: Board) -> str:
    return paper_table(one, board_claims([one])).latex


def markdown(one: Board) -> str:
    return paper_table(one, board_claims([one])).markdown


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
    found = rows(latex(one))
    assert found["RigL"].startswith(r"\textbf{93.00} $\pm$ 0.20")
    assert found["Static random"] == r"85.00 $\pm$ 0.20\textsuperscript{$\blacktriangledown$}"
    assert "textbf" not in found["Dense"]
    assert "| RigL | **93.00 ± 0.20** |" in markdown(one)


def test_signs_say_how_a_score_compares_with_the_reference_and_the_caption_says_by_which_test():
    better = {**CLEAR, "granet": [x + 0.02 for x in CLEAR["rigl"]], "set": CLEAR["rigl"]}
    one = board(records(**better))
    found = rows(latex(one))
    assert found["GraNet"].endswith(r"\textsuperscript{$\blacktriangle$}")
    assert found["Static random"].endswith(r"\textsuperscript{$\blacktriangledown$}")
    assert found["SET"].endswith(r"\textsuperscript{$\approx$}")
    assert "textsuperscript" not in found["RigL"] + found["Dense"]
    assert "| GraNet | **95.00 ± 0.20** (▲) |" in markdown(one)
    caption = paper_table(one, board_claims([one])).caption
    assert caption == (
        "Test accuracy in % (higher is better) on digits/mlp: mean ± half the 95 % interval over 5 "
        "seeds. Bold: none is shown to be better, and at least half to be worse; ▲: better; ▼: "
        "worse; ≈: equivalent (within ± 0.5 points); no sign: no difference from RigL shown "
        "(paired t-tests at 5 %, Holm-corrected over 6 pairs and 3 comparisons with RigL in this "
        "table)."
    )
    assert r"$\blacktriangle$: better" in latex(one)
    assert r"the 95\,\% interval" in latex(one)


def test_a_caption_says_how_many_seeds_and_explains_the_marks_of_its_table_alone():
    (one, _), _ = build_boards(planted())
    caption = paper_table(one, board_claims([one])).caption
    assert "over 3 to 5 seeds." in caption
    for words in ("n: seeds where fewer than 5", "s: realised sparsity", "–: not run",
                  "failed: no trial finished"):  # fmt: skip
        assert words in caption
    assert "≈" not in caption
    assert "no update" not in caption
    few = board(records(static=[0.9]))
    caption = paper_table(few, board_claims([few])).caption
    assert caption.startswith(
        "Test accuracy in % (higher is better) on digits/mlp: mean over 1 seed. n: seeds where"
    )


def test_without_the_reference_the_caption_says_nothing_of_signs():
    one = board(records(dense=CLEAR["dense"], static=CLEAR["static"], set=CLEAR["rigl"]))
    assert "▲" not in paper_table(one, board_claims([one])).caption


def test_there_is_a_section_for_each_study_and_one_for_trials_of_none():
    given = records(**CLEAR)
    groups = board_groups(build_boards(given)[0])
    keys = {r.key for r in given if r.trial["method"] != "static"}
    made = study_boards({"first": keys, "empty": {"a" * 16}}, given, groups, {})
    assert set(made.of_study) == {"first"}
    studies = [
        PaperStudy("first", "What is it?", made.of_study["first"]), PaperStudy("empty", "", ())
    ]  # fmt: skip
    first, rest = paper_sections(studies, made.of_none)
    assert (first.title, first.text, rest.title) == ("first", "What is it?", OF_NO_STUDY)
    assert "bundles do not say" in rest.text
    assert set(rows(first.tables[0].latex)) == {"Method", "Dense", "RigL"}
    assert set(rows(rest.tables[0].latex)) == {"Method", "Static random"}
    assert first.tables[0].name != rest.tables[0].name
    assert first.tables[0].latex.startswith("% first: digits/mlp\n")


def test_claims_of_a_section_are_corrected_over_its_own_tables():
    given = [*records(**CLEAR), *[
        done(make_trial(name, seed=seed, task="mnist/lenet_300_100"), value)
        for name in ("rigl", "static") for seed, value in enumerate(CLEAR[name])
    ]]  # fmt: skip
    groups = board_groups(build_boards(given)[0])
    keys = {r.key for r in given if r.trial["task"] == "digits/mlp"}
    made = study_boards({"first": keys}, given, groups, {})
    of_first = PaperStudy("first", "", made.of_study["first"])
    first, rest = paper_sections([of_first], made.of_none)
    assert all("and one comparison with RigL in this table" in s.tables[0].caption
               for s in (first, rest))  # fmt: skip
    (together,) = paper_sections([], study_boards({}, given, groups, {}).of_none)
    assert [len(section.tables) for section in (first, rest, together)] == [1, 1, 2]
    assert "and 2 comparisons with RigL in 2 tables" in together.tables[0].caption


def test_tables_have_as_many_columns_as_they_announce():
    given = records(**CLEAR) + [
        done(make_trial(name, seed=seed, sparsity=0.98), value - 0.1)
        for name in ("rigl", "static") for seed, value in enumerate(CLEAR[name])
    ]  # fmt: skip
    text = latex(board(given))
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns == "lrr"
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}
    assert_balanced(text)


def test_nothing_is_bold_below_five_seeds_or_where_nothing_is_told_apart():
    few = {name: values[:4] for name, values in CLEAR.items()}
    same = CLEAR | {"static": CLEAR["rigl"]}
    for given in (few, same):
        one = board(records(**given))
        assert "textbf" not in latex(one)
        assert "**9" not in markdown(one)
    one = board(records(**few))
    assert rows(latex(one))["RigL"].endswith(r"\textsuperscript{n=4}")


def test_those_that_are_not_told_apart_share_the_bold():
    given = CLEAR | {"set": CLEAR["rigl"]}
    one = board(records(**given))
    found = rows(latex(one))
    assert "textbf" in found["RigL"]
    assert "textbf" in found["SET"]


def test_what_is_missing_says_so():
    broken = failed(make_trial("rigl", sparsity=0.98), TrialFailed("broke"))
    one = board([*records(**CLEAR), broken])
    found = rows(latex(one))
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
    text = latex(one)
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
    words += r"|textasciigrave|nu|[{}$&#%_])"
    assert "\\" not in re.sub(words, "", text)
    assert all(letter.isascii() or letter.isalpha() for letter in text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("LeNet-300-100", "LeNet-300-100"),
        ("a--b", "a-{}-b"),
        ("a–-b", "a--{}-b"),
        ("a \"b\" ('c') d's", "a ``b'' (`c') d's"),
        ("it''s", "it'{}'s"),
        ("“b” ‘c’", "``b'' `c'"),
        ("?‘", "?{}`"),
    ],
)
def test_hyphens_and_quotes_are_those_of_latex(text, escaped):
    assert escape_latex(text) == escaped


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
    text = latex(one)
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
    assert "| SET | no update |" in markdown(boards[0])
    assert rows(latex(boards[0])) == {"Method": "$s = 0.9$", "SET": "no update"}
