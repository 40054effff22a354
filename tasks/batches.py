"""Training batches: a function of seed, epoch and position in the epoch alone.

Thus paired trials see the same batches, and training can resume from any
step without saved random state.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from suite.core.seeds import derive_seed
from tasks.augmentation import augmentation
from tasks.recipe import Recipe

Batch = tuple[Tensor, Tensor]


class Epoch(Protocol):
    """The batches of one pass over the training data."""

    def batch(self, index: int) -> Batch:
        """Return inputs and labels of the batch at `index` (from 0), on the device."""

    def batches(self, begin: int, end: int) -> Iterator[Batch]:
        """Yield batches `begin` … `end` − 1; for a stream, faster than calling `batch`."""


class BatchSource(Protocol):
    """A source of training batches."""

    def epoch(self, number: int) -> Epoch:
        """Return the batches of epoch `number` (from 0)."""


def epoch_order(count: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Return an epoch's order of examples: int64 [count], a function of seed and epoch."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "data order", epoch))
    return torch.randperm(count, generator=generator).to(device)


class MemoryBatchSource:
    """Batches of examples in memory, augmented on their device.

    Raises:
        InvalidInput: the recipe's augmentation does not fit the examples.
    """

    def __init__(self, x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> None:
        self.x, self.y, self.seed = x, y, seed
        self.size = recipe.batch_size
        self.augmentation = augmentation(recipe, x.shape[1:])
        last = recipe.channels_last and x.ndim == 4
        self.layout = torch.channels_last if last else torch.contiguous_format

    def epoch(self, number: int) -> "MemoryEpoch":
        """Return the batches of epoch `number`."""
        return MemoryEpoch(self, number)


class MemoryEpoch:
    """An epoch's order and random augmentation, drawn once; batches are gathered by index."""

    def __init__(self, source: MemoryBatchSource, number: int) -> None:
        self.source = source
        x = source.x
        self.order = epoch_order(len(x), source.seed, number, x.device)
        if source.augmentation:
            self.draws = source.augmentation.draw(
                len(x), x.shape[1:], source.seed, number, x.device
            )

    def batch(self, index: int) -> Batch:
        """Return inputs and labels of the batch at `index`."""
        source = self.source
        part = slice(index * source.size, (index + 1) * source.size)
        chosen = self.order[part]
        if source.augmentation:
            x = source.augmentation.take(source.x, chosen, self.draws[part])
        else:
            x = source.x.index_select(0, chosen)  # copies rows; x[chosen] takes twice as long
        return x.contiguous(memory_format=source.layout), source.y.index_select(0, chosen)

    def batches(self, begin: int, end: int) -> Iterator[Batch]:
        """Yield batches `begin` … `end` − 1."""
        return map(self.batch, range(begin, end))


class TextBatchSource:
    """Windows of a text, at a different offset in every epoch.

    An epoch's windows are consecutive, shifted from the stored ones by less than one length, so
    every character is seen once per epoch, each time in a different context. A window that would
    extend beyond the end begins earlier.
    """

    def __init__(self, x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> None:
        augmentation(recipe, x.shape[1:])  # raises if the recipe augments images
        self.count, self.length = x.shape
        self.text = torch.cat([x.flatten(), y[-1:, -1]])
        self.seed = seed
        self.size = recipe.batch_size

    def epoch(self, number: int) -> "TextEpoch":
        """Return the batches of epoch `number`."""
        return TextEpoch(self, number)


class TextEpoch:
    """The start positions of an epoch's windows."""

    def __init__(self, source: TextBatchSource, number: int) -> None:
        self.source = source
        generator = torch.Generator().manual_seed(derive_seed(source.seed, "windows", number))
        offset = int(torch.randint(source.length, (), generator=generator))
        order = epoch_order(source.count, source.seed, number, source.text.device)
        self.begins = (order * source.length + offset).clamp(
            max=len(source.text) - source.length - 1
        )

    def batch(self, index: int) -> Batch:
        """Return windows [b, length] and, for each character, the next one."""
        source = self.source
        begins = self.begins[index * source.size : (index + 1) * source.size]
        positions = begins[:, None] + torch.arange(source.length, device=begins.device)
        return source.text[positions], source.text[positions + 1]

    def batches(self, begin: int, end: int) -> Iterator[Batch]:
        """Yield batches `begin` … `end` − 1."""
        return map(self.batch, range(begin, end))
