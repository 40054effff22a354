"""CHTs: link scores by hand and by paths, and draws with the chances that they should have."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from baselines import chts
from baselines.chts import link_flops, link_scores
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES
from tests.support.helpers import OPTIMIZERS, Charged, attach, conv_net, fit, make
from tests.support.updates import attached, by, indices

# Outputs 0 to 3 read inputs {0, 1}, {1, 2}, {2, 3, 4} and {4}.
MASK = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]]).bool()
# By outputs: deg = 2, 2, 3, 1; outputs 0 and 1 share input 1, 1 and 2 share input 2, 2 and 3 share
# input 4, so D = 1 for these pairs and 0 for others, and E_ij = 1 / max(1, deg_j − 1):
#   E_01 = 1, E_10 = 1, E_12 = 1/2, E_21 = 1, E_23 = 1, E_32 = 1/2.
#   (E·A): (0,2) 1 by output 1; (1,0) 1 by 0; (1,3), (1,4) 1/2 by 2; (2,1) 1 by 1; (3,2), (3,3) 1/2.
# By inputs: deg = 1, 2, 2, 1, 2; inputs 0-1, 1-2, 2-3, 2-4 and 3-4 share an output, and every
# 1 / max(1, deg_v − 1) = 1: a place (i, v) has 1 for each input of i that shares an output with v:
#   (0,2) 1 by input 1; (1,0) 1 by 1; (1,3), (1,4) 1 by 2; (2,1) 1 by 2; (3,2), (3,3) 1 by 4.
BY_HAND = torch.tensor(
    [[-1, -1, 2, 0, 0], [2, -1, -1, 1.5, 1.5], [0, 2, -1, -1, -1], [0, 0, 1.5, 1.5, -1]]
)
"""-1 where there is a connection, whose score is not used."""


def test_scores_worked_out_by_hand():
    empty = BY_HAND >= 0
    assert torch.equal(link_scores(MASK)[empty], BY_HAND[empty])
    assert torch.equal(link_scores(MASK.T)[empty.T], BY_HAND.T[empty.T])


def by_paths(mask) -> list[list[float]]:
    """Return the sum over paths' inner ends of 1 / max(1, links that leave the common group)."""
    reads = [{v for v, linked in enumerate(row) if linked} for row in mask.tolist()]
    read_by = [{i for i, row in enumerate(reads) if v in row} for v in range(mask.shape[1])]

    def half(start: int, end: int, ahead, back) -> float:
        total = 0.0
        for inner in back[end]:  # start – common – inner – end
            common = ahead[start] & ahead[inner]
            if common:
                total += 1 / max(1, len(ahead[inner]) - len(common))
        return total

    return [
        [half(i, v, reads, read_by) + half(v, i, read_by, reads) for v in range(len(read_by))]
        for i in range(len(reads))
    ]


@pytest.mark.parametrize(("shape", "density"), [((7, 11), 0.3), ((20, 6), 0.5), ((9, 9), 0.05)])
@pytest.mark.parametrize("block", [4, 2**22])
def test_scores_are_the_sums_over_paths(monkeypatch, shape, density, block):
    monkeypatch.setattr(chts, "BLOCK", block)  # rows are computed a few at a time
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < density
    expected = torch.tensor(by_paths(mask))
    torch.testing.assert_close(link_scores(mask)[~mask], expected[~mask])


def test_scores_are_the_same_under_autocast():
    mask = torch.rand((40, 700), generator=torch.Generator().manual_seed(1)) < 0.9
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(link_scores(mask), link_scores(mask))
        within = link_scores(mask)
    assert torch.equal(within, link_scores(mask))


class Layer:
    """As much of a layer as a draw needs."""

    name, shape, device = "layer", MASK.shape, torch.device("cpu")


def grown(number: int, seed: int) -> torch.Tensor:
    model = nn.Linear(5, 4)
    sparsifier = make("chts", Plan(100, 0.5, seed, 10))
    sparsifier.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    (layer,) = sparsifier.layers
    draws = sparsifier.grow_scores(layer, 10)
    return sparsifier.grow_mask(layer, MASK, draws, number) & ~MASK


@pytest.mark.slow
def test_one_place_is_drawn_with_chances_in_proportion_to_its_score():
    draws, counts = 2000, torch.zeros(4, 5)
    for seed in range(draws):
        counts += grown(1, seed)
    chances = BY_HAND.clamp(min=0) / 12  # 3 places of 2, 4 places of 1.5
    assert counts[chances == 0].sum() == 0
    deviation = (counts - draws * chances) / (draws * chances * (1 - chances)).sqrt().clamp(min=1)
    assert deviation.abs().max() < 4


def test_places_without_a_score_are_drawn_uniformly_after_all_others():
    counts = torch.zeros(4, 5)
    for seed in range(500):
        mask = grown(9, seed)  # 7 places have a score
        assert int(mask.sum()) == 9
        assert mask[BY_HAND > 0].all()
        counts += mask
    assert (counts[BY_HAND == 0] - 500 * 2 / 5).abs().max() < 4 * math.sqrt(500 * 0.4 * 0.6)


class Weights(Layer):
    """A layer of 4 active weights, 1, 2, 3 and 4, and one that is not."""

    shape = torch.Size((1, 5))
    mask = torch.tensor([[True, True, True, True, False]])
    values = torch.tensor([[1.0, -2.0, 3.0, -4.0, 0.0]])
    active, size, device = 4, 5, torch.device("cpu")
    places = torch.arange(4)

    @property
    def active_values(self):
        return self.values[0, :4]


@pytest.mark.parametrize(("step", "power"), [(0, 1), (50, 2), (100, 3)])
def test_the_weight_that_stays_is_drawn_by_a_power_of_its_size(step, power):
    draws, counts = 2000, torch.zeros(5)
    for seed in range(draws):
        kept = make("chts", Plan(100, 0.5, seed, 10), drop_fraction=0.75).drop_mask(Weights(), step)
        assert int(kept.sum()) == 1
        counts += kept
    sizes = torch.tensor([1.0, 2, 3, 4]) ** power
    chances = sizes / sizes.sum()
    deviation = (counts[:4] - draws * chances) / (draws * chances * (1 - chances)).sqrt()
    assert deviation.abs().max() < 4


def test_weights_of_zero_are_dropped_first():
    class Untrained(Weights):
        values = torch.tensor([[0.0, 1e-30, 0.0, 1e-30, 0.0]])

    for seed in range(20):
        made = make("chts", Plan(100, 0.5, seed, 10), drop_fraction=0.5)
        assert indices(made.drop_mask(Untrained(), 100)) == {1, 3}


def test_dropped_by_magnitude_as_in_cht():
    made = make("chts", drop_fraction=0.5, drop_rule="magnitude")
    assert indices(made.drop_mask(Weights(), 50)) == {2, 3}


def test_an_update_keeps_the_counts_and_grows_where_there_is_a_score():
    model, optimizer, sparsifier = attached("chts")
    fit(model, optimizer, sparsifier, stop=29)
    before = {layer.name: layer.mask.clone() for layer in sparsifier.layers}
    values = {layer.name: layer.values.clone() for layer in sparsifier.layers}
    sparsifier.update(30)
    for layer in sparsifier.layers:
        old, new = before[layer.name], layer.mask
        assert int(new.sum()) == int(old.sum())
        moved = int((new & ~old).sum())
        if old.all():
            assert moved == 0
            continue
        assert 0 < moved <= math.floor(0.3 * int(old.sum()))
        assert not layer.values[new & ~old].any()
        assert torch.equal(layer.values[new & old], values[layer.name][new & old])


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_each_group_of_a_grouped_convolution_is_a_network_of_its_own(kind, monkeypatch):
    """Its scores are those in the whole layer, where other groups' inputs are other neurons."""
    model = nn.Sequential(kind(6, 12, 3, groups=3), nn.Flatten())
    sparsifier = make("chts", Plan(100, 0.6, 0, 10), drop_fraction=0.5)
    sparsifier.attach(model, OPTIMIZERS["sgd"](model), coverage=ALL_MATRICES)
    monkeypatch.setattr(chts.Chts, "_draws", lambda self, layer, *_: torch.ones(layer.shape))
    (layer,) = sparsifier.layers
    kept, number = layer.mask, 20
    rows = kept.flatten(1)
    whole = torch.block_diag(*rows.view(3, -1, rows.shape[1]).float())
    scores = torch.tensor(by_paths(whole > 0))
    parts = scores.view(3, len(rows) // 3, 3, -1)
    own = torch.cat([parts[group, :, group] for group in range(3)]).flatten()
    empty = (~kept).flatten().nonzero().flatten().tolist()
    best = sorted(empty, key=lambda place: (-round(float(own[place]), 4), place))[:number]
    mask = sparsifier.grow_mask(layer, kept, sparsifier.grow_scores(layer, 10), number)
    assert indices(mask & ~kept) == set(best)


def test_no_dense_gradient_is_read_and_updates_come_after_every_epoch_but_the_last():
    sparsifier = make("chts")
    assert [step for step in range(1, 121) if sparsifier.is_update(step)] == [30, 60, 90]
    assert not any(map(sparsifier.wants_dense_gradient, range(1, 121)))


def test_the_same_seed_draws_the_same_connections_whatever_the_gradients():
    masks = []
    for scale in (1.0, 1.0, 3.0):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make("chts", drop_rule="magnitude")
        attach(sparsifier, model, optimizer)
        for parameter in model.parameters():
            parameter.grad = scale * torch.ones_like(parameter)
        sparsifier.update(30)
        masks.append(torch.cat([layer.mask.flatten() for layer in sparsifier.layers]))
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


def test_the_smallest_weights_go_when_all_others_are_far_larger():
    _, _, sparsifier = attached("chts", drop_exponent=100.0)
    layer = sparsifier.layers[2]
    active = indices(layer.mask)
    values = torch.zeros(layer.size)
    for rank, place in enumerate(sorted(active)):
        values[place] = 1.0 if rank % 2 else 1e-3  # (1e-3)^100 is far below any single precision
    layer.values.copy_(values.view(layer.shape))
    drop = math.floor(0.3 * len(active))
    kept = indices(sparsifier.drop_mask(layer, 120))
    large = {place for place in active if values[place] == 1}
    assert large <= kept
    assert len(kept) == len(active) - drop
    assert by(values, active, len(large), largest=True) == large


@pytest.mark.parametrize("block", [40, 2**22])
def test_link_scores_are_charged_as_torch_counts_their_products(monkeypatch, block):
    monkeypatch.setattr(chts, "BLOCK", block)
    with FlopCounterMode(display=False) as counter:
        link_scores(torch.rand(20, 6) < 0.3)
    assert counter.get_total_flops() == link_flops(20, 6)


def test_every_update_of_a_layer_is_charged_group_by_group():
    model, account = conv_net(), Charged()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("chts", Plan(30, 0.8, 0, 15), update_every=7, dense_layers=["0"])
    attach(sparsifier, model, optimizer, flops=account)
    fit(model, optimizer, sparsifier)
    shapes = [(8, 36), (8, 36), (32, 256), (10, 32)]  # the second convolution has two groups
    assert account.method == 4 * sum(4 * (n * n * m + n * m * m) for n, m in shapes)
