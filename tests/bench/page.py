"""Sorting and filtering 2,000 rows of the main page in Chromium: absolute milliseconds."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from leaderboard.pages.index_page import index_page
from tests.leaderboard.sample_boards import large

BAR = 100.0
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


def run() -> bool:
    """Print the slowest of all sorts and filters, best of three rounds; return whether in bar."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(index_page(large(), []), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector("#cells[data-prepared]")
        times = _rounds(page)
        browser.close()
    slowest = max(times, key=lambda name: times[name])
    met = times[slowest] <= BAR
    print(
        f"{'page: 2,000 rows, sorted and filtered':<58} {times[slowest]:6.1f} ms ({slowest})"
        f"  bar ≤ {BAR:g} ms  {'ok' if met else 'MISSED'}",
        flush=True,
    )
    return met


def _rounds(page: Any) -> dict[str, float]:
    """Return the best time of each act: the machine's other work only ever adds."""
    rounds = [page.evaluate(TIMES) for _ in range(3)]
    return {name: min(one[name] for one in rounds) for name in rounds[0]}
