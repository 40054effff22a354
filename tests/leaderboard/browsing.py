"""What tests do with pages in a browser."""

from pathlib import Path
from typing import Any

from leaderboard.charts.vega_bundle import classic_script

DESK, PHONE = {"width": 1300, "height": 900}, {"width": 360, "height": 740}


def write_page(path: Path, text: str) -> Path:
    """Write a main page, and beside it the script that its charts need."""
    path.write_text(text, encoding="utf-8")
    (path.parent / "assets").mkdir(exist_ok=True)
    (path.parent / "assets" / "vega.js").write_text(classic_script(), encoding="utf-8")
    return path


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
