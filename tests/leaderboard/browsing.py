"""What tests do with pages in a browser."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leaderboard.charts.vega_bundle import classic_script

DESK, PHONE = {"width": 1300, "height": 900}, {"width": 360, "height": 740}
ROWS = "#cells > tbody > tr:not(.runs)"
"""The rows of the table of all cells, without those of their runs."""


def write_page(path: Path, text: str) -> Path:
    """Write a main page, and beside it the script that its charts need."""
    path.write_text(text, encoding="utf-8")
    (path.parent / "assets").mkdir(exist_ok=True)
    (path.parent / "assets" / "vega.js").write_text(classic_script(), encoding="utf-8")
    return path


@contextmanager
def visiting(chromium: Any, *, console: bool = True) -> Iterator[Callable[..., Any]]:
    """Give the function that opens an address; nothing may go wrong there, nor be asked elsewhere.

    It takes what `new_context` of Playwright takes. `console` says whether errors on the console
    count: axe asks for style sheets in ways that a file does not allow.
    """
    contexts: list[Any] = []
    wrong: list[str] = []

    def visit(url: str, **given: Any) -> Any:
        context = chromium.new_context(offline=True, **({"viewport": DESK} | given))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text)
                if console and said.type == "error" else None)  # fmt: skip
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url)
                if not request.url.startswith(("file:", "blob:", "data:")) else None)  # fmt: skip
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == [], wrong


def push(button: Any) -> None:
    """Press a button by its key: a click may miss it while charts drawn above it move the page."""
    button.press("Enter")


def drawn(page: Any, name: str) -> Any:
    """Scroll to a chart; return its figure, once the chart is drawn."""
    figure = page.locator(f"[data-chart={name}]")
    figure.scroll_into_view_if_needed()
    page.locator(f"[data-drawn={name}] svg").wait_for()
    return figure


def saved(page: Any, figure: Any, kind: str) -> tuple[str, bytes]:
    """Press the button that saves a chart; return the file's name and content."""
    with page.expect_download() as waiting:
        push(figure.locator(f"[data-save={kind}]"))
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def texts(page: Any, selector: str) -> list[str]:
    """Return the texts of the elements of a selector, each in one line."""
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def column(page: Any, place: int) -> list[str]:
    """Return the texts of a column of the table of all cells; the first is 1."""
    return texts(page, f"{ROWS} > :nth-child({place})")


def address(page: Any) -> str:
    """Return the view that the page's address states."""
    return page.evaluate("location.hash.slice(1)")


def download(page: Any) -> list[list[str]]:
    """Return the rows of the CSV file that the page gives."""
    with page.expect_download() as waiting:
        push(page.locator("#download"))
    content = Path(waiting.value.path()).read_bytes().decode()
    assert content.endswith("\r\n")
    return list(csv.reader(io.StringIO(content, newline="")))
