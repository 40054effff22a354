"""Random crop, flip and cutout of a whole batch at once, on the device that holds the images.

What is drawn is a function of (seed, epoch, place in the epoch), so trials with the same seed
see the same images, and training can go on from any step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from tasks.recipe import Recipe


@dataclass(frozen=True)
class Draws:
    """What was drawn for the examples of an epoch: tensors over them, on the device.

    Attributes:
        down, right: how far the crop's corner lies from the image's own, in −crop … crop.
        flipped: whether the image is mirrored, left to right.
        middle: row and column of the middle of the square that is cut out, [n, 2].
    """

    down: Tensor
    right: Tensor
    flipped: Tensor
    middle: Tensor

    def __getitem__(self, part: slice) -> "Draws":
        return Draws(self.down[part], self.right[part], self.flipped[part], self.middle[part])


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images at random. `crop` and `cutout` are in pixels."""

    crop: int = 0
    fill: str = "reflect"
    flip: bool = False
    cutout: int = 0

    def __bool__(self) -> bool:
        return bool(self.crop or self.flip or self.cutout)

    def draw(
        self, count: int, shape: Sequence[int], seed: int, epoch: int, device: torch.device
    ) -> Draws:
        """Return the random choices for `count` images of [channels, height, width].

        All of them are drawn, whatever is used, so that one does not depend on another.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation", epoch))
        moved = torch.randint(0, 2 * self.crop + 1, (2, count), generator=generator) - self.crop
        flipped = torch.rand(count, generator=generator) < 0.5
        middle = (torch.rand(count, 2, generator=generator) * torch.tensor(shape[1:])).long()
        return Draws(*(t.to(device) for t in (moved[0], moved[1], flipped, middle)))

    def take(self, images: Tensor, chosen: Tensor, draws: Draws) -> Tensor:
        """Return the chosen images, changed as drawn: [b, c, h, w] from images [n, c, h, w].

        Crop, flip and the choice of images are one gather: rows of pixels first, then columns.
        """
        count, (channels, height, width) = len(chosen), images.shape[1:]
        down, right = torch.arange(height), torch.arange(width)
        rows = down.to(chosen.device) + draws.down[:, None]
        columns = right.to(chosen.device) + draws.right[:, None]
        if self.flip:
            columns = torch.where(draws.flipped[:, None], columns.flip(1), columns)
        inside_rows, inside_columns = _inside(rows, height), _inside(columns, width)
        rows, columns = _reflect(rows, height), _reflect(columns, width)
        channel = torch.arange(channels, device=chosen.device)
        place = (chosen[:, None] * channels + channel)[:, :, None] * height + rows[:, None, :]
        picked = images.reshape(-1, width).index_select(0, place.flatten())
        picked = picked.view(count, channels * height, width)
        if self.flip or self.crop:
            picked = picked.gather(2, columns[:, None, :].expand(-1, channels * height, -1))
        taken = picked.view(count, channels, height, width)
        if self.crop and self.fill == "zero":
            taken *= (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
        if self.cutout:
            taken *= ~self._square(draws.middle, height, width)[:, None]
        return taken

    def _square(self, middle: Tensor, height: int, width: int) -> Tensor:
        """Return where the square lies that is cut out, [b, h, w]; it may reach over the edge."""
        low = middle - self.cutout // 2
        rows = torch.arange(height, device=middle.device) - low[:, :1]
        columns = torch.arange(width, device=middle.device) - low[:, 1:]
        return (_inside(rows, self.cutout)[:, :, None]) & (_inside(columns, self.cutout)[:, None])


def augmentation(recipe: Recipe, shape: Sequence[int]) -> Augmentation:
    """Return what a recipe does to images of `shape`.

    Raises:
        InvalidInput: the examples are no images, or too small for it.
    """
    found = Augmentation(recipe.crop, recipe.crop_fill, recipe.flip, recipe.cutout)
    if found and len(shape) != 3:
        raise InvalidInput(
            f"crop, flip and cutout are for images of [channels, height, width], the examples "
            f"have shape {tuple(shape)}: leave them out"
        )
    if found.crop >= min(shape[-2:], default=0) and found.crop:
        raise InvalidInput(
            f"crop={found.crop} is too large for images of {tuple(shape)}: give less than "
            f"{min(shape[-2:])}"
        )
    return found


def _inside(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def _reflect(places: Tensor, size: int) -> Tensor:
    """Fold −(size−1) … 2·(size−1) back into 0 … size−1; the edge is not repeated."""
    last = size - 1
    return last - (last - places.abs()).abs()
