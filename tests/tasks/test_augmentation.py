from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.core.errors import InvalidInput
from tasks.augmentation import Augmentation, Draws
from tasks.batches import MemoryBatchSource
from tasks.recipe import Recipe

CPU = torch.device("cpu")


def images(count: int = 40, side: int = 8) -> torch.Tensor:
    """Return images whose every pixel is different."""
    return torch.arange(count * 3 * side * side).view(count, 3, side, side).float() + 1


def reference(image: torch.Tensor, down: int, right: int, flip: bool, crop: int, fill: str):
    """Return one augmented image: pad, cut out, mirror; as one would do it by hand."""
    modes = {"reflect": "reflect", "symmetric": "symmetric", "zero": "constant"}
    widths = ((0, 0), (crop, crop), (crop, crop))
    padded = torch.from_numpy(np.pad(image.numpy(), widths, mode=modes[fill]))
    side = image.shape[-1]
    cut = padded[:, crop + down : crop + down + side, crop + right : crop + right + side]
    return cut.flip(2) if flip else cut


@pytest.mark.parametrize("fill", ["reflect", "symmetric", "zero"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_batch_is_augmented_as_each_image_would_be_by_hand(fill, flip):
    x = images(200)
    augmentation = Augmentation(crop=3, fill=fill, flip=flip)
    draws = augmentation.draw(200, x.shape[1:], seed=0, epoch=0, device=CPU)
    chosen = torch.randperm(200)
    taken = augmentation.take(x, chosen, draws)
    assert {int(d) for d in draws.down} == set(range(-3, 4))
    for place, number in enumerate(chosen.tolist()):
        down, right = int(draws.down[place]), int(draws.right[place])
        mirrored = flip and bool(draws.flipped[place])
        assert torch.equal(taken[place], reference(x[number], down, right, mirrored, 3, fill))


def test_a_symmetric_border_is_the_mirrored_edge_strip_as_in_rigls_code():
    """Its data_helper.py joins the first four rows in reverse order, the image, the last four."""
    x = torch.arange(64.0).view(1, 1, 8, 8)
    augmentation = Augmentation(crop=4, fill="symmetric")
    draws = Draws(*(torch.tensor([n]) for n in (-4, 4, 0)), torch.zeros(1, 2))
    taken = augmentation.take(x, torch.tensor([0]), draws)[0, 0]
    assert taken[:, 0].tolist() == [28, 20, 12, 4, 4, 12, 20, 28]  # rows 3 2 1 0 0 1 2 3
    assert (taken[0] - 24).tolist() == [4, 5, 6, 7, 7, 6, 5, 4]  # columns


def test_cutout_zeroes_one_square_around_its_middle():
    x = torch.ones(200, 2, 9, 9)
    augmentation = Augmentation(cutout=3)
    draws = augmentation.draw(200, x.shape[1:], seed=0, epoch=0, device=CPU)
    taken = augmentation.take(x, torch.arange(200), draws)
    for place in range(200):
        row, column = draws.centre[place].tolist()
        expected = torch.ones(9, 9)
        expected[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
        assert torch.equal(taken[place], expected.expand(2, 9, 9))


def test_half_of_the_images_are_mirrored():
    draws = Augmentation(flip=True).draw(4000, (3, 8, 8), seed=0, epoch=0, device=CPU)
    assert 0.46 < float(draws.flipped.float().mean()) < 0.54


def test_paired_trials_see_the_same_images_and_epochs_differ():
    recipe = Recipe(batch_size=10, crop=2, flip=True)
    x, y = images(), torch.arange(40)

    def batch(seed: int, epoch: int, index: int) -> torch.Tensor:
        return MemoryBatchSource(x, y, recipe, seed).epoch(epoch).batch(index)[0]

    assert torch.equal(batch(3, 1, 2), batch(3, 1, 2))
    assert not torch.equal(batch(3, 1, 2), batch(3, 2, 2))
    assert not torch.equal(batch(3, 1, 2), batch(4, 1, 2))
    one_by_one = [MemoryBatchSource(x, y, recipe, 3).epoch(1).batch(i)[0] for i in range(1, 4)]
    in_order = [x for x, _ in MemoryBatchSource(x, y, recipe, 3).epoch(1).batches(1, 4)]
    assert torch.equal(torch.cat(one_by_one), torch.cat(in_order))


def test_labels_stay_with_their_images():
    x, y = images(), torch.arange(40)
    inputs, labels = MemoryBatchSource(x, y, Recipe(batch_size=40, flip=True), 0).epoch(0).batch(0)
    assert torch.equal(inputs.amin((1, 2, 3)), x[labels].amin((1, 2, 3)))


def test_without_augmentation_a_batch_is_the_images_themselves():
    x, y = images(), torch.arange(40)
    inputs, labels = MemoryBatchSource(x, y, Recipe(batch_size=7), 0).epoch(0).batch(3)
    assert torch.equal(inputs, x[labels])


def test_channels_last_changes_the_layout_only():
    x, y = images(), torch.arange(40)
    recipe = Recipe(batch_size=8, crop=1)
    plain = MemoryBatchSource(x, y, recipe, 0).epoch(0).batch(0)[0]
    last = MemoryBatchSource(x, y, replace(recipe, channels_last=True), 0).epoch(0).batch(0)[0]
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("change", "shape", "words"),
    [
        ({"crop": 2}, (64,), "images"),
        ({"flip": True}, (64,), "images"),
        ({"crop": 8}, (3, 8, 8), "crop=8"),
    ],
)
def test_an_augmentation_that_does_not_fit_is_refused(change, shape, words):
    with pytest.raises(InvalidInput, match=words):
        MemoryBatchSource(torch.zeros(4, *shape), torch.zeros(4), Recipe(**change), 0)
