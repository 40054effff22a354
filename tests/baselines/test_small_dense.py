"""The width of the small dense control."""

import pytest

from suite.core.errors import InvalidInput
from tests.support.helpers import make


def test_a_small_dense_network_is_the_widest_that_fits():
    counts = []

    def parameters(width: float) -> tuple[int, int]:
        hidden = max(1, round(100 * width))
        counts.append(64 * hidden + hidden + hidden * 10 + 10)
        return counts[-1], counts[-1] - hidden - 10

    sparsifier = make("small_dense")
    width = sparsifier.width(parameters)
    whole, prunable = parameters(1.0)
    budget = whole - int(0.9 * prunable)
    assert parameters(width)[0] <= budget < parameters(width + 0.01)[0]


def test_a_network_that_cannot_get_narrower_is_refused():
    with pytest.raises(InvalidInput, match="the narrowest network has 500: lower the sparsity"):
        make("small_dense").width(lambda width: (500, 500))
