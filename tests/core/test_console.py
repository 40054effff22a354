"""What the command prints has no characters that change what a terminal shows."""

import contextlib
import io
import json
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
