"""Accuracy of a trained network on corrupted inputs and under adversarial attacks.

Both work on pixels in [0, 1]: the task's normalisation is undone before and applied again after.
For data that are not images neither is defined; `pixel_space` returns the reason.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.core.seeds import derive_seed
from suite.evaluation.corruptions import KINDS, SEVERITIES, corruptions
from suite.sparsity.modules import evaluation_mode
from tasks.data import Split
from tasks.task import Dataset

EPSILON = 8 / 255
"""L∞ radius of an attack, in pixels of [0, 1] (Madry et al. 2018 for CIFAR-10)."""
MAX_BATCH, MAX_VALUES = 1000, 2**24
"""Limits of a batch, in images and in pixel values. Random numbers depend on both."""
MIN_SIDE = 8
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Pixels:
    """Converts between a network's inputs and pixels in [0, 1].

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
    mean, std = (
        torch.tensor(values, device=split.device).view(-1, 1, 1)
        for values in (dataset.mean, dataset.std)
    )
    batch = batch_size(dataset)
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
        for number, (x, y) in enumerate(split.batches(pixels.batch)):
            for kind, severity, changed in corruptions(pixels.of(x), number):
                guess = model(pixels.normalise(changed)).argmax(-1)
                correct[KINDS.index(kind), severity - 1] += (guess == y).sum()
    accuracy = (correct.double() / len(split)).tolist()
    return dict(zip(KINDS, accuracy, strict=True))


def fgsm_accuracy(model: nn.Module, split: Split, pixels: Pixels) -> float:
    """Return the accuracy under the fast gradient sign method, within `EPSILON`.

    x' = clip(x + ε·sign ∇ₓ L(x, y)). Source: Goodfellow et al. 2015, arXiv:1412.6572, §4.
    """
    return _attacked(model, split, pixels, 1, EPSILON, random_start=False)


def pgd_accuracy(model: nn.Module, split: Split, pixels: Pixels, steps: int = 10) -> float:
    """Return the accuracy after projected gradient descent within `EPSILON`.

    A random start from a fixed seed, then `steps` steps of size 2.5 ε / steps, each projected onto
    the ball and [0, 1]; the last point counts. Source: Madry et al. 2018, arXiv:1706.06083, §2.1.
    """
    return _attacked(model, split, pixels, steps, 2.5 * EPSILON / steps, random_start=True)


def _attacked(
    model: nn.Module, split: Split, pixels: Pixels, steps: int, size: float, *, random_start: bool
) -> float:
    correct = torch.zeros((), dtype=torch.int64, device=split.device)
    with evaluation_mode(model):
        for number, (x, y) in enumerate(split.batches(pixels.batch)):
            clean = pixels.of(x)
            lowest, highest = (clean - EPSILON).clamp_(min=0), (clean + EPSILON).clamp_(max=1)
            moved = clean
            if random_start:
                generator = torch.Generator().manual_seed(derive_seed("attack", number))
                start = torch.rand(clean.shape, generator=generator).to(clean.device)
                moved = torch.lerp(lowest, highest, start)
            for _ in range(steps):
                uphill = _loss_gradient(model, pixels, moved, y).sign_()
                moved = (moved + size * uphill).clamp(lowest, highest)
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
