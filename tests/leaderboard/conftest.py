"""Pages and sites that tests only read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard.boards import build_boards
from leaderboard.charts import picture_files
from leaderboard.charts.pictures import drawn
from leaderboard.pages.index_page import index_page
from leaderboard.site.build import build
from tests.leaderboard.browsing import visiting, write_page
from tests.leaderboard.sample_boards import hostile, planted


@pytest.fixture(scope="session", autouse=True)
def pictures_are_drawn_once() -> Iterator[None]:
    """Draw each chart once in a session: many tests build a site of the same boards."""
    known: dict[str, dict[str, bytes]] = {}

    def drawn_once(chart: dict[str, Any]) -> dict[str, bytes]:
        name = json.dumps(chart, sort_keys=True)
        if name not in known:
            known[name] = drawn(chart)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_files, "drawn", drawn_once)
        yield


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Return the page of planted scores, and that of a hostile store."""
    made = {}
    for name, records in (("planted", planted()), ("hostile", hostile())):
        path = tmp_path_factory.mktemp("site") / f"{name}.html"
        made[name] = write_page(path, index_page(*build_boards(records)))
    return made


@pytest.fixture(scope="session")
def planted_site(tmp_path_factory) -> Path:
    """Return the site of planted scores."""
    out = tmp_path_factory.mktemp("planted") / "site"
    build(planted(), out)
    return out


@pytest.fixture
def visit(chromium, pages):
    """Return the function that opens a page; nothing may go wrong on it, nor be asked elsewhere."""
    with visiting(chromium) as opened:

        def open_page(name: str = "planted", view: str = "", **given: Any) -> Any:
            return opened(pages[name].as_uri() + (f"#{view}" if view else ""), **given)

        yield open_page
