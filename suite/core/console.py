"""What the command prints: tables for people, JSON for programs, progress for the patient.

Keys of this machine are taken out: what is printed is often a log.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from suite.core.redact import redact

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def print_json(content: Any) -> None:
    """Print data for a program, on standard output."""
    sys.stdout.write(redact(json.dumps(content, indent=2, ensure_ascii=False, default=list)) + "\n")


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; text is shown as it is, without markup. Not a terminal: tabs between."""
    if not out.is_terminal:
        if title:
            sys.stdout.write(f"{title}\n")
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = Table(title=escape(title) if title else None, title_justify="left", box=None)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "default", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def say(text: str) -> None:
    """Print a line for a person, on standard output."""
    out.print(escape(redact(text)), soft_wrap=True)


def complain(text: str) -> None:
    """Print a line on standard error."""
    err.print(escape(redact(text)), soft_wrap=True)


@contextmanager
def live() -> Iterator[Callable[[Any], None]]:
    """Return a function that shows a text in place of the one before; JSON data, one a line.

    Not a terminal: a text is printed only when it differs from the one before.
    """
    shown: list[Any] = []
    in_place = Live(console=out, auto_refresh=False) if out.is_terminal else None

    def show(content: Any) -> None:
        if shown == [content]:
            return
        shown[:] = [content]
        if not isinstance(content, str):
            sys.stdout.write(json.dumps(content, ensure_ascii=False, default=list) + "\n")
            sys.stdout.flush()
        elif in_place is None:
            say(content)
            sys.stdout.flush()
        else:
            in_place.update(Text(content), refresh=True)

    with in_place or nullcontext():
        yield show


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator["Bar"]:
    """Show a progress bar on standard error while in a terminal; nothing elsewhere."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )
    with progress:
        yield Bar(progress, progress.add_task(escape(what), total=total))


class Bar:
    """A progress bar that can be moved on and written above."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Move the bar on."""
        self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(escape(redact(text)), soft_wrap=True)
