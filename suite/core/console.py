"""What the command prints: tables for people, JSON for programs, progress on a terminal.

Secrets of this machine are redacted, because output is often kept as a log, and characters that
could change what a terminal shows are replaced. Rich is imported on first use.
"""

import functools
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
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


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; tab-separated if standard output is not a terminal."""
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
    from rich.table import Table

    table = Table(title=escape(title) if title else None, title_justify="left", box=None)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "default", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    _console().print(table)


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
