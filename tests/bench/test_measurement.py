"""A figure of speed and its bar."""

import pytest

from suite.bench.measurement import Bar, Measurement


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (Bar(1.1), 1.1, True),
        (Bar(1.1), 1.101, False),
        (Bar(2.2, least=True), 2.2, True),
        (Bar(2.2, least=True), 2.199, False),
    ],
    ids=str,
)
def test_a_bar_is_met_by_the_limit_itself(bar, value, met):
    assert bar.met_by(value) is met
    assert Measurement("it", value, "×", bar=bar).met is met


def test_of_several_values_the_median_counts_and_the_range_is_kept():
    one = Measurement.of("it", [5.0, 1.0, 2.0], "s")
    assert (one.value, one.spread) == (2.0, (1.0, 5.0))
    assert Measurement.of("it", [5.0], "s").spread is None
