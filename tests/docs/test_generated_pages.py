"""What the documentation says is what is shipped and declared; `docs/` runs what it shows."""

from pathlib import Path

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import boards_markdown, spliced, surroundings
from leaderboard.shipped_boards import shipped_boards
from suite.cli.docs_pages import PAGES

ROOT = Path(__file__).parents[2]


def test_the_shipped_results_are_on_boards_or_are_known_to_be_none():
    _, excluded = shipped_boards()
    # Of a method that was corrected since, until it is run again (its cells say "out of date"), or
    # of a training that was too short for an update, or that missed its budget.
    reasons = (" is at revision ", "no update falls into ", " its flops_budget of ")
    assert [one for one in excluded if not any(why in one.reason for why in reasons)] == []


def test_the_command_writes_the_same_tables_as_make_docs():
    page = ROOT / "docs" / "results.md"
    boards, _ = shipped_boards()
    assert spliced(boards_markdown(board_groups(boards)), surroundings(page)) == page.read_text(
        encoding="utf-8"
    ), "run `resonance leaderboard build --shipped --markdown docs/results.md`"


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_say_what_the_declarations_say(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == PAGES[page](), "run `make docs`"
