"""Random crop, flip and cutout of a whole batch at once, on the images' device.

The random choices are a function of (seed, epoch, position in the epoch), so trials with the same
seed see the same images, and training can resume from any step.
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
    """The random choices for the examples of an epoch: tensors of length n, on the device.

    Attributes:
        down, right: offset of the crop from the image, in −crop … crop.
        flipped: whether the image is mirrored left to right.
        centre: row and column of the centre of the cutout square, [n, 2].
    """

    down: Tensor
    right: Tensor
    flipped: Tensor
    centre: Tensor

    def __getitem__(self, part: slice) -> "Draws":
        return Draws(self.down[part], self.right[part], self.flipped[part], self.centre[part])


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation of training images. `crop` and `cutout` are in pixels."""

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

        All are always drawn, so that the draws of one do not depend on whether another is used.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation", epoch))
        offset = torch.randint(0, 2 * self.crop + 1, (2, count), generator=generator) - self.crop
        flipped = torch.rand(count, generator=generator) < 0.5
        centre = (torch.rand(count, 2, generator=generator) * torch.tensor(shape[1:])).long()
        return Draws(*(t.to(device) for t in (offset[0], offset[1], flipped, centre)))

    def take(self, images: Tensor, chosen: Tensor, draws: Draws) -> Tensor:
        """Return the chosen images, augmented: [b, c, h, w] from images [n, c, h, w].

        Crop, flip and the choice of images are one gather: rows of pixels first, then columns.
        """
        count, (channels, height, width) = len(chosen), images.shape[1:]
        down, right = torch.arange(height), torch.arange(width)
        rows = down.to(chosen.device) + draws.down[:, None]
        columns = right.to(chosen.device) + draws.right[:, None]
        if self.flip:
            columns = torch.where(draws.flipped[:, None], columns.flip(1), columns)
        inside_rows, inside_columns = _inside(rows, height), _inside(columns, width)
        fold = _reflect_edge if self.fill == "symmetric" else _reflect
        rows, columns = fold(rows, height), fold(columns, width)
        channel = torch.arange(channels, device=chosen.device)
        row_index = (chosen[:, None] * channels + channel)[:, :, None] * height + rows[:, None, :]
        picked = images.reshape(-1, width).index_select(0, row_index.flatten())
        picked = picked.view(count, channels * height, width)
        if self.flip or self.crop:
            picked = picked.gather(2, columns[:, None, :].expand(-1, channels * height, -1))
        taken = picked.view(count, channels, height, width)
        if self.crop and self.fill == "zero":
            taken *= (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
        if self.cutout:
            taken *= ~self._square(draws.centre, height, width)[:, None]
        return taken

    def _square(self, centre: Tensor, height: int, width: int) -> Tensor:
        """Return the mask of the cutout square, [b, h, w]; it may extend over the edge."""
        low = centre - self.cutout // 2
        rows = torch.arange(height, device=centre.device) - low[:, :1]
        columns = torch.arange(width, device=centre.device) - low[:, 1:]
        return (_inside(rows, self.cutout)[:, :, None]) & (_inside(columns, self.cutout)[:, None])


def augmentation(recipe: Recipe, shape: Sequence[int]) -> Augmentation:
    """Return the augmentation of a recipe for examples of `shape`.

    Raises:
        InvalidInput: the examples are not images, or too small.
    """
    augment = Augmentation(recipe.crop, recipe.crop_fill, recipe.flip, recipe.cutout)
    if augment and len(shape) != 3:
        raise InvalidInput(
            f"crop, flip and cutout are for images of [channels, height, width], the examples "
            f"have shape {tuple(shape)}: leave these fields out of the recipe"
        )
    if augment.crop >= min(shape[-2:], default=0) and augment.crop:
        raise InvalidInput(
            f"crop={augment.crop} is too large for images of {tuple(shape)}: give less than "
            f"{min(shape[-2:])}"
        )
    return augment


def _inside(positions: Tensor, size: int) -> Tensor:
    return (positions >= 0) & (positions < size)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold −(size−1) … 2·(size−1) back into 0 … size−1; the edge is not repeated."""
    last = size - 1
    return last - (last - positions.abs()).abs()


def _reflect_edge(positions: Tensor, size: int) -> Tensor:
    """Fold −size … 2·size − 1 back into 0 … size−1; the edge is repeated (NumPy's symmetric)."""
    last = size - 1
    return torch.minimum(torch.maximum(positions, -1 - positions), 2 * last + 1 - positions)
