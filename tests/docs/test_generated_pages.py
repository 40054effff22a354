"""What the documentation says is what is shipped and declared; `docs/` runs what it shows."""

from pathlib import Path

import pytest

from leaderboard.board_groups import board_groups
from leaderboard.board_markdown import boards_markdown, spliced, surroundings
from leaderboard.boards import build_boards
from leaderboard.bundles.bundle_file import SHIPPED, ablation_trials, each_once, read_bundles
from suite.cli.docs_pages import PAGES

ROOT = Path(__file__).parents[2]


def test_the_results_in_the_readme_are_those_that_are_shipped():
    bundles, rejected = read_bundles(SHIPPED)
    assert rejected == []
    apart = ablation_trials(bundles)
    records = [record for bundle in each_once(bundles) for record in bundle.records]
    records = [record for record in records if record.key not in apart]
    boards, excluded = build_boards(records)
    # Of a method that was corrected since, until it is run again (its cells say "out of date"), or
    # of a training that was too short for an update, or that missed its budget.
    reasons = (" is at revision ", "no update falls into ", " its flops_budget of ")
    assert [one for one in excluded if not any(why in one.reason for why in reasons)] == []
    readme = ROOT / "README.md"
    assert spliced(boards_markdown(board_groups(boards)), surroundings(readme)) == readme.read_text(
        encoding="utf-8"
    ), "run `resonance leaderboard build --shipped --markdown README.md`"


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_say_what_the_declarations_say(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == PAGES[page](), "run `make docs`"
