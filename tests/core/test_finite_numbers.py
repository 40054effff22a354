"""Documents may hold any number: pages take those that can be counted and written."""

import math

import pytest

from leaderboard.finite_numbers import finite_number
from leaderboard.pages.study_page import ShownStudy, study_page

STRANGE = [10**400, -(10**400), math.nan, math.inf, True, None, "1", [1]]


@pytest.mark.parametrize("given", STRANGE, ids=[str(x)[:5] for x in STRANGE])
def test_what_is_no_finite_number_is_none_and_a_study_of_it_has_a_page(given):
    assert finite_number(given) is None
    trial = {"task": "digits/mlp", "method": "set", "sparsity": given, "seed": given}
    study = ShownStudy("one", "?", {"seeds": str(given)}, {"a" * 16: trial})
    assert "1 trials of 1 task, 1 method, 1 seed" in study_page(study, {}.get)


@pytest.mark.parametrize("given", [0, -2.5, 1e308, 2**900], ids=["0", "-2.5", "1e308", "2**900"])
def test_a_number_is_itself(given):
    assert finite_number(given) == given
