import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import fft, ndimage
from sklearn.datasets import load_sample_image

from suite.evaluation import corruptions as c


def photographs(channels: int, side: int = 28) -> torch.Tensor:
    """Return 12 pieces of a photograph: [12, channels, side, side], levels of 255 in [0, 1]."""
    whole = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)
    pieces = [whole[:, 30 * i : 30 * i + side, 40 * i : 40 * i + side] for i in range(12)]
    images = torch.stack(pieces)
    return images[:, 1:2].float() / 255 if channels == 1 else images.float() / 255


def conditions(x: torch.Tensor, batch: int = 0) -> dict[tuple[str, int], torch.Tensor]:
    return {(kind, severity): changed for kind, severity, changed in c.corruptions(x, batch)}


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (1, 8), (3, 37)])
def test_there_are_six_corruptions_of_five_severities_of_any_image(channels, side):
    x = photographs(channels, side)
    before = x.clone()
    found = conditions(x)
    assert set(found) == {(kind, severity) for kind in c.KINDS for severity in range(1, 6)}
    assert torch.equal(x, before)
    for changed in found.values():
        assert changed.shape == x.shape
        assert changed.dtype == x.dtype
        assert 0 <= changed.min() <= changed.max() <= 1 + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_a_higher_severity_is_further_from_the_image(channels):
    x = photographs(channels)
    found = conditions(x)
    for kind in c.KINDS:
        distances = [float((found[kind, s] - x).abs().mean()) for s in range(1, 6)]
        assert distances == sorted(distances)
        assert distances[0] > 0


def test_what_is_drawn_depends_on_the_batch_alone():
    x = photographs(1)
    first = conditions(x)
    torch.manual_seed(7)
    again, other = conditions(x), conditions(x, batch=1)
    assert all(torch.equal(changed, again[name]) for name, changed in first.items())
    drawn = {
        kind for (kind, _), changed in first.items() if not torch.equal(changed, other[kind, _])
    }
    assert drawn == {"noise", "translation"}


def test_noise_has_the_deviation_it_says_and_is_the_same_noise_at_every_severity():
    x = torch.full((100, 1, 28, 28), 0.5)
    found = conditions(x)
    first, last = (found["noise", s] - 0.5 for s in (1, 3))
    assert float(first.std()) == pytest.approx(c.NOISE[0], rel=0.02)
    assert torch.allclose(last / c.NOISE[2], first / c.NOISE[0], atol=1e-5)


def test_brightness_and_contrast_are_those_of_the_definition():
    x = photographs(3)
    found = conditions(x)
    for severity in range(1, 6):
        brighter = np.clip(x.numpy() + c.BRIGHTNESS[severity - 1], 0, 1)
        assert found["brightness", severity].numpy() == pytest.approx(brighter)
        mean = x.numpy().mean((1, 2, 3), keepdims=True)
        flatter = (x.numpy() - mean) * c.CONTRAST[severity - 1] + mean
        assert found["contrast", severity].numpy() == pytest.approx(flatter, abs=1e-6)


@pytest.mark.parametrize("side", [8, 28, 37])
@pytest.mark.parametrize("share", c.BLUR)
def test_blur_is_scipys_gaussian_filter(side, share):
    x = photographs(1, side)
    deviation = share * side
    reach = max(1, int(np.ceil(3 * deviation)))
    expected = [
        ndimage.gaussian_filter(image[0].numpy(), deviation, mode="nearest", radius=reach)
        for image in x
    ]
    assert c.blur(x, share)[:, 0].numpy() == pytest.approx(np.stack(expected), abs=1e-5)


@pytest.mark.parametrize("share", c.TRANSLATION)
def test_translation_is_scipys_shift_in_eight_directions(share):
    x = photographs(1)[:8]
    moved = c.translate(x, share, torch.arange(8))
    for direction, image in enumerate(x):
        angle = 2 * np.pi * direction / 8
        distance = share * 28 * np.array([np.sin(angle), np.cos(angle)])
        expected = ndimage.shift(image[0].numpy(), distance, order=1, mode="nearest")
        assert moved[direction, 0].numpy() == pytest.approx(expected, abs=1e-4)


def test_the_cosine_transform_is_scipys():
    blocks = np.random.default_rng(0).normal(size=(5, 8, 8))
    expected = fft.dctn(blocks, axes=(1, 2), norm="ortho").reshape(5, 64)
    ours = torch.from_numpy(blocks).float().view(5, 64) @ c._cosine_transform().T
    assert ours.numpy() == pytest.approx(expected, abs=1e-5)


def encoded(levels: np.ndarray, quality: int) -> np.ndarray:
    """Return an image [height, width, channels] after libjpeg, at 4:4:4."""
    file = io.BytesIO()
    Image.fromarray(levels.squeeze()).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file)).reshape(levels.shape)


@pytest.mark.parametrize(("channels", "side"), [(1, 32), (1, 28), (3, 32), (3, 37)])
@pytest.mark.parametrize("quality", [*c.JPEG, 50, 90])
def test_jpeg_loses_what_a_real_encoder_loses(channels, side, quality):
    """The simulation is a tenth as far from libjpeg as libjpeg is from the image.

    What is left are roundings of libjpeg's integer arithmetic, most by one level.
    """
    x = photographs(channels, side)
    ours = (next(c.jpeg(x, (quality,))) * 255).permute(0, 2, 3, 1).round().numpy()
    levels = (x * 255).permute(0, 2, 3, 1).round().byte().numpy()
    real = np.stack([encoded(image, quality) for image in levels]).astype(float)
    difference, loss = np.abs(real - ours), np.abs(real - levels).mean()
    assert difference.mean() < 0.12 * loss
    assert difference.mean() < 0.4
    assert (difference <= 1).mean() > 0.93
