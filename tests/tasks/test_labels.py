"""Numbering labels as they stand in the data."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from suite.core.errors import InvalidInput
from tasks.data import stratified
from tasks.datasets.folder import held_out
from tasks.labels import (
    check_real,
    distinct,
    encode,
    for_record,
    notes,
    renamed,
    why_not_stratified,
)
from tasks.task import MAX_CLASSES, Dataset


def test_labels_are_numbered_in_their_order():
    labels = np.array([1000000, -1, 7, -1, 7, 1000000])
    values = distinct(labels, "x")
    assert values == (-1, 7, 1000000)
    assert encode(labels, values, "x").tolist() == [2, 0, 1, 0, 1, 2]
    assert encode(np.array(["b", "a"]), ("a", "b"), "x").tolist() == [1, 0]


def test_what_is_numbered_from_0_keeps_its_labels():
    assert renamed((0, 1, 2)) == ()
    assert renamed((0, 1, 3)) == (0, 1, 3)
    assert for_record(()) == {}
    assert notes(()) == []


def test_the_record_lists_a_thousand_labels_that_can_be_shown():
    told = for_record(tuple(f"name\n{n}" for n in range(2000)))
    assert told["classes"] == 2000
    assert len(told["labels"]) == 1000
    assert told["labels"][1] == "name?1"
    assert notes((500, 501)) == ["the labels 500, 501 are the classes 0 … 1"]
    assert notes(("cat", "dog")) == []


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([3] * 9, "one class only (3)"),
        (list(range(10)), "10 classes for 10 examples (0, 1, 2, 3, 4, …)"),
        ([*range(4), 0, 0], "4 classes for 6 examples"),
        (list(range(MAX_CLASSES + 1)) * 2, "100,001 classes"),
    ],
)
def test_what_are_no_classes_is_refused(labels, words):
    with pytest.raises(InvalidInput) as refused:
        distinct(np.array(labels), "x")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("labels", "held", "words"),
    [
        ([0, 0, 1, 1, 2], 3, "1 of 3 classes has one example only, and each needs one in both"),
        ([0, 0, 1, 2], 2, "2 of 3 classes have one example only"),
        ([0, 0, 0, 1, 1, 1, 2, 2], 2, "each of the 3 classes needs one, and one in the other 6: "),
        ([0, 0, 0, 1, 1, 1, 2, 2], 6, "each of the 3 classes needs one, and one in the other 2: "),
        ([0, 0, 0, 1, 1, 1, 2, 2], 3, ""),
    ],
)
def test_a_split_that_cannot_be_drawn_is_explained(labels, held, words):
    assert why_not_stratified(np.array(labels), held).startswith(words)
    with nullcontext() if not words else pytest.raises(InvalidInput, match=words):
        held_out(np.array(labels), held, "mine")
    with nullcontext() if not words else pytest.raises(InvalidInput, match=words):
        stratified(torch.tensor(labels), held, "mine")


def test_a_label_that_training_lacks_is_refused_with_those_seen():
    with pytest.raises(InvalidInput, match=r"y: example 1 has the label 4.*it has 0, 1, 7"):
        encode(np.array([0, 4]), (0, 1, 7), "y")
    with pytest.raises(InvalidInput, match="example 0 has the label 9"):
        encode(np.array([9]), (0, 1, 7), "y")


def test_many_real_numbers_are_no_classes_but_a_few_are():
    check_real([n / 2 for n in range(11)], "x")
    check_real([float(n) for n in range(100)], "x")
    with pytest.raises(InvalidInput, match="30 different real numbers .*targets: real"):
        check_real([n / 2 for n in range(30)], "x")


def test_absurd_numbers_of_classes_cannot_be_declared():
    with pytest.raises(InvalidInput, match=r"classes=1,000,000,000 is more than the 100,000"):
        Dataset("x", "", title="", load=":load", shape=(1,), classes=10**9, train=1, test=1,
                mean=(0.0,), std=(1.0,))  # fmt: skip
