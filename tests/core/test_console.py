"""What the command prints has no characters that change what a terminal shows."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable

import pytest

from suite.core import console
from suite.core.shown_text import is_shown

HOSTILE = "\x1b]0;title\x07\x1b[31mred\u202eexe\u200b\nerror: made up\r\x9b31m\tx"


class Terminal(io.StringIO):
    """Standard output or error that says that it is a terminal; what it has been told."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal])
def told(request, monkeypatch):
    """Return what prints with a function, on a pipe or on a terminal, and returns the lines."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")

    def look(act: Callable[[], None]) -> list[str]:
        out = request.param()
        console._console.cache_clear()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            act()
        console._console.cache_clear()
        return out.getvalue().split("\n")

    return look


def check_shown(lines: list[str]) -> None:
    for line in lines:
        assert is_shown(line.replace("\t", "")), ascii(line)
        assert not line.startswith("error:")


def test_lines_and_tables_are_shown_without(told):
    def act() -> None:
        console.say(HOSTILE)
        console.complain(HOSTILE)
        console.print_table(HOSTILE, ["name", HOSTILE], [["a", HOSTILE], [HOSTILE, "0.9"]])
        with console.live() as show:
            show([HOSTILE, f"{HOSTILE} again"])

    lines = told(act)
    check_shown(lines)
    assert sum("red�exe� error: made up" in line for line in lines) >= 6


def test_a_table_of_hostile_cells_has_its_rows(told):
    lines = told(lambda: console.print_table("", ["a", "b"], [[HOSTILE, "1"], ["x", HOSTILE]]))
    check_shown(lines)
    if "\t" in lines[0]:  # a terminal folds long cells
        assert [line.count("\t") for line in lines] == [1, 1, 1, 0]


def test_json_has_the_same_content_and_nothing_hidden(told):
    lines = told(lambda: console.print_json({"told": HOSTILE}))
    check_shown(lines)
    assert json.loads("\n".join(lines)) == {"told": HOSTILE}


def test_a_text_of_our_own_keeps_its_lines(told):
    lines = told(lambda: console.complain_at_length("Usage: x\n\n  --help\x1b[31m"))
    assert lines == ["Usage: x", "", "  --help�[31m", ""]


def test_a_traceback_keeps_its_lines(told, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    console.hide_secrets_in_tracebacks()

    def act() -> None:
        try:
            raise OSError(HOSTILE)
        except OSError:
            sys.excepthook(*sys.exc_info())

    lines = told(act)
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith("  File ")
    assert is_shown("".join(lines).replace("\t", ""))


# ---------------------------------------------------------------- tables that fit


@pytest.fixture
def terminal(monkeypatch):
    """Return what prints a table on a terminal of some width, and returns the lines."""
    monkeypatch.setenv("TERM", "xterm")  # of a dumb one the width is not asked
    monkeypatch.setenv("NO_COLOR", "1")

    def look(width: int, *given, **options) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        out = Terminal()
        console._console.cache_clear()
        with contextlib.redirect_stdout(out):
            console.print_table(*given, **options)
        console._console.cache_clear()
        text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
        return [line.rstrip() for line in text.rstrip("\n").split("\n")]

    return look


ROWS = [
    ["resonance_pseudocode", "keeps what lies above a threshold", "this project"],
    ["set", "drops the weakest weights and regrows as many", "Mocanu et al. 2018"],
    ["static", "never changes", "Mocanu et al. 2018"],
    ["own", "", ""],
]


def test_sources_are_footnotes_on_a_terminal_each_once(terminal):
    lines = terminal(60, "", ["name", "summary", "source"], ROWS, footnotes=("source",))
    assert max(map(len, lines)) <= 60
    assert lines[-2:] == ["[1] this project", "[2] Mocanu et al. 2018"]
    cited = [line.split()[-1] for line in lines if line.startswith((" set", " static"))]
    assert cited == ["[2]", "[2]"]
    assert lines.count("[2] Mocanu et al. 2018") == 1


def test_a_program_gets_the_sources_in_their_rows(capsys):
    console.print_table("", ["name", "summary", "source"], ROWS, footnotes=("source",))
    assert capsys.readouterr().out.splitlines()[2] == "\t".join(ROWS[1])


@pytest.mark.parametrize("width", [44, 60, 80, 200])
def test_no_word_is_broken_where_the_words_of_all_columns_fit(terminal, width):
    lines = terminal(width, "title", ["name", "summary", "source"], ROWS)
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {word for row in ROWS for cell in row for word in cell.split()} <= words


def test_a_table_that_cannot_fit_is_a_block_for_each_row(terminal):
    columns = ["name", *(f"column_{i}" for i in range(9))]
    rows = [[name, *(f"{name}_{i}" for i in range(8)), ""] for name in ("one", "two")]
    lines = terminal(60, "title", columns, rows)
    assert lines[0] == "title"
    assert lines[1] == "one"
    assert lines[2].split() == ["column_0", "one_0"]
    assert lines[10] == "two"  # a cell without text has no line
    assert max(map(len, lines)) <= 60
    assert len(terminal(200, "title", columns, rows)) == 4


def test_a_path_that_is_longer_than_any_column_is_folded_and_whole(terminal):
    path = "/a/very/long/" + "x" * 90
    lines = terminal(60, "", ["what", "where"], [["file", path]])
    assert max(map(len, lines)) <= 60
    assert "".join("".join(line.removeprefix(" file").split()) for line in lines[1:]) == path


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_there_are_no_colours_where_they_cannot_be_or_are_not_wanted(monkeypatch, environment):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color" if environment else "dumb")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = Terminal() if environment else io.StringIO()
    console._console.cache_clear()
    with contextlib.redirect_stdout(out):
        console.print_table("title", ["name", "n"], [["a", "1"]])
        console.say("said")
    console._console.cache_clear()
    assert "\x1b[3" not in out.getvalue().replace("\x1b[3m", "")  # italics are no colour
