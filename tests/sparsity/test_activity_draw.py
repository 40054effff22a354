"""Places drawn by the activity of their row and column, against enumeration and brute force."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import nn

from suite.sparsity.activity_draw import MOST_DRAWS, Activity, Grid
from tests.support.updates import active_empty

LAYERS = {
    "linear": nn.Linear(5, 4),
    "conv": nn.Conv2d(3, 4, (2, 3)),
    "grouped": nn.Conv2d(6, 4, 2, groups=2),
    "depthwise": nn.Conv1d(4, 8, 3, groups=4),
    "transposed": nn.ConvTranspose2d(3, 4, (2, 3)),
    "transposed, grouped": nn.ConvTranspose1d(6, 4, 3, groups=2),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_and_columns(module: nn.Module) -> list[tuple[int, tuple[int, ...]]]:
    """Return, by flat place, which output a weight belongs to and which input it reads where.

    Found by what the module computes: an output channel depends on a weight, and so does the
    gradient of an input channel.
    """
    weight, groups = module.weight, getattr(module, "groups", 1)
    transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d)
    found = []
    for index in itertools.product(*map(range, weight.shape)):
        if isinstance(module, nn.Linear):
            found.append((index[0], index[1:]))
            continue
        inputs = module.in_channels // groups
        if transposed:
            group = index[0] // inputs
            row = group * weight.shape[1] + index[1]
            found.append((row, (index[0], *index[2:])))
        else:
            group = index[0] // (module.out_channels // groups)
            found.append((index[0], (group * inputs + index[1], *index[2:])))
    return found


@pytest.mark.parametrize("kind", LAYERS)
def test_rows_are_outputs_and_columns_the_inputs_that_they_read(kind):
    module = LAYERS[kind]
    size = module.weight.numel()
    grid = Grid.of(module, module.weight.shape)
    assert grid.groups * grid.rows * grid.columns == size
    places = torch.arange(size)
    rows, columns = grid.at(places)
    expected = rows_and_columns(module)
    assert rows.tolist() == [row for row, _ in expected]
    number = {column: n for n, column in enumerate(sorted({c for _, c in expected}))}
    assert columns.tolist() == [number[column] for _, column in expected]
    assert torch.equal(grid.places(rows, columns), places)


def test_the_outputs_of_a_transposed_convolution_depend_on_their_rows():
    module = LAYERS["transposed, grouped"]
    grid = Grid.of(module, module.weight.shape)
    x = torch.randn(1, 6, 5, generator=seeded(0))
    first = module(x).detach()
    for place in range(module.weight.numel()):
        with torch.no_grad():
            module.weight.view(-1)[place] += 1
            changed = (module(x) - first).abs().amax((0, 2)) > 1e-6
            module.weight.view(-1)[place] -= 1
        (row,), _ = grid.at(torch.tensor([place]))
        assert changed.nonzero().flatten().tolist() == [int(row)]


def test_activity_is_the_mean_by_row_and_by_column_of_what_was_seen():
    grid = Grid.of(LAYERS["linear"], torch.Size((4, 5)))
    places = torch.tensor([0, 1, 6, 8, 11])  # rows 0, 0, 1, 1, 2; columns 0, 1, 1, 3, 1
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 0.5])
    found = Activity.observed(grid, places, values)
    overall = 15.5 / 5
    torch.testing.assert_close(found.rows, torch.tensor([1.5, 6, 0.5, overall]).double())
    torch.testing.assert_close(
        found.columns, torch.tensor([1, 6.5 / 3, overall, 8, overall]).double()
    )


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0, math.nan], [math.inf, 1.0]])
def test_values_that_say_nothing_give_no_activity(values):
    grid = Grid.of(LAYERS["linear"], torch.Size((4, 5)))
    places = torch.arange(len(values))
    assert Activity.observed(grid, places, torch.tensor(values)) is None


def test_the_order_of_addition_does_not_change_a_bit():
    grid = Grid.of(LAYERS["linear"], torch.Size((4, 5)))
    places, values = torch.arange(20), torch.rand(20, generator=seeded(3)).pow(9)
    order = torch.randperm(20, generator=seeded(4))
    one = Activity.observed(grid, places, values)
    other = Activity.observed(grid, places[order], values[order])
    assert torch.equal(one.rows, other.rows)
    assert torch.equal(one.columns, other.columns)


def weights_of(activity: Activity) -> torch.Tensor:
    """Return row activity times column activity at every place, by definition."""
    rows, columns = activity.grid.at(torch.arange(activity.grid.groups * activity.grid.rows
                                                  * activity.grid.columns))  # fmt: skip
    return activity.rows[rows] * activity.columns[columns]


@pytest.mark.parametrize("kind", LAYERS)
def test_single_draws_follow_the_product_of_row_and_column(kind):
    module = LAYERS[kind]
    size = module.weight.numel()
    grid = Grid.of(module, module.weight.shape)
    values = torch.rand(size, generator=seeded(1)) + 0.1
    activity = Activity.observed(grid, torch.arange(size), values)
    number = 40_000
    drawn = activity.draw(number, seeded(2)).bincount(minlength=size).double()
    expected = weights_of(activity)
    expected *= number / expected.sum()
    assert stats.chisquare(drawn, expected).pvalue > 0.001


@pytest.mark.slow
def test_sets_of_places_have_the_distribution_of_draws_without_replacement():
    """Every set of two of five empty places, against the sum over both orders of drawing them."""
    grid = Grid(1, 2, 4)
    activity = Activity(
        grid, torch.tensor([1.0, 2.5]).double(), torch.tensor([0.5, 1, 2, 6]).double()
    )
    mask = torch.tensor([[True, False, False, False], [False, True, True, False]])
    empty = (~mask).flatten().nonzero().flatten().tolist()
    weight = weights_of(activity).tolist()
    total = sum(weight[place] for place in empty)
    pairs = list(itertools.combinations(empty, 2))
    expected = [
        sum(weight[a] / total * weight[b] / (total - weight[a]) for a, b in ((p, q), (q, p)))
        for p, q in pairs
    ]
    assert sum(expected) == pytest.approx(1)
    trials = 12_000
    counts = dict.fromkeys(pairs, 0)
    for seed in range(trials):
        drawn = active_empty(mask, 2, activity, seeded(seed))
        counts[tuple(drawn.flatten().nonzero().flatten().tolist())] += 1
    result = stats.chisquare(list(counts.values()), [trials * share for share in expected])
    assert result.pvalue > 0.001


@pytest.mark.slow
def test_they_have_the_distribution_of_the_highest_with_gumbel_noise():
    """How often each of 60 places is among 12, here and for the 12 highest log w + Gumbel."""
    grid = Grid(1, 6, 10)
    rows = torch.rand(6, generator=seeded(5)).double() + 0.05
    columns = torch.rand(10, generator=seeded(6)).double().square() + 0.02
    activity = Activity(grid, rows, columns)
    mask = torch.rand(6, 10, generator=seeded(7)) < 0.2
    trials = 4000
    mine, theirs = torch.zeros(60), torch.zeros(60)
    log = weights_of(activity).log().masked_fill(mask.flatten(), -math.inf)
    random = seeded(8)
    for seed in range(trials):
        mine += active_empty(mask, 12, activity, seeded(seed)).flatten()
        noise = -(-torch.rand(60, generator=random, dtype=torch.float64).log()).log()
        theirs[(log + noise).topk(12).indices] += 1
    empty = ~mask.flatten()
    assert not mine[~empty].any()
    p, q = mine[empty] / trials, theirs[empty] / trials
    z = (p - q) / ((p * (1 - p) + q * (1 - q)) / trials).sqrt()
    assert float(z.abs().max()) < 4.5
    assert float(p.max() / p.min()) > 5  # far from uniform


@pytest.mark.parametrize("count", [0, 1, 17, 39, 40])
def test_exactly_so_many_empty_places_are_drawn(count):
    mask = torch.zeros(5, 10, dtype=torch.bool)
    mask.view(-1)[torch.randperm(50, generator=seeded(0))[:10]] = True
    activity = Activity(Grid(1, 5, 10), torch.arange(5.0).double(), torch.arange(10.0).double())
    drawn = active_empty(mask, count, activity, seeded(1))
    assert int(drawn.sum()) == count
    assert not bool((drawn & mask).any())
    assert torch.equal(drawn, active_empty(mask, count, activity, seeded(1)))


def test_more_than_the_empty_places_are_refused():
    activity = Activity(Grid(1, 2, 2), torch.ones(2).double(), torch.ones(2).double())
    with pytest.raises(ValueError, match="count=2 of 1 empty places"):
        active_empty(torch.tensor([[True, True], [False, True]]), 2, activity, seeded(0))


class Counted(Activity):
    """Counts how many places are drawn, and in how many batches."""

    drawn = batches = 0

    def draw(self, number, generator):
        type(self).drawn += number
        type(self).batches += 1
        return super().draw(number, generator)


def test_the_number_of_draws_follows_the_number_wanted_not_the_size():
    used = []
    for side in (100, 400):  # sixteen times as many places
        Counted.drawn = 0
        activity = Counted(
            Grid(1, side, side), torch.ones(side).double(), torch.ones(side).double()
        )
        mask = torch.zeros(side, side, dtype=torch.bool)
        active_empty(mask, 500, activity, seeded(0))
        used.append(Counted.drawn)
    assert used[0] <= 4 * 500
    assert used[1] <= 4 * 500


@pytest.mark.slow
def test_after_ten_draws_for_each_wanted_place_the_rest_is_uniform():
    # All activity lies on one place: the others can only come from the uniform rest.
    rows, columns = torch.zeros(20).double(), torch.zeros(20).double()
    rows[3] = columns[4] = 1
    mask = torch.zeros(20, 20, dtype=torch.bool)
    Counted.drawn = 0
    counts = torch.zeros(20, 20)
    for seed in range(2000):
        counts += active_empty(mask, 20, Counted(Grid(1, 20, 20), rows, columns), seeded(seed))
    assert Counted.drawn == 2000 * MOST_DRAWS * 20
    assert counts[3, 4] == 2000
    others = counts.flatten()[torch.arange(400) != 3 * 20 + 4]
    assert stats.chisquare(others.numpy()).pvalue > 0.001


def test_few_batches_are_drawn_where_the_last_places_cannot_be_reached():
    """A batch for each draw would be 65,000 of them: one column of eight has no activity."""
    rows, columns = torch.ones(64).double(), torch.ones(128).double()
    columns[:16] = 0
    reached = 64 * (128 - 16)
    activity = Counted(Grid(1, 64, 128), rows, columns)
    Counted.drawn = Counted.batches = 0
    mask = torch.zeros(64, 128, dtype=torch.bool)
    found = active_empty(mask, reached + 1, activity, seeded(0))
    assert found[:, 16:].all()
    assert Counted.drawn == MOST_DRAWS * (reached + 1)
    assert Counted.batches < 250


@pytest.mark.parametrize("count", [0, 1, 30, 200, 311, 440])
def test_places_are_those_that_are_drawn_first_one_by_one(count):
    random = seeded(count)
    rows, columns = torch.rand(24, generator=random).double(), torch.rand(28, generator=random)
    activity = Activity(Grid(1, 24, 28), rows, columns.double().square())
    mask = torch.rand(24, 28, generator=random) < 0.3
    generator, taken = seeded(1), mask.flatten().clone()
    for _ in range(MOST_DRAWS * count):
        if int(taken.sum()) == int(mask.sum()) + count:
            break
        taken[activity.draw(1, generator)] = True
    found = active_empty(mask, count, activity, seeded(1))
    assert int(found.sum()) == count
    assert not bool((taken.view(24, 28) & ~mask & ~found).any())
