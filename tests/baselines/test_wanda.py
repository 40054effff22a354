"""Wanda on matrices that were worked out by hand, and on a small network."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.wanda import prune_rows
from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from tests.support.helpers import make

# Tokens; the norms of the columns are 5, 1, 2, 0, 3, 1, 3, 10.
INPUTS = [
    [3, 1, 0, 0, 1, 0, 2, 0],
    [4, 0, 2, 0, 2, 0, 2, 6],
    [0, 0, 0, 0, 2, 1, 1, 8],
]
WEIGHTS = [  # |w| · norm:
    [1, -6, 2, 9, 1, 4, -2, 1],  #      5  6  4  0  3  4  6 10
    [2, 3, -1, 5, 3, 7, 1, 0],  #      10  3  2  0  9  7  3  0
    [-1, 1, 4, 2, -3, 8, 2, 0.5],  #    5  1  8  0  9  8  6  5
    [3, 10, -5, 1, 1, -2, 3, 1],  #    15 10 10  0  3  2  9 10
]


def pruned(sparsity: float, **options: object) -> tuple[Tensor, nn.Linear]:
    layer = nn.Linear(8, 4, bias=False)
    layer.weight.data = torch.tensor(WEIGHTS, dtype=torch.float32)
    method = make("wanda", Plan(1, sparsity, 0, 0), **options)
    inputs = torch.tensor(INPUTS, dtype=torch.float32)
    examples = Examples(inputs, torch.zeros(3, 4), F.mse_loss, 0)
    method.attach(layer, torch.optim.SGD(layer.parameters(), 0.1), examples=examples)
    assert method.layers[0].active == 32
    method.end_training()
    assert method.sparsity_errors() == ""
    return method.layers[0].mask.int(), layer


def test_half_of_every_row_goes():
    """Ties in row 1 (columns 1 and 6) and none across the cut elsewhere: the first is kept."""
    mask, layer = pruned(0.5)
    assert mask.tolist() == [
        [1, 1, 0, 0, 0, 0, 1, 1],
        [1, 1, 0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 0, 0, 1],
    ]
    assert torch.equal(layer.weight, torch.tensor(WEIGHTS) * mask)  # the others keep their values


def test_what_rows_cannot_share_goes_where_the_next_score_is_lowest():
    """18 of 32: four in every row; the next are 5, 3, 6 and 10, so rows 0 and 1 lose one more."""
    mask, _ = pruned(0.5625)
    assert mask.tolist() == [
        [0, 1, 0, 0, 0, 0, 1, 1],
        [1, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 0, 0, 1],
    ]


def test_two_of_every_four():
    """In row 3 columns 1 and 2 tie at 10: the first is kept."""
    mask, _ = pruned(0.5, pattern="2:4")
    assert mask.tolist() == [
        [1, 1, 0, 0, 0, 0, 1, 1],
        [1, 1, 0, 0, 1, 1, 0, 0],
        [1, 0, 1, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize("zeros", [*range(13), 19, 20])
def test_rows_have_equally_many_up_to_one_and_the_total_is_exact(zeros):
    """Against a plain loop: rows lose their lowest score one by one, lowest rows first."""
    scores = torch.tensor([[3.0, 1, 1, 2, 0], [5, 5, 5, 5, 5], [9, 8, 7, 6, 5], [0, 0, 1, 0, 0]])
    expected = [[True] * 5 for _ in range(4)]
    for _ in range(zeros):
        # By zeros so far, then by the next score; of equals the later row, then the later column.
        left = [[c for c in range(5) if expected[r][c]] for r in range(4)]
        lowest = [min([(scores[r][c].item(), -c) for c in left[r]] or [(0, 0)]) for r in range(4)]
        row = min(range(4), key=lambda r: (-len(left[r]), lowest[r][0], -r))
        expected[row][-lowest[row][1]] = False
    assert prune_rows(scores, zeros).tolist() == expected


def test_a_second_layer_is_pruned_by_what_the_pruned_first_one_gives():
    """One example (1, 1). The first layer, [[3, −2], [1, −4]], becomes [[3, 0], [0, −4]] and gives
    (3, −4): the second, (2, 1) in a row, scores (6, 4) and keeps its first weight. By what the
    dense layer would have given, (1, −3), it would be (2, 3), and the other one.
    """
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    model[0].weight.data = torch.tensor([[3.0, -2], [1, -4]])
    model[1].weight.data = torch.tensor([[2.0, 1]])
    method = make("wanda", Plan(1, 0.5, 0, 0))
    examples = Examples(torch.ones(1, 2), torch.zeros(1, 1), F.mse_loss, 0)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1), examples=examples)
    method.end_training()
    assert model[0].weight.tolist() == [[3, 0], [0, -4]]
    assert model[1].weight.tolist() == [[2, 0]]


def test_a_convolution_by_hand():
    """One channel, kernel of 2, input (1, 0, 2, 2): its places see (1, 0, 2) and (0, 2, 2).

    Norms √5 and √8: the weights (3, −2.5) score 6.7 and 7.1, so the first one goes.
    """
    model = nn.Conv1d(1, 1, 2, bias=False)
    model.weight.data = torch.tensor([[[3.0, -2.5]]])
    method = make("wanda", Plan(1, 0.5, 0, 0))
    examples = Examples(torch.tensor([[[1.0, 0, 2, 2]]]), torch.zeros(1), F.mse_loss, 0)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1), examples=examples)
    method.end_training()
    assert model.weight.tolist() == [[[0, -2.5]]]


def test_a_pattern_that_does_not_fit_a_layer_is_refused_with_its_name():
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 2))
    method = make("wanda", Plan(1, 0.5, 0, 0), pattern="2:4")
    examples = Examples(torch.ones(2, 8), torch.zeros(2), F.mse_loss, 0)
    with pytest.raises(InvalidInput, match="layer '1' has 6 inputs, not a multiple of 4"):
        method.attach(model, torch.optim.SGD(model.parameters(), 0.1), examples=examples)
