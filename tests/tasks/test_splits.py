"""Splits: those that scikit-learn draws."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from tasks.splits import shuffled_split, stratified_split


@hypothesis.given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=12),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stratified_split_is_that_of_scikit_learn(counts, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    least, most = len(counts), len(labels) - len(counts)
    held = least + round(share * (most - least))
    expected = train_test_split(
        np.arange(len(labels)), test_size=held, stratify=labels, random_state=seed
    )
    for found, theirs in zip(stratified_split(labels, held, seed), expected, strict=True):
        assert found.tolist() == theirs.tolist()


@pytest.mark.parametrize(("count", "held", "seed"), [(10, 3, 0), (442, 88, 2**32 - 1)])
def test_a_shuffled_split_is_that_of_scikit_learn(count, held, seed):
    expected = train_test_split(np.arange(count), test_size=held, random_state=seed)
    for found, theirs in zip(shuffled_split(count, held, seed), expected, strict=True):
        assert found.tolist() == theirs.tolist()


@pytest.mark.parametrize(
    ("labels", "held", "message"),
    [
        (["a", "a", "b"], 2, "class b has one example"),
        ([0, 0, 1, 1], 1, "parts of 3 and 1 examples cannot each have one of 2 classes"),
        ([0, 0, 1, 1], 3, "parts of 1 and 3 examples"),
        ([0, 0, 1, 1], 5, "parts of -1 and 5 examples"),
    ],
)
def test_a_split_that_cannot_have_every_class_is_refused(labels, held, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(np.array(labels), held, seed=0)
