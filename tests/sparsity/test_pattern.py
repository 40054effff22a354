import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.sparsity.masks import NonFiniteScores
from suite.sparsity.pattern import Pattern
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES, Coverage
from tests.support.helpers import OPTIMIZERS, attach, conv_net, fit, make
from tests.support.updates import indices

HALF = Plan(steps=120, sparsity=0.5, seed=0, steps_per_epoch=30)


def attached(method: str, **options):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, HALF, pattern="2:4", **options)
    attach(sparsifier, model, optimizer)
    return model, optimizer, sparsifier


def runs(mask: torch.Tensor) -> list[int]:
    """Return how many of every 4 consecutive inputs are active, spelled out."""
    counts = []
    for place in mask.flatten(2).unbind(-1) if mask.ndim > 2 else [mask]:
        for row in place.tolist():
            counts += [sum(row[i : i + 4]) for i in range(0, len(row), 4)]
    return counts


@pytest.mark.parametrize("method", ["magnitude", "rigl"])
def test_every_group_ends_with_two_of_four(method):
    model, optimizer, sparsifier = attached(method)
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""
    dense, *pruned = sparsifier.layers
    assert dense.active == dense.size  # one input channel: uniform_dense=first leaves it alone
    for layer in pruned:
        assert set(runs(layer.mask)) == {2}
        assert not (layer.values != 0)[~layer.mask].any()


def test_one_shot_keeps_the_two_largest_of_every_four():
    model, optimizer, sparsifier = attached("magnitude_one_shot", distribution="uniform")
    fit(model, optimizer, sparsifier, stop=89)
    layer = sparsifier.layers[2]
    seen = {}
    update = sparsifier.update
    sparsifier.update = lambda step: (seen.update(w=layer.values.clone()), update(step))
    fit(model, optimizer, sparsifier, start=89, stop=90)
    for row, kept in zip(seen["w"].abs().tolist(), layer.mask.tolist(), strict=True):
        for i in range(0, len(row), 4):
            best = sorted(range(i, i + 4), key=lambda j: -row[j])[:2]
            assert [j for j in range(i, i + 4) if kept[j]] == sorted(best)


def test_gradual_pruning_to_a_pattern_is_monotone():
    model, optimizer, sparsifier = attached("magnitude")
    masks = []

    def check(step: int) -> None:
        masks.append([layer.mask.clone() for layer in sparsifier.layers])
        if len(masks) > 1:
            assert not any(bool((b & ~a).any()) for a, b in zip(*masks[-2:], strict=True))

    fit(model, optimizer, sparsifier, after=check)


def test_rigl_changes_groups_and_keeps_the_pattern_at_every_step():
    model, optimizer, sparsifier = attached("rigl")
    first = sparsifier.layers[2].mask.clone()

    def check(step: int) -> None:
        for layer in sparsifier.layers[1:]:
            assert sparsifier.pattern.holds(layer.mask)

    fit(model, optimizer, sparsifier, after=check)
    assert not torch.equal(first, sparsifier.layers[2].mask)


def test_what_grows_in_a_group_is_its_highest_score():
    kept = torch.tensor([[True, False, False, False, True, True, False, False]])
    scores = torch.tensor([[9.0, 1.0, 3.0, 2.0, 0.0, 0.0, 9.0, 9.0]])
    assert indices(Pattern(2, 4).grow(kept, scores)) == {0, 2, 4, 5}


def test_a_group_grows_among_the_places_given_alone():
    kept = torch.tensor([[False, False, False, True], [True, False, False, True]])
    scores = torch.tensor([[9.0, 1.0, -torch.inf, 8.0], [9.0, 9.0, 9.0, 9.0]])
    among = torch.tensor([[False, False, True, True], [False, False, False, False]])
    assert indices(Pattern(2, 4).grow(kept, scores, among)) == {2, 3, 4, 7}
    fewer = among & ~torch.tensor([False, False, True, False])
    with pytest.raises(ValueError, match="1 groups have too few places to grow to 2:4"):
        Pattern(2, 4).grow(kept, scores, fewer)


def test_scores_of_minus_infinity_fill_a_group_too():
    kept = torch.tensor([[True, False, False, False]])
    scores = torch.full((1, 4), -torch.inf)
    assert indices(Pattern(2, 4).grow(kept, scores)) == {0, 1}


def test_scores_that_are_not_numbers_do_not_grow_a_group():
    kept = torch.tensor([[True, False, False, False]])
    with pytest.raises(NonFiniteScores):
        Pattern(2, 4).grow(kept, torch.tensor([[1.0, 2.0, torch.nan, 3.0]]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pattern": "2:4", "uniform_dense": "none"}, "'0' has 1 inputs, not a multiple of 4"),
        ({"pattern": "1:4"}, "sparsity of 0.75, not 0.5: give sparsity 0.75"),
        ({"pattern": "2:4", "distribution": "global"}, "set distribution=uniform"),
        ({"pattern": "3:4"}, "one of none, 1:2, 1:4, 2:4, 4:8"),
    ],
)
def test_what_does_not_fit_a_pattern_is_refused(options, says):
    model = conv_net()
    with pytest.raises(InvalidInput, match=says) as refusal:
        make("magnitude", HALF, **options).attach(model, OPTIMIZERS["sgd"](model))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("layer", "include"),
    [
        (nn.ConvTranspose2d(8, 8, 3), ()),
        (nn.Bilinear(8, 8, 4), ()),
        (nn.Embedding(8, 8), ("Embedding",)),
    ],
)
def test_a_layer_whose_inputs_are_not_along_dimension_1_has_no_pattern(layer, include):
    def attached(**options):
        model = nn.Sequential(layer, nn.Linear(8, 4))
        made = make("magnitude", HALF, pattern="2:4", uniform_dense="none", **options)
        coverage = Coverage(ALL_MATRICES.kinds, include=include)
        made.attach(model, OPTIMIZERS["sgd"](model), coverage=coverage)
        return made.target_zeros()

    with pytest.raises(InvalidInput, match=r"pattern=2:4: layer '0' of shape .* dense_layers=0"):
        attached()
    assert attached(dense_layers=["0"]) == {"0": 0, "1": 16}


def test_a_parameter_of_ones_own_has_no_pattern():
    model = nn.Sequential(nn.Linear(8, 4))
    model.table = nn.Parameter(torch.randn(4, 8))
    coverage = Coverage(("linear",), include=("table",))
    with pytest.raises(InvalidInput, match="layer 'table' of shape"):
        make("magnitude", HALF, pattern="2:4", uniform_dense="none").attach(
            model, OPTIMIZERS["sgd"](model), coverage=coverage
        )


def test_recurrent_and_packed_attention_weights_have_a_pattern_along_their_inputs():
    model = nn.ModuleDict({"rnn": nn.GRU(8, 4), "attention": nn.MultiheadAttention(8, 2)})
    made = make("magnitude", HALF, pattern="2:4", uniform_dense="none")
    made.attach(model, OPTIMIZERS["sgd"](model), coverage=ALL_MATRICES)
    made.draw_masks()
    assert made.sparsity_errors() == ""
    kept = [layer.mask.reshape(-1, 4).sum(1) for layer in made.layers]
    assert len(kept) == 4
    assert all(bool((groups == 2).all()) for groups in kept)


def test_groups_run_along_the_inputs_at_each_place_of_a_kernel():
    scores = torch.arange(2 * 8 * 9, dtype=torch.float32).view(2, 8, 3, 3)
    mask = Pattern(1, 4).keep(scores)
    assert mask.shape == scores.shape
    assert mask[:, [3, 7]].all()
    assert not mask[:, [0, 1, 2, 4, 5, 6]].any()


def test_a_layer_without_its_pattern_misses_the_target():
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4))
    sparsifier = make("static", Plan(10, 0.5, 0, 10), distribution="uniform", uniform_dense="none")
    sparsifier.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    assert sparsifier.sparsity_errors() == ""
    sparsifier.pattern = Pattern(2, 4)
    assert "not 2:4 everywhere" in sparsifier.sparsity_errors()
