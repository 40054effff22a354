"""The stated coverage of intervals is what a simulation of the real functions gives."""

import math
from pathlib import Path

import numpy as np
import pytest

from leaderboard.boards import build_boards
from leaderboard.pages.index_page import index_page
from leaderboard.statistics.coverage import COVERAGE, COVERAGE_TABLE, KINDS
from tests.leaderboard.sample_boards import planted
from tests.leaderboard.simulated_boards import SIMULATIONS, coverage, expected_ranks

INTERVALS = 500
"""A share is found at least as exactly as of this many independent intervals."""


def boards_of(name: str, kind: str) -> int:
    """Return how many boards that takes, by how many intervals one of them has.

    Those of one board are nearly independent: three of a profile are worth 2.3 independent ones,
    four of ratings 3.6. Here they count as 2 and 2.5.
    """
    on_one = len(SIMULATIONS[name](np.random.default_rng(0), kind, 5))
    return math.ceil(2 * INTERVALS / (on_one + 1))


@pytest.mark.slow  # up to a thousand boards each time
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SIMULATIONS)
def test_the_stated_coverage_is_what_is_simulated(name, kind):
    for seeds, shares in COVERAGE[name].items():
        stated = shares[KINDS.index(kind)]
        # The boards are the first of those that the stated figures were made of.
        error = math.sqrt(stated * (1 - stated) / INTERVALS)
        found = coverage(name, kind, seeds, boards_of(name, kind))
        assert found == pytest.approx(stated, abs=4 * error), seeds


def test_every_interval_covers_about_what_it_is_for_but_the_mean_of_rare_collapse():
    assert set(COVERAGE) == set(SIMULATIONS)
    for name, by_number in COVERAGE.items():
        assert set(by_number) == {5, 10}
        for shares in by_number.values():
            for kind, share in zip(KINDS, shares, strict=True):
                if (name, kind) == ("mean", "collapsing"):
                    assert share < 0.7
                elif name == "mean rank (by true means)":  # which that interval is not for
                    assert share < 0.98
                else:
                    assert 0.91 <= share <= 0.99, (name, kind)


def test_a_rank_is_expected_at_what_many_draws_of_seeds_give_on_average():
    """The mean ranks of six methods add up; the best by true means is the best on average."""
    for kind in KINDS:
        found = expected_ranks(kind, 5)
        assert sum(found) == pytest.approx(21)
        if kind != "collapsing":
            assert found == sorted(found, reverse=True)


def test_the_page_says_what_the_interval_of_a_rank_is_not_for():
    text = index_page(*build_boards(planted()))
    assert "not for the true order of methods that are close" in text
    assert '<a href="#coverage">' in text
    assert 'id="coverage"' in text


def test_the_protocol_and_the_main_page_state_the_same_figures():
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    for row in [COVERAGE_TABLE.columns, *COVERAGE_TABLE.rows]:
        assert f"| {' | '.join(row)} |" in lines
    text = index_page(*build_boards(planted()))
    for row in COVERAGE_TABLE.rows:
        cells = "".join(f"<td>{figure}</td>" for figure in row[1:])
        assert f'<tr><th scope="row">{row[0]}</th>{cells}</tr>' in text
