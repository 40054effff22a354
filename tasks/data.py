"""A loaded dataset: arrays as stored, and normalised splits as a model receives them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from tasks.batches import Batch, BatchSource, MemoryBatchSource, TextBatchSource
from tasks.labels import why_not_stratified
from tasks.recipe import Recipe
from tasks.task import Dataset

MAX_CHARACTERS = 2**14
"""Largest number of characters per evaluation batch."""


@dataclass(frozen=True)
class Arrays:
    """A dataset as stored: inputs `[n, *shape]` (uint8 means x/255) and labels int64 [n].

    A text's inputs are consecutive windows of character indices, int64 [n, length]; its labels are
    the next characters, of the same shape. Real targets are floating-point [n], or [n, targets],
    in their own unit.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class Split:
    """Examples in memory, on the device.

    Attributes:
        x: normalised inputs, float32 [n, *shape]; characters, int64 [n, length], of a text.
        y: labels, int64 [n]; [n, length] of a text; standardised targets, float32 [n, targets].
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def device(self) -> torch.device:
        """The device of the examples, and of training."""
        return self.y.device

    @property
    def streamed(self) -> bool:
        """Whether inputs are read from files batch by batch, so that there is no `x`."""
        return False

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all examples in order in batches of `size`, for evaluation."""
        yield from zip(self.x.split(size), self.y.split(size), strict=True)

    def pool(self, count: int, seed: int) -> "Split":
        """Return `count` examples drawn without replacement (all, if there are fewer)."""
        chosen = draw_pool(len(self), count, seed).to(self.device)
        return replace(self, x=self.x[chosen], y=self.y[chosen])

    def batch_source(self, recipe: Recipe, seed: int) -> BatchSource:
        """Return the source of training batches.

        Raises:
            InvalidInput: the recipe's augmentation does not fit the examples.
        """
        return MemoryBatchSource(self.x, self.y, recipe, seed)


@dataclass(frozen=True)
class StandardizedSplit(Split):
    """Images that are standardised one by one (`standardize_images`).

    Attributes:
        mean, std: of each image's pixels in [0, 1], float32 [n, 1, 1, 1].
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, pixels: Tensor, y: Tensor) -> "StandardizedSplit":
        """Return the split of images with pixels in [0, 1], float32 [n, channels, h, w]."""
        mean, std = image_statistics(pixels)
        return cls((pixels - mean) / std, y, mean, std)

    def pool(self, count: int, seed: int) -> "Split":
        """Return `count` examples drawn without replacement (all, if there are fewer)."""
        chosen = draw_pool(len(self), count, seed).to(self.device)
        return StandardizedSplit(*(t[chosen] for t in (self.x, self.y, self.mean, self.std)))


@dataclass(frozen=True)
class TextSplit(Split):
    """Consecutive windows of a text."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all windows in order; batches are smaller for longer windows."""
        yield from super().batches(max(1, min(size, MAX_CHARACTERS // self.x.shape[1])))

    def batch_source(self, recipe: Recipe, seed: int) -> BatchSource:
        """Return the source of training batches: windows with random offsets."""
        return TextBatchSource(self.x, self.y, recipe, seed)


@dataclass(frozen=True)
class TargetScale:
    """What real targets were standardised with: mean and deviation of the training examples.

    Validation examples are not among them. One number per target, in the target's own unit.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, targets: Tensor, name: str) -> "TargetScale":
        """Return the scale of training targets, [n, targets].

        Raises:
            InvalidInput: a target has the same value everywhere.
        """
        values = targets.double()
        std, mean = torch.std_mean(values, dim=0, correction=0)
        check_varies(values, name, "training")
        if not bool((std.isfinite() & (std > 0)).all()):
            raise InvalidInput(
                f"dataset {name}: the targets' deviations, {std.tolist()}, cannot be computed "
                "with: give the targets in another unit"
            )
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def standardise(self, targets: Tensor) -> Tensor:
        """Return (target − mean) / std, float32 [n, targets]."""
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (self.mean, self.std))
        return ((targets.double() - mean) / std).float()


@dataclass(frozen=True)
class RealSplit(Split):
    """Examples with real targets, which are standardised; `scale` undoes that."""

    scale: TargetScale


@dataclass(frozen=True)
class Data:
    """The three splits of a trial. `validation` is empty with the recipe field validation=0.

    `notes` say in the trial's record what is odd about the data.
    """

    train: Split
    validation: Split
    test: Split
    checksum: str
    notes: tuple[str, ...] = ()


def check_varies(targets: Tensor, name: str, part: str) -> None:
    """Check that no target, a column of [n, targets], is the same number in all examples.

    Raises:
        InvalidInput: one is; R², the share of its variance that is explained, would be undefined.
    """
    for column, values in enumerate(targets.T, start=1):
        if bool((values == values[0]).all()):
            what = f"target {column}" if targets.shape[1] > 1 else "the target"
            raise InvalidInput(
                f"dataset {name}: {what} is {float(values[0]):g} in all {len(values)} {part} "
                "examples: there is nothing to predict; give a target that varies"
            )


def draw_pool(examples: int, count: int, seed: int) -> Tensor:
    """Return the indices of a random pool: int64 [min(count, examples)], a function of the seed."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "pool"))
    return torch.randperm(examples, generator=generator)[:count]


def training_examples(dataset: Dataset, validation: float) -> int:
    """Return the number of training examples, without loading data."""
    return dataset.training_examples(validation)


def normalise(x: Tensor, dataset: Dataset) -> Tensor:
    """Return inputs as a model receives them: normalised float32; text is unchanged."""
    if dataset.kind == "text":
        return x
    values = unit_values(x)
    shape = (-1, *[1] * (len(dataset.shape) - 1))
    mean, std = (torch.tensor(v, device=x.device).view(shape) for v in (dataset.mean, dataset.std))
    return (values - mean) / std


def unit_values(x: Tensor) -> Tensor:
    """Return inputs as float32; stored as uint8, they are divided by 255."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def image_statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each image over all its pixels and channels, [n, 1, 1, 1].

    The deviation is at least 1/√N in units of a pixel's 255 levels, for N values per image, so that
    an image of one colour becomes 0. Source: TensorFlow, tf.image.per_image_standardization.

    Args:
        pixels: in [0, 1], [n, channels, h, w].
    """
    mean = pixels.mean((1, 2, 3), keepdim=True)
    std = (pixels - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
    return mean, std.clamp(min=1 / (255 * math.sqrt(pixels.shape[1:].numel())))


def standardize_images(pixels: Tensor) -> Tensor:
    """Return images standardised one by one, by `image_statistics`."""
    mean, std = image_statistics(pixels)
    return (pixels - mean) / std


def validation_seed(dataset: Dataset, recipe: Recipe, seed: int) -> int | None:
    """Return the seed of a trial that its validation split is drawn with; None if it is fixed.

    Raises:
        InvalidInput: the split would not depend on the seed: there is none, or it is the end of a
            text.
    """
    if recipe.split_seed == "fixed":
        return None
    if recipe.validation == 0:
        raise InvalidInput(
            "split_seed=seed: validation=0 leaves no validation split to draw: give a fraction "
            "above 0, or leave split_seed out"
        )
    if dataset.kind == "text":
        raise InvalidInput(
            f"split_seed=seed: the validation split of dataset {dataset.name}, a text, is its end "
            "and is not drawn: leave split_seed out"
        )
    return seed


def _split_seed(name: str, seed: int | None) -> int:
    """Return what a split is drawn with: the dataset's name, and the seed if there is one."""
    return derive_seed(name, "validation", *(() if seed is None else (seed,)))


def random_split(
    count: int, held_out: int, name: str, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the indices kept and held out for validation, drawn at random, in ascending order."""
    generator = torch.Generator().manual_seed(_split_seed(name, seed))
    order = torch.randperm(count, generator=generator)
    return order[held_out:].sort().values, order[:held_out].sort().values


def stratified(
    labels: Tensor, held_out: int, name: str, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the indices kept and held out for validation, each in ascending order.

    Raises:
        InvalidInput: a class has too few examples to be in both.
    """
    everything = torch.arange(len(labels))
    if held_out == 0:
        return everything, everything[:0]
    from sklearn.model_selection import train_test_split

    try:
        kept, held = train_test_split(
            everything.numpy(),
            test_size=held_out,
            stratify=labels.numpy(),
            random_state=_split_seed(name, seed) % 2**32,
        )
    except ValueError as error:
        raise InvalidInput(
            f"dataset {name}: no validation split of {held_out} examples can be drawn: "
            f"{why_not_stratified(labels.numpy(), held_out) or error}"
        ) from error
    return torch.from_numpy(kept).sort().values, torch.from_numpy(held).sort().values
