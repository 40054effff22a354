"""Documents may hold any number: those that can be counted and written are taken."""

import math

import pytest

from suite.core.finite_numbers import finite_number

STRANGE = [10**400, -(10**400), math.nan, math.inf, True, None, "1", [1]]


@pytest.mark.parametrize("given", STRANGE, ids=[str(x)[:5] for x in STRANGE])
def test_what_is_no_finite_number_is_none(given):
    assert finite_number(given) is None


@pytest.mark.parametrize("given", [0, -2.5, 1e308, 2**900], ids=["0", "-2.5", "1e308", "2**900"])
def test_a_number_is_itself(given):
    assert finite_number(given) == given
