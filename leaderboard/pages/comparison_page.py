"""The page that compares any two rows of the boards, as `resonance compare` does.

What is compared is in its address, so that every page can link to a comparison::

    compare.html#a=ROW&b=ROW&terms=GROUP

A row is named by its label, as in every table, or as on the command line (METHOD, METHOD:SETTINGS,
METHOD:tuned); b is the reference. GROUP is a name of `group_name`, without it the first group that
has both. `assets/comparison.js` computes and `assets/compare.js` shows; the boards' scores are in
one script for each group of boards.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from leaderboard.board_claims import REFERENCE
from leaderboard.board_groups import BoardGroup
from leaderboard.boards import Board, Entry
from leaderboard.page_data import page_data
from leaderboard.pages.navigation import COMPARISON, PLAIN, Navigation
from leaderboard.pages.templating import embedded_data, site_page
from leaderboard.score_text import DEFAULT_ROPE
from leaderboard.statistics.intervals import MIRRORED_SCRIPTS
from leaderboard.statistics.paired_comparisons import MIN_SEEDS

PAGE = COMPARISON.address
TITLE = "Compare two methods"
COSTS = ("training_flops", "inference_flops")
"""Columns beside what the tasks rank by."""
COMPARISON_SCRIPTS = (
    *MIRRORED_SCRIPTS, "pooled_scores.js", "dom.js", "format.js", "controls.js", "comparison.js",
    "compare.js",
)  # fmt: skip
"""In load order."""


def comparison_address(first: str, second: str) -> str:
    """Return the address of the comparison of two rows, named by label, within the site."""
    return f"{PAGE}#{urlencode({'a': first, 'b': second}, quote_via=quote)}"


def group_name(group: BoardGroup) -> str:
    """Return the name of a group of boards in an address."""
    budget = group.terms.flops_budget
    return f"equal-flops-{budget:g}" if budget else "equal-steps"


def data_file(group: BoardGroup) -> str:
    """Return the address of the script that holds the scores of a group's boards."""
    return f"assets/boards-{group_name(group)}.js"


def data_script(group: BoardGroup) -> str:
    """Return that script."""
    found = embedded_data({group_name(group): comparison_data(group)})
    return f"window.resonanceBoards = Object.assign(window.resonanceBoards ?? {{}}, {found});\n"


def comparison_data(group: BoardGroup) -> dict[str, Any]:
    """Return the scores of a group's boards: `page_data` with the columns that are compared.

    Trials have the number of their test examples (``tested``) as well, of which the step between
    possible scores follows.
    """
    boards = group.boards
    content = page_data(boards)
    kept = {*COSTS, *(board.metric.name for board in boards)}
    content["columns"] = [one for one in content["columns"] if one["name"] in kept]
    trials = content["trials"]
    trials["values"] = {name: found for name, found in trials["values"].items() if name in kept}
    trials["tested"] = [run.tested for b in boards for *_, cell in b.cells() for run in cell.runs]
    return content | {
        "heading": group.terms.heading,
        "claim": group.terms.claim,
        "min_seeds": MIN_SEEDS,
        "rope": DEFAULT_ROPE / 100,
        "reference": _reference(boards),
    }


def _reference(boards: Sequence[Board]) -> str:
    """Return the label of the row that is compared with if none is named; empty without a row."""
    entries = dict.fromkeys(entry for board in boards for entry, _ in board.rows)
    chosen = Entry(REFERENCE, "")
    return chosen.label if chosen in entries else next((e.label for e in entries), "")


def comparison_page(groups: Sequence[BoardGroup], navigation: Navigation = PLAIN) -> str:
    """Return the page, in the folder of the main page."""
    return site_page(
        "compare.html",
        navigation,
        COMPARISON,
        here=PAGE,
        title=f"{TITLE} · leaderboard",
        heading=TITLE,
        scripts=[*COMPARISON_SCRIPTS],
        data=[data_file(group) for group in groups],
        min_seeds=MIN_SEEDS,
        rope=f"{DEFAULT_ROPE:g} points",
    )
