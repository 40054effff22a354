"""A product at chosen places against the dense one."""

import copy

import pytest
import torch

from suite.sparsity.storage.sampled_product import SampledProduct

SHAPE = torch.Size((30, 20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("number", [0, 1, 37, 600])
def test_it_is_the_dense_product_at_the_places(number, dtype):
    torch.manual_seed(number)
    places = torch.randperm(600)[:number].sort().values
    left, right = torch.randn(30, 8).to(dtype), torch.randn(20, 8).to(dtype)
    found = SampledProduct.at(places, SHAPE).of(left, right)
    torch.testing.assert_close(found, (left @ right.T).flatten()[places])


def test_equal_inputs_have_equal_products_to_the_bit():
    torch.manual_seed(0)
    left, right = torch.randn(30, 129), torch.randn(20, 129)
    right[7] = right[3]
    found = SampledProduct.at(torch.arange(600), SHAPE).of(left, right).view(SHAPE)
    assert torch.equal(found[:, 7], found[:, 3])


@pytest.mark.parametrize("places", [[3, 2], [2, 2], [-1, 4], [0, 600]])
def test_places_that_would_lead_outside_the_matrix_are_refused(places):
    with pytest.raises(ValueError, match="below 600, ascending, no two equal"):
        SampledProduct.at(torch.tensor(places), SHAPE)


def test_a_copy_has_memory_of_its_own():
    product = SampledProduct.at(torch.tensor([3, 41, 599]), SHAPE)
    assert product.bytes == 0
    left, right = torch.randn(30, 8), torch.randn(20, 8)
    found = product.of(left, right)
    assert product.bytes == 12
    copied = copy.deepcopy(product)
    assert copied.bytes == 0
    assert torch.equal(copied.of(left, right), found)
    assert torch.equal(found, product.of(left, right))
