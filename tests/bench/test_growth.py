import pytest

from suite.bench import growth


@pytest.mark.parametrize(("power", "expected"), [(1, 1.0), (2, 2.0), (0, 0.0)])
def test_the_exponent_is_that_of_the_size(power: int, expected: float) -> None:
    assert growth.exponent((10, 30), (10**power, 30**power)) == pytest.approx(expected)
