"""Six image corruptions at five severities, defined here; they are not CIFAR-10-C.

Inputs and outputs are pixels in [0, 1], of any size, with one or three channels. Random numbers are
drawn on the CPU from fixed seeds, once for all severities, so every trial on every device sees the
same corrupted images, and a higher severity is more of the same corruption. Lengths (blur,
translation) are fractions of the image's side, so that 28×28 and 224×224 are treated alike.

Kinds and severities follow Hendrycks & Dietterich 2019, arXiv:1903.12261. The parameters are
different, so the figures cannot be compared with theirs.
"""

import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from suite.core.seeds import derive_seed

NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)
"""Standard deviation of Gaussian noise."""
BLUR = (0.02, 0.04, 0.06, 0.08, 0.10)
"""Standard deviation of a Gaussian blur, as a fraction of the side."""
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Value added to every pixel."""
CONTRAST = (0.75, 0.55, 0.4, 0.25, 0.15)
"""Factor on the difference from the image's mean."""
TRANSLATION = (0.03, 0.06, 0.09, 0.12, 0.15)
"""Length of the shift, as a fraction of the side."""
JPEG = (60, 40, 25, 15, 8)
"""libjpeg quality, 1 to 100."""
KINDS = ("noise", "blur", "brightness", "contrast", "translation", "jpeg")
SEVERITIES = 5
DIRECTIONS = 8
"""Number of directions of a translation, at equal angles."""
BLOCK = 8

# ITU-T T.81 (JPEG), tables K.1 and K.2.
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def corruptions(x: Tensor, batch: int = 0) -> Iterator[tuple[str, int, Tensor]]:
    """Yield (kind, severity, corrupted) for each of the 30 conditions.

    x is [n, channels, height, width] in [0, 1]. `batch` is its number in the split; it seeds the
    random numbers. Severities count from 1.
    """
    generator = torch.Generator().manual_seed(derive_seed("corruption", batch))
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    directions = torch.randint(DIRECTIONS, (len(x),), generator=generator).to(x.device)
    mean = x.mean((1, 2, 3), keepdim=True)
    corrupted: dict[str, Iterator[Tensor]] = {
        "noise": ((x + deviation * noise).clamp_(0, 1) for deviation in NOISE),
        "blur": (blur(x, fraction) for fraction in BLUR),
        "brightness": ((x + added).clamp_(max=1) for added in BRIGHTNESS),
        "contrast": (torch.lerp(mean, x, factor) for factor in CONTRAST),
        "translation": (translate(x, fraction, directions) for fraction in TRANSLATION),
        "jpeg": jpeg(x, JPEG),
    }
    for kind, images in corrupted.items():
        for severity, changed in enumerate(images, 1):
            yield kind, severity, changed


def blur(x: Tensor, fraction: float) -> Tensor:
    """Return x blurred by a Gaussian with σ = fraction · side; the border is replicated."""
    rows, columns = (_blur_matrix(side, fraction * side).to(x.device) for side in x.shape[-2:])
    return _along_both(x, rows, columns)


def translate(x: Tensor, fraction: float, directions: Tensor) -> Tensor:
    """Return each image shifted by fraction · side in its direction (int64 [n], 0 to 7).

    Interpolates linearly between pixels and replicates the border.
    """
    out = torch.empty_like(x)
    for direction in range(DIRECTIONS):
        angle = 2 * math.pi * direction / DIRECTIONS
        parts = (math.sin(angle), math.cos(angle))
        rows, columns = (
            _shift_matrix(side, round(fraction * side * part, 9)).to(x.device)
            for side, part in zip(x.shape[-2:], parts, strict=True)
        )
        chosen = (directions == direction).nonzero().squeeze(1)
        out[chosen] = _along_both(x[chosen], rows, columns)
    return out


def _along_both(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows · x · columnsᵀ for each image."""
    across = x @ columns.T
    return (across.transpose(-1, -2) @ rows.T).transpose(-1, -2)


@functools.lru_cache(maxsize=64)
def _blur_matrix(side: int, deviation: float) -> Tensor:
    reach = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-reach, reach + 1)
    weights = (-0.5 * (offsets / deviation) ** 2).exp()
    weights /= weights.sum()
    return _weighted_sum(side, offsets, weights)


@functools.lru_cache(maxsize=64)
def _shift_matrix(side: int, distance: float) -> Tensor:
    whole = math.floor(distance)
    rest = distance - whole
    return _weighted_sum(side, torch.tensor([-whole, -whole - 1]), torch.tensor([1 - rest, rest]))


def _weighted_sum(side: int, offsets: Tensor, weights: Tensor) -> Tensor:
    """Return the matrix of out[i] = Σ_d weights[d] · in[i + offsets[d]], with clamped ends."""
    matrix = torch.zeros(side, side)
    for offset, weight in zip(offsets.tolist(), weights, strict=True):
        source = (torch.arange(side) + offset).clamp(0, side - 1)
        matrix[torch.arange(side), source] += weight
    return matrix


def jpeg(x: Tensor, qualities: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield x after simulated JPEG compression at each quality.

    Converts to YCbCr (JFIF), applies the cosine transform to 8×8 blocks, and rounds the
    coefficients to multiples of the standard's tables, scaled as in libjpeg. Chrominance keeps its
    full resolution (4:4:4). Entropy coding is lossless and is left out.
    """
    height, width = x.shape[-2:]
    levels = (x * 255).round()
    planes = levels if x.shape[1] == 1 else _to_ycbcr(levels).round_()
    padded = F.pad(planes - 128, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    transform = _cosine_transform().to(x.device)
    coefficients = _to_blocks(padded) @ transform.T
    for quality in qualities:
        table = _quantisation(quality, x.shape[1]).to(x.device)
        # Halves are common: round them away from zero like libjpeg (torch.round rounds to even).
        multiples = coefficients / table
        rounded = (multiples + 0.5 * multiples.sign()).trunc_().mul_(table)
        back = _from_blocks(rounded @ transform, padded.shape)[..., :height, :width]
        decoded = (back + 128).round_().clamp_(0, 255)
        if x.shape[1] == 3:
            decoded = _to_rgb(decoded).round_().clamp_(0, 255)
        yield decoded / 255


def _to_blocks(x: Tensor) -> Tensor:
    """[n, c, h, w] → [n, c, blocks, 64]."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(3, 4)
    return blocks.reshape(n, c, -1, BLOCK * BLOCK)


def _from_blocks(blocks: Tensor, shape: torch.Size) -> Tensor:
    """[n, c, blocks, 64] → [n, c, h, w]."""
    n, c, h, w = shape
    return blocks.reshape(n, c, h // BLOCK, w // BLOCK, BLOCK, BLOCK).transpose(3, 4).reshape(shape)


@functools.cache
def _cosine_transform() -> Tensor:
    """Return the orthonormal 8×8 cosine transform of a block, written as a vector: [64, 64]."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    basis = torch.cos(math.pi / BLOCK * (k + 0.5) * k[:, None]) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return torch.kron(basis, basis).float()


@functools.cache
def _quantisation(quality: int, channels: int) -> Tensor:
    """Return the tables at a quality, [channels, 1, 64] (libjpeg, jpeg_quality_scaling)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = (LUMINANCE,) if channels == 1 else (LUMINANCE, CHROMINANCE, CHROMINANCE)
    values = (torch.tensor(tables) * scale + 50) // 100
    return values.clamp(1, 255).view(channels, 1, BLOCK * BLOCK).float()


def _to_ycbcr(x: Tensor) -> Tensor:
    """RGB levels → YCbCr levels, 0 to 255 (JFIF 1.02)."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return torch.stack([y, (b - y) / 1.772 + 128, (r - y) / 1.402 + 128], 1)


def _to_rgb(x: Tensor) -> Tensor:
    """YCbCr levels → RGB levels (JFIF 1.02)."""
    y, cb, cr = x[:, 0], x[:, 1] - 128, x[:, 2] - 128
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 1)
