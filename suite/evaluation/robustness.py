"""Accuracy of a trained network on corrupted inputs and under adversarial attacks.

Both work on pixels in [0, 1]: the task's normalisation is undone before and applied again after.
For data that are not images neither is defined; `pixel_space` returns the reason.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.core.seeds import derive_seed
from suite.evaluation.corruptions import KINDS, SEVERITIES, corruptions
from suite.sparsity.modules import evaluation_mode
from tasks.batches import Batch
from tasks.data import Split, StandardizedSplit, standardize_images
from tasks.task import Dataset

EPSILON = 8 / 255
"""L∞ radius of an attack, in pixels of [0, 1]: Madry et al. 2018, §5, for CIFAR-10."""
GREY_EPSILON = 0.3
"""The customary radius on MNIST, whose pixels are nearly black or white: Madry et al. 2018, §5."""
MAX_BATCH, MAX_VALUES = 1000, 2**24
"""Limits of a batch, in images and in pixel values. Random numbers depend on both."""
MIN_SIDE = 8
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Pixels:
    """Converts between a split's inputs and pixels in [0, 1].

    Attributes:
        mean, std: the task's normalisation, [channels, 1, 1].
        batch: number of images per batch.
    """

    mean: Tensor
    std: Tensor
    batch: int = MAX_BATCH

    def of(self, inputs: Tensor) -> Tensor:
        """Return normalised inputs as pixels in [0, 1]."""
        return (inputs * self.std + self.mean).clamp_(0, 1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return pixels as normalised inputs."""
        return (pixels - self.mean) / self.std

    def batches(self, split: Split) -> Iterator[Batch]:
        """Yield the pixels and labels of all images of a split, in order."""
        for inputs, labels in split.batches(self.batch):
            yield self.of(inputs), labels


@dataclass(frozen=True)
class StandardizedPixels(Pixels):
    """Pixels of images that are standardised one by one; `mean` and `std` are [images, 1, 1, 1].

    A network's input is standardised again after its pixels have changed, as in training.
    """

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return pixels as normalised inputs."""
        return standardize_images(pixels)

    def batches(self, split: Split) -> Iterator[Batch]:
        """Yield the pixels and labels of all images of a split, in order."""
        scales = zip(self.mean.split(self.batch), self.std.split(self.batch), strict=True)
        for (mean, std), (inputs, labels) in zip(scales, split.batches(self.batch), strict=True):
            yield replace(self, mean=mean, std=std).of(inputs), labels


def pixel_space(dataset: Dataset, split: Split) -> Pixels | str:
    """Return the conversion to pixels, or why these inputs are not images in [0, 1].

    Of a stream, only the first batch is checked.
    """
    shape = dataset.shape
    if dataset.regression:
        return "the targets are real numbers, not classes"
    if dataset.kind == "text" or len(shape) != 3 or shape[0] not in (1, 3):
        return f"inputs of shape {shape} are not images of 1 or 3 channels"
    if min(shape[1:]) < MIN_SIDE:
        return f"images of {shape[1]}×{shape[2]} are smaller than {MIN_SIDE}×{MIN_SIDE}"
    batch = batch_size(dataset)
    if isinstance(split, StandardizedSplit):
        return StandardizedPixels(split.mean, split.std, batch)
    mean, std = (
        torch.tensor(values, device=split.device).view(-1, 1, 1)
        for values in (dataset.mean, dataset.std)
    )
    for inputs, _ in split.batches(batch):
        values = inputs * std + mean
        low, high = float(values.min()), float(values.max())
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            return f"values lie in {low:g} … {high:g}, pixels in 0 … 1"
        if split.streamed:
            break
    return Pixels(mean, std, batch)


def batch_size(dataset: Dataset) -> int:
    """Return the number of images per batch; fewer if they are large."""
    return max(1, min(MAX_BATCH, MAX_VALUES // math.prod(dataset.shape)))


def corruption_accuracy(model: nn.Module, split: Split, pixels: Pixels) -> dict[str, list[float]]:
    """Return the accuracies under each kind of corruption, one per severity."""
    correct = torch.zeros(len(KINDS), SEVERITIES, dtype=torch.int64, device=split.device)
    with torch.no_grad(), evaluation_mode(model):
        for number, (clean, y) in enumerate(pixels.batches(split)):
            for kind, severity, changed in corruptions(clean, number):
                guess = model(pixels.normalise(changed)).argmax(-1)
                correct[KINDS.index(kind), severity - 1] += (guess == y).sum()
    accuracy = (correct.double() / len(split)).tolist()
    return dict(zip(KINDS, accuracy, strict=True))


def fgsm_accuracy(
    model: nn.Module, split: Split, pixels: Pixels, epsilon: float = EPSILON
) -> float:
    """Return the accuracy under the fast gradient sign method, within `epsilon`.

    x' = clip(x + ε·sign ∇ₓ L(x, y)). Source: Goodfellow et al. 2015, arXiv:1412.6572, §4.
    """
    return _attacked(model, split, pixels, Attack(epsilon, 1, epsilon, random_start=False))


def pgd_accuracy(
    model: nn.Module, split: Split, pixels: Pixels, epsilon: float = EPSILON, steps: int = 10
) -> float:
    """Return the accuracy after projected gradient descent within `epsilon`.

    The start is uniform in the ball around the image, from a fixed seed, and clipped to [0, 1].
    Then `steps` steps of size 2.5 ε / steps, each projected onto the ball and [0, 1]; the last
    point counts. Source: Madry et al. 2018, arXiv:1706.06083, §2.1, and their code.
    """
    size = 2.5 * epsilon / steps
    return _attacked(model, split, pixels, Attack(epsilon, steps, size, random_start=True))


@dataclass(frozen=True)
class Attack:
    """Steps along the sign of the loss's gradient within an L∞ ball; lengths in pixels of [0, 1].

    Attributes:
        epsilon: radius of the ball.
        steps: number of steps.
        size: length of a step.
        random_start: from a random point of the ball, not from the image.
    """

    epsilon: float
    steps: int
    size: float
    random_start: bool


def _attacked(model: nn.Module, split: Split, pixels: Pixels, attack: Attack) -> float:
    correct = torch.zeros((), dtype=torch.int64, device=split.device)
    epsilon = attack.epsilon
    with evaluation_mode(model):
        for number, (clean, y) in enumerate(pixels.batches(split)):
            lowest, highest = (clean - epsilon).clamp_(min=0), (clean + epsilon).clamp_(max=1)
            moved = clean
            if attack.random_start:
                generator = torch.Generator().manual_seed(derive_seed("attack", number))
                start = torch.rand(clean.shape, generator=generator).to(clean.device)
                moved = (clean + epsilon * (2 * start - 1)).clamp_(0, 1)
            for _ in range(attack.steps):
                uphill = _loss_gradient(model, pixels, moved, y).sign_()
                moved = (moved + attack.size * uphill).clamp(lowest, highest)
            with torch.no_grad():
                guess = model(pixels.normalise(moved)).argmax(-1)
            correct += (guess == y).sum()
    return float(correct.double() / len(split))


def _loss_gradient(model: nn.Module, pixels: Pixels, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss's gradient with respect to the pixels, without weight gradients.

    Double precision from the logits on: in single precision the loss of a confident network is
    flat, and the attack would not move.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        loss = F.cross_entropy(model(pixels.normalise(leaf)).double(), y, reduction="sum")
        return torch.autograd.grad(loss, leaf)[0]
