"""Sorting and filtering 2,000 rows of the main page in Chromium: absolute milliseconds."""

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leaderboard.board_columns import COLUMNS
from leaderboard.boards import Board, Cell, Entry, Run
from leaderboard.pages.index_page import index_page
from suite.bench.measurement import Bar, Measurement
from suite.core.errors import InvalidInput

BAR = Bar(100.0)
TIMES = """async () => {
  const times = {}, rest = () => new Promise((done) => setTimeout(done, 20));
  const time = async (name, act) => {
    await rest();
    const began = performance.now();
    act();
    document.body.offsetHeight;  // laid out as well
    times[name] = performance.now() - began;
  };
  const search = document.getElementById("search"), claims = document.getElementById("claims");
  for (const { dataset } of document.querySelectorAll("#cells button.sort")) {
    const button = () => document.querySelector(`[data-sort="${dataset.sort}"]`);
    await time(`sort by ${dataset.sort}`, () => button().click());
    await time(`sort by ${dataset.sort}, turned`, () => button().click());
  }
  for (const text of ["rigl", "task-3", "interval=7 task-1", ""]) {
    await time(`search ${text || "nothing"}`, () => {
      search.value = text;
      search.dispatchEvent(new Event("input"));
    });
  }
  await time("claims only", () => claims.click());
  await time("not only claims", () => claims.click());
  return times;
}"""
"""Milliseconds from a click to the new layout, by what was done."""


def page(entries: int = 25) -> Iterator[Measurement]:
    """Yield the slowest of all sorts and filters of the main page, best of three rounds.

    Raises:
        InvalidInput: there is no Chromium, or Playwright is not installed.
    """
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None or importlib.util.find_spec("playwright") is None:
        raise InvalidInput("benchmark page needs Chromium and the package playwright: install both")
    from playwright.sync_api import sync_playwright

    boards = large_boards(entries=entries)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(index_page(boards, []), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1300, "height": 900})
        shown.goto(f"{path.as_uri()}#sparsity=all")
        shown.wait_for_selector("#cells[data-prepared]")
        times = _rounds(shown)
        version = browser.version
        browser.close()
    slowest = max(times, key=lambda name: times[name])
    rows = sum(len(list(board.cells())) for board in boards)
    note = f"{rows:,} rows, slowest: {slowest}; Chromium {version}"
    yield Measurement("main page, sorted and filtered", times[slowest], "ms", bar=BAR, note=note)


def large_boards(tasks: int = 20, entries: int = 25, seeds: int = 5) -> list[Board]:
    """Return boards at four sparsities: 2,000 cells by default, with a value in every column."""
    sparsities = [0.8, 0.9, 0.95, 0.98]
    names = [column.name for column in COLUMNS]
    boards = []
    for task in range(tasks):
        rows: list[tuple[Entry, list[Cell | None]]] = []
        for number in range(entries):
            cells: list[Cell | None] = []
            for place in range(len(sparsities)):
                runs = []
                for seed in range(seeds):
                    values = {name: 0.5 + (7 * number + 3 * place + seed * number + i) % 97 / 200
                              for i, name in enumerate(names)}  # fmt: skip
                    key = f"{task:04x}{number:04x}{place:04x}{seed:04x}"
                    runs.append(Run(key, seed, values))
                cells.append(Cell(runs))
            rows.append((Entry("rigl", f"interval={number}"), cells))
        boards.append(Board(f"task-{task}/mlp", "", sparsities, rows, {"training_flops": 0.7}))
    return boards


def _rounds(page: Any) -> dict[str, float]:
    """Return the best time of each act: the machine's other work only ever adds."""
    rounds = [page.evaluate(TIMES) for _ in range(3)]
    return {name: min(one[name] for one in rounds) for name in rounds[0]}
