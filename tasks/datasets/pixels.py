"""What the pixels of an image file mean: every mode becomes grey or colour values, or is refused.

| pixels | read as |
|---|---|
| 1 bit | 0 and 255 |
| 8-bit grey, RGB | as they are |
| palette | its colours |
| CMYK, YCbCr, LAB, HSV | RGB |
| 16-bit grey | v / 65535 (or of `range`), float32 |
| 32-bit integers, floats | only with a `range`: (v − low) / (high − low), float32 |
| transparency | over the `background`; without one only if every pixel is opaque |
"""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from suite.core.errors import InvalidInput

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, whatever a file's name says: some of Pillow's formats run other programs."""
MAX_PIXELS = 89_478_485
"""Largest image that is read, in pixels: where Pillow begins to warn of decompression bombs."""
GREY = ("1", "L", "LA")
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV")
DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
UNRANGED = ("I", "F")
BACKGROUNDS = {"white": 255, "black": 0}

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF
_WHITE_IS_ZERO = 0


@dataclass(frozen=True)
class Reading:
    """How the images of a dataset are read, the same for all of them.

    Attributes:
        channels: 1 (grey) or 3 (colour); grey images in a dataset of colour are repeated.
        deep: whether values are float32 in [0, 1], because some image has more than 8 bits.
        background: what shows through transparent pixels: white, black, or "" to refuse them.
        range: the values of 16-bit, 32-bit and float images that mean black and white.
        orient: whether images are turned upright as their EXIF data says.
    """

    channels: int = 3
    deep: bool = False
    background: str = ""
    range: tuple[float, float] | None = None
    orient: bool = True

    def options(self) -> dict[str, Any]:
        """Return what differs from the defaults, as a dataset's options."""
        given = {"deep": self.deep, "background": self.background, "range": self.range}
        return {name: value for name, value in given.items() if value}

    @classmethod
    def of(cls, shape: tuple[int, ...], options: Mapping[str, Any]) -> "Reading":
        """Return the reading that a dataset's shape and options say."""
        names = ("deep", "background", "range", "orient")
        return cls(shape[0], **{name: options[name] for name in names if name in options})


def open_header(file: BinaryIO, where: str) -> Any:
    """Return a PIL image of which only the header has been read.

    Raises:
        InvalidInput: it is damaged, not an image, too large, or has several frames; the message
            names the file.
    """
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow: what is wrong is refused below
            image = PIL.Image.open(file, formats=FORMATS)
            frames = getattr(image, "n_frames", 1)
    except PIL.Image.DecompressionBombError as error:
        raise _too_large(where) from error
    except PIL.UnidentifiedImageError as error:  # whose own message is of an object in memory
        wanted = ", ".join(FORMATS)
        raise InvalidInput(
            f"image {where} cannot be read (it is empty, or none of {wanted}): replace or delete it"
        ) from error
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise _unreadable(where, error) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(where, f"{image.width:,}×{image.height:,} pixels, ")
    if frames > 1 and image.format != "MPO":  # a camera's JPEG with previews after the image
        raise InvalidInput(
            f"image {where} has {frames} frames: save the one to use as an image of its own"
        )
    return image


def open_image(content: bytes, where: str, orient: bool = True) -> Any:
    """Return a PIL image, decoded, and upright if `orient`.

    Raises:
        InvalidInput: see `open_header`.
    """
    import PIL.ImageOps

    image = open_header(io.BytesIO(content), where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            if orient:
                PIL.ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:
        raise _unreadable(where, error) from error
    return image


def _unreadable(where: str, error: Exception) -> InvalidInput:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InvalidInput(f"image {where} cannot be read ({reason}): replace or delete it")


def _too_large(where: str, size: str = "") -> InvalidInput:
    return InvalidInput(
        f"image {where} claims {size}more than the {MAX_PIXELS:,} that are read: replace it, or "
        "scale it down"
    )


def is_transparent(image: Any) -> bool:
    """Return whether a decoded image has pixels that are not opaque."""
    if not image.has_transparency_data or image.mode in DEEP + UNRANGED:
        return bool(image.has_transparency_data)
    return image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def transparent(where: str) -> InvalidInput:
    """Return the refusal of transparent pixels for which there is no background."""
    return InvalidInput(
        f"image {where} has transparent pixels: give data a 'background: white' or 'background: "
        "black' to put them on, or save it without transparency"
    )


def without_range(where: str, mode: str, low: float, high: float) -> InvalidInput:
    """Return the refusal of values without a defined range, which lie in `low` … `high`."""
    kind = "floating-point numbers" if mode == "F" else "32-bit integers"
    return InvalidInput(
        f"image {where} holds {kind}, of which none is black or white by itself (its values lie in "
        f"{low:g} … {high:g}): give data a 'range: [LOW, HIGH]'"
    )


def readable(image: Any, where: str, reading: Reading) -> Any:
    """Return a decoded PIL image in mode L or RGB, or F with values in [0, 1].

    Raises:
        InvalidInput: its mode is not read, it is transparent and there is no background, or its
            values have no range or lie outside of it; the message names the file.
    """
    if image.mode not in GREY + COLOUR + DEEP + UNRANGED:
        raise InvalidInput(
            f"image {where} has pixels of mode {image.mode}, which are not read: save it as grey "
            "or RGB"
        )
    if image.has_transparency_data:
        image = _composited(image, where, reading)
    if image.mode in DEEP + UNRANGED:
        return _scaled(image, where, reading)
    try:
        return image.convert("L" if reading.channels == 1 else "RGB")
    except (ValueError, OSError) as error:
        raise _unreadable(where, error) from error


def _composited(image: Any, where: str, reading: Reading) -> Any:
    """Return an image with its transparent pixels over the background."""
    import PIL.Image

    if not reading.background and is_transparent(image):
        raise transparent(where)
    if image.mode in DEEP + UNRANGED:
        raise InvalidInput(
            f"image {where} has transparent pixels of mode {image.mode}, which are not read: save "
            "it without transparency"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "… should be converted to RGBA": it is
        image = image.convert("RGBA")
    if not reading.background:
        return image.convert("RGB")
    tone = BACKGROUNDS[reading.background]
    below = PIL.Image.new("RGBA", image.size, (tone, tone, tone, 255))
    return PIL.Image.alpha_composite(below, image).convert("RGB")


def _scaled(image: Any, where: str, reading: Reading) -> Any:
    """Return an image of mode F whose values in its range are 0 … 1."""
    import PIL.Image

    values = np.asarray(image).astype(np.float64)
    low, high = _range(image, values, where, reading)
    if image.mode == "F":  # as the file holds them: 0.8 is a little more in single precision
        low, high = float(np.float32(low)), float(np.float32(high))
    bad = ~((values >= low) & (values <= high))  # NaN as well
    if bad.any():
        raise InvalidInput(
            f"image {where} has the value {values[bad][0]:g}, outside of range: [{low:g}, "
            f"{high:g}]: give a range that holds all values, or clip them"
        )
    values = (values - low) / (high - low)
    tags = getattr(image, "tag_v2", None) or {}
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 1 - values
    return PIL.Image.fromarray(values.astype(np.float32))


def _range(image: Any, values: np.ndarray, where: str, reading: Reading) -> tuple[float, float]:
    if reading.range is not None:
        return reading.range
    if image.format == "PPM":  # which Pillow has scaled by the file's own maximum
        return 0.0, 65535.0
    if image.mode in UNRANGED:
        raise without_range(where, image.mode, float(values.min()), float(values.max()))
    tags = getattr(image, "tag_v2", None) or {}
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    return 0.0, float(2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1)


def as_array(image: Any, reading: Reading) -> np.ndarray:
    """Return an image of mode L, RGB or F as [channels, height, width].

    uint8, or float32 in [0, 1] if the reading is deep.
    """
    array = np.asarray(image)
    if reading.deep and array.dtype == np.uint8:
        array = array.astype(np.float32) / 255
    if not reading.deep and array.dtype != np.uint8:
        array = (array * 255).round().astype(np.uint8)
    if array.ndim == 2:
        return np.array(np.broadcast_to(array, (reading.channels, *array.shape)), order="C")
    return np.array(array.transpose(2, 0, 1), order="C")


def to_array(
    image: Any, where: str, shape: tuple[int, ...], resize: bool, reading: Reading
) -> np.ndarray:
    """Return a decoded PIL image as [channels, height, width]: uint8, or float32 in [0, 1].

    Raises:
        InvalidInput: it has another size, and `resize` is False; or see `readable`.
    """
    _, height, width = shape
    image = readable(image, where, reading)
    if image.size != (width, height):
        if not resize:
            raise InvalidInput(
                f"image {where} is {image.width}×{image.height}, others are {width}×{height}: "
                "give a 'size' to scale all of them to"
            )
        image = image.resize((width, height), 2)  # bilinear, antialiased where it shrinks
    return as_array(image, reading)


def checked_range(given: object) -> tuple[float, float]:
    """Return the `range` of a task file.

    Raises:
        InvalidInput: it is not two finite numbers, the lower first.
    """
    numbers = given if isinstance(given, list | tuple) else ()
    if (
        len(numbers) != 2
        or any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers)
        or not all(abs(x) < 1e38 for x in numbers)
        or not numbers[0] < numbers[1]
    ):
        raise InvalidInput(
            f"range={given!r:.80}: give the values that mean black and white, e.g. range: [0, 4095]"
        )
    return float(numbers[0]), float(numbers[1])
