import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.sparsity import numpy_selection
from suite.sparsity.masks import (
    above,
    count_true,
    distinct,
    grow,
    grow_at,
    keep_active,
    keep_top,
    kth_smallest,
    places_of,
    random_empty,
    random_mask,
    rank_and_keep,
    where_true,
)


@given(
    scores=st.lists(st.integers(-3, 3), min_size=1, max_size=60),
    data=st.data(),
)
def test_keep_top_keeps_exactly_the_highest_and_breaks_ties_by_index(scores, data):
    keep = data.draw(st.integers(0, len(scores)))
    mask = keep_top(torch.tensor(scores, dtype=torch.float32), keep)
    best = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:keep]
    assert mask.nonzero().flatten().tolist() == sorted(best)


def test_keep_top_works_over_the_last_dimension():
    scores = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 3.0, 2.0, 1.0]])
    expected = [[True, True, False, False], [False, True, True, False]]
    assert keep_top(scores, 2).tolist() == expected


def test_keep_top_is_exact_when_every_score_ties():
    assert int(keep_top(torch.zeros(100_003), 99_999).sum()) == 99_999


def test_scores_that_are_not_numbers_are_refused():
    for scores in ([1.0, float("nan"), 2.0], [float("nan"), 3.0, 3.0]):
        with pytest.raises(ValueError, match="NaN"):
            keep_top(torch.tensor(scores), 2)


@pytest.mark.parametrize("keep", [-1, 5])
def test_keep_top_refuses_an_impossible_count(keep):
    with pytest.raises(ValueError, match="of 4"):
        keep_top(torch.zeros(4), keep)


def test_kept_weights_are_active_ones_and_grown_ones_are_not():
    mask = torch.tensor([True, True, True, False, False, False])
    kept = keep_active(mask, torch.tensor([1.0, 3.0, 2.0, 9.0, 9.0, 9.0]), 2)
    assert kept.tolist() == [False, True, True, False, False, False]
    grown = grow(kept, torch.tensor([0.5, 9.0, 9.0, 0.1, 0.7, 0.2]), 2)
    assert grown.tolist() == [True, True, True, False, True, False]


def test_what_was_just_dropped_may_grow_again():
    mask = torch.tensor([True, True, False])
    kept = keep_active(mask, torch.tensor([1.0, 2.0, 0.0]), 1)
    assert grow(kept, torch.tensor([5.0, 0.0, 1.0]), 1).tolist() == [True, True, False]


def test_nothing_grows_outside_the_places_given():
    kept = torch.tensor([True, False, False, False, False])
    scores = torch.tensor([0.0, 9.0, 1.0, 2.0, 9.0])
    among = torch.tensor([False, False, True, True, False])
    assert grow(kept, scores, 1, among).tolist() == [True, False, False, True, False]
    assert grow(kept, scores, 2, among).tolist() == [True, False, True, True, False]
    assert grow(kept, -scores, 2, among).tolist() == [True, False, True, True, False]


@given(data=st.data())
def test_growing_among_places_alone_gives_the_mask_of_growing_among_all(data):
    size = data.draw(st.integers(1, 40))
    kept, among = (
        torch.tensor(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        for _ in range(2)
    )
    levels = st.lists(st.integers(-2, 2), min_size=size, max_size=size)
    scores = torch.tensor(data.draw(levels), dtype=torch.float32)
    number = data.draw(st.integers(0, int((among & ~kept).sum())))
    places = places_of(among)
    before = kept.clone()
    found = grow_at(kept, scores[places], number, places)
    assert torch.equal(found, grow(kept, scores, number, among))
    assert torch.equal(kept, before)


def test_growing_more_than_the_places_given_is_refused():
    kept = torch.tensor([True, False, False])
    with pytest.raises(ValueError, match="keep=2 of 1 scores"):
        grow_at(kept, torch.tensor([1.0, 2.0]), 2, torch.tensor([0, 2]))


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_places_are_where_a_mask_is_true_in_order(density):
    mask = torch.rand(30, 50, generator=seeded(0)) < density
    assert places_of(mask).tolist() == mask.flatten().nonzero().flatten().tolist()
    assert places_of(mask.t()).tolist() == mask.t().flatten().nonzero().flatten().tolist()


def test_values_are_taken_where_a_mask_is_true():
    values, mask = torch.arange(50), torch.rand(50, generator=seeded(0)) < 0.3
    assert torch.equal(where_true(values, mask), values[mask])


@given(st.lists(st.integers(-5, 5), max_size=30))
def test_distinct_numbers_are_ascending_and_once_each(numbers):
    given_numbers = torch.tensor(numbers, dtype=torch.int64)
    assert distinct(given_numbers).tolist() == sorted(set(numbers))
    assert given_numbers.tolist() == numbers


def test_growing_more_than_there_are_places_is_refused():
    kept, scores = torch.tensor([True, False, False]), torch.ones(3)
    among = torch.tensor([True, True, False])  # the first is kept, and no place to grow
    with pytest.raises(ValueError, match="keep=2 of 1 scores"):
        grow(kept, scores, 2, among)
    with pytest.raises(ValueError, match="keep=3 of 2 scores"):
        grow(kept, scores, 3)


def test_a_random_mask_is_exact_and_belongs_to_its_generator():
    draw = [random_mask(torch.Size((30, 40)), 119, torch.Generator().manual_seed(s))
            for s in (1, 1, 2)]  # fmt: skip
    assert [int(mask.sum()) for mask in draw] == [119] * 3
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


@given(
    size=st.integers(200, 3000),
    share=st.floats(0, 1),
    density=st.sampled_from([None, 0.02, 0.2, 0.6, 0.97]),
    ordered=st.booleans(),
    values=st.sampled_from([1, 3, 50, 10**6]),
    seed=st.integers(0, 2**16),
)
def test_selection_by_a_sampled_level_is_exact(size, share, density, ordered, values, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(values, (size,), generator=generator).float()
    among = None if density is None else torch.rand(size, generator=generator) < density
    then = torch.randint(3, (size,), generator=generator).float() if ordered else None
    places = list(range(size)) if among is None else among.nonzero().flatten().tolist()
    keep = int(share * len(places))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_selection, "LARGE", 100)
        patch.setattr(numpy_selection, "SAMPLE", 100)
        found = keep_top(scores, keep, among, then)
    second = torch.zeros(size) if then is None else then
    places.sort(key=lambda i: (-scores[i].item(), -second[i].item(), i))
    assert found.nonzero().flatten().tolist() == sorted(places[:keep])
    assert torch.equal(found, rank_and_keep(scores, keep, among, then))  # the definition


def test_more_than_there_are_to_choose_among_is_refused():
    scores, among = torch.rand(100_000), torch.rand(100_000) < 0.01
    with pytest.raises(ValueError, match=f"keep=50000 of {int(among.sum())} scores"):
        keep_top(scores, 50_000, among)
    with pytest.raises(ValueError, match="keep=3 of 2 scores"):
        keep_top(torch.ones(2, 3), 3, torch.tensor([[True] * 3, [True, False, True]]))


def test_true_values_are_counted_whatever_the_shape_and_layout():
    mask = torch.rand(30, 7) < 0.4
    assert count_true(mask) == count_true(mask.t()) == int(mask.sum())
    assert count_true(mask[::2, 1]) == int(mask[::2, 1].sum())
    assert count_true(torch.zeros(0, dtype=torch.bool)) == 0


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (40, 50)])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 0.99, 1.0])
def test_exactly_so_many_empty_places_are_drawn(shape, density):
    size = math.prod(shape)
    mask = (torch.arange(size) < density * size).view(shape)
    before, empty = mask.clone(), int((~mask).sum())
    for count in {0, min(1, empty), empty // 3, empty // 2, max(0, empty - 1), empty}:
        drawn = random_empty(mask, count, seeded(3))
        assert drawn.shape == mask.shape
        assert drawn.dtype == torch.bool
        assert int(drawn.sum()) == count
        assert not bool((drawn & mask).any())
        assert torch.equal(drawn, random_empty(mask, count, seeded(3)))
    assert torch.equal(mask, before)
    for count in (-1, empty + 1):
        with pytest.raises(ValueError, match=f"count={count} of {empty} empty places"):
            random_empty(mask, count, seeded(3))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_every_set_of_empty_places_is_equally_likely(count):
    mask = torch.tensor([[True, False, False], [False, True, False], [False, False, True]])
    places = (~mask).flatten().nonzero().flatten().tolist()
    draws = 6000
    seen = Counter(
        tuple(random_empty(mask, count, seeded(seed)).flatten().nonzero().flatten().tolist())
        for seed in range(draws)
    )
    sets = list(itertools.combinations(places, count))
    assert len(sets) == 15
    expected = draws / len(sets)
    # The sum has 14 degrees of freedom: above 36.1 in one of 1,000 experiments.
    assert sum((seen[one] - expected) ** 2 / expected for one in sets) < 36.1


@pytest.mark.parametrize("values", [10**9, 50, 2], ids=["distinct", "ties", "two values"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
def test_the_kth_smallest_of_many_is_that_of_a_sort(values, share):
    generator = torch.Generator().manual_seed(0)
    size = numpy_selection.LARGE + 3
    scores = torch.randint(values, (size,), generator=generator).float()
    scores[::9] = 0  # what an even sample may see nothing of, or too much
    among = torch.rand(size, generator=generator) < 0.7
    ascending = scores[among].sort().values
    k = max(1, round(share * len(ascending)))
    assert kth_smallest(scores, k, among) == float(ascending[k - 1])


def test_above_compares_as_integers_do():
    assert above(torch.tensor([-1, 2, 3, 4], dtype=torch.int32), 2).tolist() == [0, 0, 1, 1]
