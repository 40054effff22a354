"""What the search of a site finds: titles of its pages, and keys of trials by their beginning.

Two scripts, which `assets/search.js` asks for when the field is used: one of pages, and one of
trials, which may be large, once something is typed that a key may begin with.
"""

from collections.abc import Iterable
from typing import NamedTuple

from leaderboard.pages.templating import embedded_data
from leaderboard.trial_facts import TrialResult

PAGES = "assets/search_index.js"
TRIALS = "assets/search_trials.js"
MAX_WORDS = 300
"""Longest text of one page in the index: names in records of others may be of any length."""


class FoundPage(NamedTuple):
    """A page that can be found: its kind, its title, further words, its address in the site."""

    kind: str
    title: str
    words: str
    address: str


def page_index(pages: Iterable[FoundPage]) -> str:
    """Return the script of pages."""
    rows = [[one.kind, one.title[:MAX_WORDS], one.words[:MAX_WORDS], one.address] for one in pages]
    return f"window.resonancePages = {embedded_data(rows)};\n"


def trial_index(trials: Iterable[TrialResult]) -> str:
    """Return the script of trials: what each group is, and the keys of its trials in order."""
    groups: dict[str, list[str]] = {}
    for one in trials:
        trial = one.trial
        title = f"{trial['method']} on {trial['task']} at {trial['sparsity']:g}"[:MAX_WORDS]
        groups.setdefault(title, []).append(one.key)
    rows = [[title, " ".join(sorted(keys))] for title, keys in sorted(groups.items())]
    return f"window.resonanceTrialKeys = {embedded_data(rows)};\n"
