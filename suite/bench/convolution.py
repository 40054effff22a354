"""Whether a sparse convolution pays as im2col and CSR products: measured, layer by layer."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.bench.measurement import Measurement
from suite.bench.threads import conditions, on_threads
from suite.bench.turns import ratios
from suite.sparsity.storage.topology import Topology

BATCH, BLOCKS = 32, 5
SHAPES = {
    "LeNet-5, first": (1, 20, 5, 28),
    "LeNet-5, second": (20, 50, 5, 12),
    "ResNet-20, stage 1": (16, 16, 3, 32),
    "ResNet-20, stage 3": (64, 64, 3, 8),
    "WRN-22-2, stage 3": (128, 128, 3, 8),
    "ResNet-50, stage 3, 1 × 1": (1024, 256, 1, 14),
    "ResNet-50, stage 3, 3 × 3": (256, 256, 3, 14),
}
"""Channels in and out, width of the filter, width of the picture."""
DENSITIES = (0.1, 0.05, 0.02, 0.01)


def run(
    shapes: Mapping[str, tuple[int, int, int, int]] = SHAPES,
    densities: tuple[float, ...] = DENSITIES,
    blocks: int = BLOCKS,
) -> Iterator[Measurement]:
    """Measure how much faster forward and backward are in CSR than PyTorch's convolution."""
    with on_threads(1):
        for name, shape in shapes.items():
            for density in densities:
                dense, sparse = passes(shape, density)
                yield Measurement.of(
                    f"dense / csr convolution, {name} at {1 - density:.0%}",
                    ratios(dense, sparse, blocks),
                    "×",
                    note=conditions(1),
                )


def passes(
    shape: tuple[int, int, int, int], density: float
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a dense and a sparse forward and backward pass of the same layer and batch.

    Raises:
        AssertionError: the two do not agree.
    """
    channels, filters, width, size = shape
    torch.manual_seed(0)
    mask = torch.rand(filters, channels * width * width) < density
    weight = torch.randn(filters, channels * width * width) * mask
    topology, values = Topology.of(mask), weight[mask]
    x = torch.randn(BATCH, channels, size, size)
    padding, out = width // 2, size
    gradient = torch.randn(BATCH, filters, out, out)
    kernel = weight.view(filters, channels, width, width).requires_grad_()
    given = x.clone().requires_grad_()

    def dense() -> list[Tensor]:
        y = F.conv2d(given, kernel, padding=padding)
        return [y, *torch.autograd.grad(y, [given, kernel], gradient)]

    def sparse() -> list[Tensor]:
        columns = F.unfold(x, width, padding=padding).transpose(0, 1).flatten(1)
        y = topology.product(values, columns)
        g = gradient.transpose(0, 1).flatten(1)
        of_columns = topology.product_t(values, g)
        patches = of_columns.view(-1, BATCH, out * out).transpose(0, 1)
        of_x = F.fold(patches, (size, size), width, padding=padding)
        of_values = topology.sampled(g, columns)
        return [y.view(filters, BATCH, out, out).transpose(0, 1), of_x, of_values]

    for one, other in zip(dense(), sparse(), strict=True):
        one = one if one.shape == other.shape else one.flatten(1)[mask]
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-2)
    return (lambda: (dense(), None)[1]), (lambda: (sparse(), None)[1])
