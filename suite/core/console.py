"""What the command prints: tables for people, JSON for programs, progress on a terminal.

Secrets of this machine are redacted, because output is often kept as a log, and characters that
could change what a terminal shows are replaced. Rich is imported on first use.
"""

import functools
import json
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from suite.core.errors import printable
from suite.core.redact import redact, redact_json, redact_values
from suite.core.shown_text import escaped_json, shown, shown_lines

if TYPE_CHECKING:
    from rich.console import Console

BAR_WIDTH = 30


@functools.cache
def _console(*, stderr: bool = False) -> "Console":
    """Return the console that writes to the current standard output (or error)."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)


def print_json(content: Any) -> None:
    """Print data for a program, on standard output."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=list)
    sys.stdout.write(escaped_json(redact_json(text)) + "\n")


def print_table(
    title: str, columns: list[str], rows: list[list[str]], footnotes: Collection[str] = ()
) -> None:
    """Print a table; tab-separated if standard output is not a terminal.

    On a terminal it fits the width: texts of the columns that `footnotes` names are numbers there,
    and stand below the table, each once; words are not broken, and a table whose words need more
    room than there is becomes a block of lines for each row.
    """
    lines = [[title], columns, *rows]
    cells = map(shown, redact_values(cell for line in lines for cell in line))
    (title,), columns, *rows = [[next(cells) for _ in line] for line in lines]
    if not sys.stdout.isatty():
        if title:
            sys.stdout.write(f"{title}\n")
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.markup import escape

    rows, notes = _with_footnotes(columns, rows, footnotes)
    words = [
        max((len(word) for cell in cells for word in cell.split()), default=1)
        for cells in zip(columns, *rows, strict=True)
    ]
    room = _console().width - 2 * len(columns)
    for longest in LONGEST_WORDS:
        least = [min(word, longest) for word in words]
        if sum(least) <= room:
            texts = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
            _print_columns(title, columns, rows, _widths(least, texts, room))
            break
    else:
        _print_blocks(title, columns, rows)
    for number, note in enumerate(notes, start=1):
        _console().print(escape(f"[{number}] {note}"))


LONGEST_WORDS = (40, 20)
"""Longer words, such as paths, may be broken in a table: the second where room is scarce."""


def _with_footnotes(
    columns: Sequence[str], rows: list[list[str]], footnotes: Collection[str]
) -> tuple[list[list[str]], list[str]]:
    """Return the rows with numbers in the columns of footnotes, and the notes in their order."""
    notes: dict[str, int] = {}
    places = {place for place, column in enumerate(columns) if column in footnotes}
    shortened = [
        [
            f"[{notes.setdefault(cell, len(notes) + 1)}]" if place in places and cell else cell
            for place, cell in enumerate(row)
        ]
        for row in rows
    ]
    return shortened, list(notes)


def _widths(least: Sequence[int], texts: Sequence[int], room: int) -> list[int]:
    """Return widths of columns, from `least` on: spare room is shared by those with longer texts.

    Rich's own widths may fall below the least that is given to it.
    """
    widths, spare = list(least), room - sum(least)
    while spare > 0:
        short = [i for i, width in enumerate(widths) if width < texts[i]]
        if not short:
            break
        share = max(1, spare // len(short))
        for i in short:
            more = min(share, texts[i] - widths[i], spare)
            widths[i] += more
            spare -= more
    return widths


def _print_columns(
    title: str, columns: Sequence[str], rows: list[list[str]], widths: Sequence[int]
) -> None:
    """Print a table on a terminal with columns of these widths."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) if title else None, title_justify="left", box=None)
    for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
        table.add_column(
            escape(column),
            justify="left" if number == 0 else "default",
            overflow="fold",
            width=width,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    _console().print(table)


def _print_blocks(title: str, columns: Sequence[str], rows: list[list[str]]) -> None:
    """Print each row on a terminal as a block: its first cell, and below it the others by name."""
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    if title:
        _print_line(_console(), title)
    for row in rows:
        _console().print(escape(row[0]))
        block = Table.grid(padding=(0, 2))
        block.add_column(overflow="fold", max_width=max(1, _console().width // 2 - 4))
        block.add_column(overflow="fold")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                block.add_row(escape(column), escape(cell))
        _console().print(Padding(block, (0, 0, 0, 2), expand=False))


def hide_secrets_in_tracebacks() -> None:
    """Redact the traceback of an error that nothing has handled."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(shown_lines(redact(printable(text))))

    sys.excepthook = show


def say(text: str) -> None:
    """Print a line for a person, on standard output."""
    _print_line(_console(), text)


def complain(text: str) -> None:
    """Print a line on standard error."""
    _print_line(_console(stderr=True), text)


def complain_at_length(text: str) -> None:
    """Print a text of our own of several lines on standard error."""
    _print_lines(_console(stderr=True), redact(printable(text)))


def _line(text: str) -> str:
    return shown(redact(printable(text)))


def _print_line(console: "Console", text: str) -> None:
    _print_lines(console, _line(text))


def _print_lines(console: "Console", text: str) -> None:
    from rich.markup import escape

    console.print(escape(shown_lines(text)), soft_wrap=True)


@contextmanager
def live() -> Iterator[Callable[[Any], None]]:
    """Yield a function that shows lines in place of the last ones; or data, as a line of JSON.

    A list is one of lines. Content equal to the last one is not shown again; without a terminal
    the lines are printed after the last ones.
    """
    from rich.live import Live
    from rich.text import Text

    shown: list[Any] = []
    in_place = Live(console=_console(), auto_refresh=False) if sys.stdout.isatty() else None

    def show(content: Any) -> None:
        if shown == [content]:
            return
        shown[:] = [content]
        if not isinstance(content, list):
            text = json.dumps(content, ensure_ascii=False, default=list)
            sys.stdout.write(escaped_json(redact_json(text)) + "\n")
            sys.stdout.flush()
        elif in_place is None:
            for line in content:
                say(line)
            sys.stdout.flush()
        else:
            in_place.update(Text("\n".join(map(_line, content))), refresh=True)

    with in_place or nullcontext():
        yield show


@contextmanager
def in_place() -> Iterator[Callable[[str, float, str, Sequence[str]], None] | None]:
    """Show a bar with lines below it on standard error, in place; yield None without a terminal.

    Yield the function that shows a title, the fraction that is done, a text beside the bar, and
    the lines; those that do not fit on the screen are counted.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = _console(stderr=True)
    view = Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    def show(title: str, fraction: float, beside: str, lines: Sequence[str]) -> None:
        room = max(1, console.height - 3)
        shown = list(lines[:room])
        if len(lines) > room:
            shown[-1] = f"and {len(lines) - room + 1} more"
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            Text(_line(title)), ProgressBar(1.0, fraction, width=BAR_WIDTH), Text(_line(beside))
        )
        texts = [Text(f"  {_line(x)}", no_wrap=True, overflow="ellipsis") for x in shown]
        view.update(Group(bar, *texts), refresh=True)

    with view:
        yield show


@contextmanager
def progress_bar(
    what: str, total: int | None, *, show: bool = True
) -> Iterator[Callable[..., None]]:
    """Show a progress bar on standard error, if that is a terminal.

    Yield the function that moves it: by a number of steps, or by one.
    """
    from rich import progress
    from rich.markup import escape

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=_console(stderr=True),
        disable=not (show and sys.stderr.isatty()),
        transient=True,
    ) as shown:
        yield functools.partial(shown.advance, shown.add_task(escape(_line(what)), total=total))
