"""SparseGPT on a case worked out by hand, and against the optimal-brain-surgeon formula."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from baselines.sparsegpt import gram_flops, inverse_factor, prune_columns, update_flops
from suite.sparsity.plan import Plan
from suite.sparsity.scoring import Examples
from tests.support.helpers import OPTIMIZERS, Charged, attach, conv_net, make

DAMPENING = 0.01


def attached(layer: nn.Module, inputs: Tensor, sparsity: float, **options: object):
    method = make("sparsegpt", Plan(1, sparsity, 0, 0), **options)
    examples = Examples(inputs, torch.zeros(len(inputs)), F.mse_loss, 0)
    method.attach(layer, torch.optim.SGD(layer.parameters(), 0.1), examples=examples)
    return method


def test_one_row_of_two_by_hand():
    """Tokens (7, 1), (1, 7), (5, 5), (5, 5): XXᵀ = [[100, 64], [64, 100]], λ = 1 % of 100.

    H = [[101, 64], [64, 101]], with the determinant 10201 − 4096 = 6105. w = (1, 2).
    Dropping w₀ costs w₀² / [H⁻¹]₀₀ = 1 · 6105 / 101 = 60.4; once the first column is fixed,
    dropping w₁ costs w₁² · 101 = 404. So w₀ goes, and w₁ becomes
    2 − w₀ · [H⁻¹]₀₁ / [H⁻¹]₀₀ = 2 + 64 / 101, which is what minimises (w − w')ᵀ H (w − w').
    """
    layer = nn.Linear(2, 1, bias=False).double()
    layer.weight.data = torch.tensor([[1.0, 2]]).double()
    tokens = torch.tensor([[7.0, 1], [1, 7], [5, 5], [5, 5]]).double()
    method = attached(layer, tokens, 0.5)
    method.end_training()
    assert method.layers[0].mask.tolist() == [[False, True]]
    torch.testing.assert_close(layer.weight.data, torch.tensor([[0, 2 + 64 / 101]]).double())


def surgeon(
    weights: np.ndarray,
    tokens: np.ndarray,
    zeros: Sequence[int],
    width: int,
    pattern: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and mask by the published algorithm, with explicit inverses.

    Columns from left to right: F is what is not fixed yet, and Hinv the inverse of H without the
    fixed rows and columns. A dropped w moves the rest by −w / [Hinv]₀₀ · [Hinv]₀. `zeros` are those
    of each block of `width` columns.
    """
    w = weights.copy()
    gram = tokens.T @ tokens
    hessian = gram + DAMPENING * np.mean(np.diag(gram)) * np.eye(len(gram))
    inverses = [np.linalg.inv(hessian[j:, j:]) for j in range(len(gram))]
    dropped = np.zeros(w.shape, bool)
    for j in range(w.shape[1]):
        begins = j % width == 0 if pattern is None else j % pattern[1] == 0
        if begins and pattern is None:
            places = [
                (w[i, k] ** 2 / inverses[k][0, 0], i, k)
                for i in range(len(w))
                for k in range(j, min(j + width, w.shape[1]))
            ]
            for _, i, k in sorted(places)[: zeros[j // width]]:
                dropped[i, k] = True
        elif begins:
            for i in range(len(w)):
                some = [(w[i, k] ** 2 / inverses[k][0, 0], k) for k in range(j, j + pattern[1])]
                for _, k in sorted(some)[: pattern[1] - pattern[0]]:
                    dropped[i, k] = True
        for i in np.flatnonzero(dropped[:, j]):
            w[i, j:] -= w[i, j] / inverses[j][0, 0] * inverses[j][0]
    w[dropped] = 0
    return w, ~dropped


@pytest.fixture
def matrices() -> tuple[Tensor, Tensor]:
    generator = torch.manual_seed(3)
    mixing = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 8, generator=generator, dtype=torch.float64)
    return weights, torch.randn(20, 8, generator=generator, dtype=torch.float64) @ mixing


@pytest.mark.parametrize(
    ("sparsity", "block_size", "zeros", "pattern"),
    [
        (0.5, 128, [16], None),
        (0.5, 4, [8, 8], None),
        (0.5, 1, [2] * 8, None),
        # 19 zeros in blocks of 3, 3 and 2 columns: floor(19·3/8), floor(19·6/8) and 19 up to there.
        (0.6, 3, [7, 7, 5], None),
        (0.9, 3, [10, 11, 7], None),
        (0.5, 128, [], (2, 4)),
        (0.75, 4, [], (1, 4)),
        (0.5, 3, [], (4, 8)),
    ],
)
def test_agrees_with_the_formula_of_the_optimal_brain_surgeon(
    matrices, sparsity, block_size, zeros, pattern
):
    weights, tokens = matrices
    layer = nn.Linear(8, 4, bias=False).double()
    layer.weight.data = weights.clone()
    named = {"pattern": f"{pattern[0]}:{pattern[1]}"} if pattern else {}
    method = attached(layer, tokens, sparsity, block_size=block_size, **named)
    method.end_training()
    expected, mask = surgeon(weights.numpy(), tokens.numpy(), zeros, block_size, pattern)
    assert np.array_equal(method.layers[0].mask.numpy(), mask)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, rtol=1e-9)
    assert method.sparsity_errors() == ""


def test_each_group_of_a_convolution_is_a_matrix_of_its_own():
    """Two groups of one channel, kernel of 3: two rows each, ranked together."""
    generator = torch.manual_seed(1)
    layer = nn.Conv1d(2, 4, 3, padding=1, groups=2, bias=False).double()
    layer.weight.data = torch.randn(4, 1, 3, generator=generator, dtype=torch.float64)
    before = layer.weight.detach().clone()
    x = torch.randn(5, 2, 7, generator=generator, dtype=torch.float64)
    method = attached(layer, x, 0.5, block_size=1)
    method.end_training()
    padded = F.pad(x, (1, 1)).numpy()
    mask = method.layers[0].mask.squeeze(1).numpy()
    assert [int((~mask[:, column]).sum()) for column in range(3)] == [2, 2, 2]
    for group in (0, 1):
        places = [padded[n, group, p : p + 3] for n in range(5) for p in range(7)]
        rows = slice(2 * group, 2 * group + 2)
        zeros = [int((~mask[rows, column]).sum()) for column in range(3)]
        own = before[rows].squeeze(1).numpy()
        expected, kept = surgeon(own, np.array(places), zeros, 1)
        assert np.array_equal(mask[rows], kept)
        np.testing.assert_allclose(layer.weight.detach()[rows].squeeze(1), expected, rtol=1e-9)


def test_a_convolutions_pattern_is_over_channels_at_one_place():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 3, 2, bias=False)
    before = layer.weight.detach().clone()
    method = attached(layer, torch.randn(6, 4, 5, 5), 0.5, pattern="2:4")
    method.end_training()
    assert (method.layers[0].mask.sum(1) == 2).all()
    assert method.sparsity_errors() == ""
    assert not torch.equal(layer.weight.detach(), before * method.layers[0].mask)


def test_weights_of_dead_inputs_go_first_and_no_more_than_the_count():
    """Inputs 1 and 3 are always 0: with 4 rows and 6 zeros, six of their eight weights go."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 4, bias=False).double()
    before = layer.weight.detach().clone()
    tokens = torch.randn(9, 4, dtype=torch.float64)
    tokens[:, [1, 3]] = 0
    method = attached(layer, tokens, 0.375)
    method.end_training()
    mask = method.layers[0].mask
    assert mask[:, [0, 2]].all()
    assert int((~mask).sum()) == 6
    assert torch.equal(layer.weight.detach(), before * mask)  # there is no error to make up for


def test_a_layer_of_dead_inputs_alone_is_pruned_without_an_error():
    layer = nn.Linear(4, 4, bias=False)
    method = attached(layer, torch.zeros(3, 4), 0.5)
    method.end_training()
    assert method.sparsity_errors() == ""
    assert layer.weight.isfinite().all()


def test_fewer_tokens_than_inputs_make_a_singular_matrix_which_is_dampened():
    torch.manual_seed(0)
    layer = nn.Linear(16, 4, bias=False)
    method = attached(layer, torch.randn(3, 16), 0.5)
    method.end_training()
    assert method.sparsity_errors() == ""
    assert layer.weight.isfinite().all()


def test_the_factor_holds_the_inverses_of_the_remaining_columns(matrices):
    """U_jj² = [H_{j:,j:}⁻¹]₀₀, as the algorithm needs it."""
    _, tokens = matrices
    gram = tokens.T @ tokens
    factor, failed = inverse_factor(gram.unsqueeze(0), DAMPENING)
    assert not failed
    hessian = (gram + DAMPENING * gram.diagonal().mean() * torch.eye(8)).numpy()
    for j in range(8):
        inverse = np.linalg.inv(hessian[j:, j:])
        assert float(factor[0, j, j]) ** 2 == pytest.approx(inverse[0, 0])
        np.testing.assert_allclose(
            factor[0, j, j:] / factor[0, j, j], inverse[0] / inverse[0, 0], rtol=1e-9, atol=1e-9
        )


def test_it_leaves_a_smaller_error_than_pruning_by_the_same_masks_without_adjusting():
    torch.manual_seed(0)
    tokens = torch.randn(50, 12, dtype=torch.float64) @ torch.randn(12, 12, dtype=torch.float64)
    weights = torch.randn(6, 12, dtype=torch.float64)
    gram = tokens.T @ tokens
    factor, _ = inverse_factor(gram.unsqueeze(0), DAMPENING)
    adjusted = weights.clone().unsqueeze(0)
    dead = torch.zeros(1, 12, dtype=torch.bool)
    mask = prune_columns(adjusted, factor, dead, 36, 128)

    def error(pruned: Tensor) -> float:
        return float((tokens @ (weights - pruned).T).square().sum())

    assert error(adjusted[0]) < 0.5 * error(weights * mask[0])


def test_updates_are_charged_as_torch_counts_their_products():
    weights, factor = torch.randn(1, 5, 16).double(), torch.eye(16).double()[None]
    with FlopCounterMode(display=False) as counter:
        prune_columns(weights, factor, torch.zeros(1, 16, dtype=torch.bool), 40, 1)
    # In blocks of one column no product is in place, which torch would not count.
    assert counter.get_total_flops() == update_flops(5, 16) - 4 / 3 * 16**3


def test_pruning_is_charged_group_by_group_with_every_position():
    model, account = conv_net(), Charged()
    plan = Plan(1, 0.5, 0, 0)
    sparsifier = make("sparsegpt", plan, calibration_examples=50, dense_layers=["8"], block_size=1)
    attach(sparsifier, model, OPTIMIZERS["sgd"](model), flops=account)
    assert account.method == 0
    with FlopCounterMode(display=False) as counter:
        sparsifier.end_training()
    layers = [(1, 64, 8, 9), (2, 16, 8, 36), (1, 1, 32, 256)]  # groups, positions, rows, columns
    expected = sum(g * (gram_flops(50 * p, d) + update_flops(r, d)) for g, p, r, d in layers)
    assert account.method == pytest.approx(expected, rel=1e-12)
    forward = 50 * 2 * (64 * 72 + 16 * 16 * 36 + 256 * 32 + 320)
    factors = sum(g * 4 / 3 * d**3 for g, _, _, d in layers)  # which torch does not count
    tried = forward / 50 * 2  # two examples show which layers are called
    counted = counter.get_total_flops()
    assert counted == pytest.approx(account.method - factors + forward + tried, rel=1e-12)
