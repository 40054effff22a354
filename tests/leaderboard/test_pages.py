import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import (
    BEGIN,
    END,
    board_markdown,
    boards_markdown,
    cell_text,
    spliced,
    surroundings,
)
from leaderboard.boards import Board, Cell, Run, build_boards
from leaderboard.pages.study_page import ShownStudy, study_page
from leaderboard.pages.task_and_method_pages import board_views, method_page
from leaderboard.site.build import build
from suite.core.errors import InvalidInput
from suite.results.record import Declarations, Record, RecordedMethod
from suite.results.store import Store
from tests.core.test_finite_numbers import STRANGE
from tests.support.sample_records import done, make_trial


def records() -> list[Record]:
    accuracies = {"dense": [0.95], "static": [0.90, 0.92], "rigl": [0.93] * 5}
    return [
        done(make_trial(method, seed=seed), accuracy, training=100.0 if method == "dense" else 25.0)
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def boards(given: list[Record]) -> list[Board]:
    return build_boards(given)[0]


def named(method: str) -> Record:
    record = done(make_trial())
    record.trial["method"] = method
    return record


def cell(accuracies: Sequence[float] = (), tested: int = 0, **given) -> Cell:
    runs = [Run("0" * 16, seed, {"test_accuracy": a}, tested) for seed, a in enumerate(accuracies)]
    return Cell(runs, **given)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (None, "not run"),
        (cell(failures=["broke"]), "failed"),
        (cell(outdated=["revision 1"]), "out of date"),
        (cell([0.9]), "90.00 (n = 1)"),
        (cell([0.90, 0.92]), "91.00 ± 12.71 (n = 2)"),
        (cell([0.9] * 4), "90.00 (n = 4)"),
        (cell([0.9] * 5), "90.00"),
        (cell([0.9] * 5, tested=360), "90.00 ± 0.14"),
        (cell([0.9] * 5, tested=100_000), "90.00 ± <0.01"),
        (cell([0.9] * 5, failures=["a", "b"]), "90.00, 2 failed"),
        (cell([0.9], failures=["a"]), "90.00 (n = 1), 1 failed"),
        (
            Cell([Run("0" * 16, 0, {"test_accuracy": 0.9, "realised_sparsity": 0.467})]),
            "90.00 (n = 1), 46.7 % zeros",
        ),
    ],
)
def test_a_cell_says_its_mean_its_interval_and_what_is_missing(cell, words):
    assert cell_text(cell, 0.9) == words


# ---------------------------------------------------------------- Markdown


def test_a_method_that_is_not_installed_is_described_from_its_records():
    record = named("somebody_s")
    about = RecordedMethod(title="Somebody", family="pruning", source="a book")
    record.declared = Declarations(method=about)
    page = method_page("somebody_s", board_views(*board_groups(boards([record])), []))
    assert (
        "Somebody. This method is not installed here: what follows about it is from its records."
    ) in page


def test_a_board_is_a_markdown_table():
    (board,) = boards([*records(), done(make_trial("static", sparsity=0.95), 0.8)])
    lines = board_markdown(board).splitlines()
    assert lines[0].startswith("**digits/mlp**")
    assert lines[2:4] == ["| Method | s = 0.9 | s = 0.95 |", "|---|---:|---:|"]
    assert lines[4] == "| Dense | 95.00 (n = 1) | 95.00 (n = 1) |"
    assert "| RigL | 93.00 ± 0.14 | not run |" in lines
    assert "| Static random | 91.00 ± 12.71 (n = 2) | 80.00 (n = 1) |" in lines
    assert all(line.count("|") == 4 for line in lines[2:])


def test_text_outside_the_markers_stays_as_it_was(tmp_path):
    path = tmp_path / "README.md"
    before, after = "# Mine\n\n| a | b |\n", "\nThe end — ünïcode, no line feed"
    path.write_text(f"{before}{BEGIN}\nold table\n{END}{after}", encoding="utf-8")
    path.write_bytes(
        spliced(boards_markdown(board_groups(boards(records()))), surroundings(path)).encode()
    )
    text = path.read_text(encoding="utf-8")
    assert text.startswith(before + BEGIN + "\n")
    assert text.endswith("\n" + END + after)
    assert "old table" not in text
    assert "| Dense |" in text


def test_writing_twice_changes_nothing(tmp_path):
    path = tmp_path / "board.md"
    path.write_bytes(
        spliced(boards_markdown(board_groups(boards(records()))), surroundings(path)).encode()
    )
    once = path.read_bytes()
    path.write_bytes(
        spliced(boards_markdown(board_groups(boards(records()))), surroundings(path)).encode()
    )
    assert path.read_bytes() == once


def test_of_many_boards_all_but_the_first_are_folded_up(tmp_path):
    names = ("digits/mlp", "digits/<b>mlp</b>", "planted/mlp")
    found = []
    for name in names:
        (board,) = boards(records())
        found.append(replace(board, task=name))
    text = spliced(boards_markdown(board_groups(found)), surroundings(tmp_path / "board.md"))
    assert text.count("<details><summary>") == text.count("</details>") == 2
    assert text.index("| Dense |") < text.index("<details>")
    assert "<summary>digits/&lt;b&gt;mlp&lt;/b&gt;</summary>\n\n**" in text
    assert "<details>" not in spliced(
        boards_markdown(board_groups(found[:2])), surroundings(tmp_path / "board.md")
    )


def test_a_board_without_trials_says_so(tmp_path):
    path = tmp_path / "board.md"
    path.write_bytes(spliced(boards_markdown(board_groups([])), surroundings(path)).encode())
    assert path.read_text() == f"{BEGIN}\nNo trials yet.\n{END}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no markers",
        f"{BEGIN}\n",
        f"{END}\n",
        f"{END}\n{BEGIN}\n",
        f"{BEGIN}\n{BEGIN}\n{END}\n",
        f"{BEGIN}\n{END}\n{END}\n",
    ],
)
def test_a_file_without_both_markers_once_and_in_order_is_refused_and_left(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="has no place for a leaderboard") as refused:
        path.write_bytes(
            spliced(boards_markdown(board_groups(boards(records()))), surroundings(path)).encode()
        )
    assert BEGIN in str(refused.value)
    assert END in str(refused.value)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "name", ["a|b", "a\n| b | c |", "<script>alert(1)</script>", "`code`", END, BEGIN, "a\\"]
)
def test_a_hostile_method_name_cannot_break_the_markdown_table(tmp_path, name):
    path = tmp_path / "board.md"
    path.write_bytes(
        spliced(boards_markdown(board_groups(boards([named(name)]))), surroundings(path)).encode()
    )
    text = path.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert len(re.split(r"(?<!\\)\|", table[-1])) == 4
    assert "<" not in table[-1]
    assert not re.search(r"(?<!\\)`", table[-1])
    path.write_bytes(
        spliced(boards_markdown(board_groups(boards(records()))), surroundings(path)).encode()
    )
    assert "| Dense |" in path.read_text()


# ---------------------------------------------------------------- folder


def test_a_leaderboard_is_a_page_markdown_and_two_csv_files(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Mine\n{BEGIN}\n{END}\n")
    built = build(iter(records()), tmp_path / "a" / "site", readme)
    out = tmp_path / "a" / "site"
    assert built.page == out / "index.html"
    assert {path.name for path in out.iterdir()} >= {
        "index.html", "leaderboard.csv", "leaderboard.md", "trials.csv",
    }  # fmt: skip
    assert len(pl.read_csv(out / "trials.csv")) == len(records())
    assert len(pl.read_csv(out / "leaderboard.csv")) == 3
    assert "| Dense |" in readme.read_text()
    assert readme.read_text().startswith("# Mine\n")


def test_a_leaderboard_built_again_is_the_same_byte_for_byte(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    build(records(), first)
    build(records(), second)
    build(records(), second)
    for path in filter(Path.is_file, first.iterdir()):
        assert (second / path.name).read_bytes() == path.read_bytes()


def test_a_leaderboard_of_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="holds no trials"):
        build([], tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "site").write_text("mine")
    with pytest.raises(InvalidInput, match=r"site cannot be written .*choose another --out"):
        build(records(), tmp_path / "site")
    assert (tmp_path / "site").read_text() == "mine"


def test_a_leaderboard_is_built_without_torch_and_without_the_training_code(tmp_path):
    store = Store(tmp_path / "results")
    for record in records():
        store.write(record.key, {"record.json": record.to_json()})
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from leaderboard.site.build import build\n"
        "from suite.results.store import Store\n"
        "build(Store(sys.argv[1]).records(), Path(sys.argv[2]))\n"
        "heavy = ('torch', 'suite.training', 'suite.sparsity')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
    )
    words = [sys.executable, "-c", code, str(store.root), str(tmp_path / "site")]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert json.loads(ended.stdout) == []


@pytest.mark.parametrize("given", STRANGE, ids=[str(x)[:5] for x in STRANGE])
def test_a_study_of_what_is_no_finite_number_has_a_page(given):
    trial = {"task": "digits/mlp", "method": "set", "sparsity": given, "seed": given}
    study = ShownStudy("one", "?", {"seeds": str(given)}, {"a" * 16: trial})
    assert "1 trials of 1 task, 1 method, 1 seed" in study_page(study, {}.get)
