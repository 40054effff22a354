"""What the pixels of every mode of Pillow are read as."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from suite.core.errors import InvalidInput
from tasks.datasets.pixels import MAX_PIXELS, Reading, checked_range, open_image, to_array

GREY, COLOUR = Reading(channels=1), Reading(channels=3)
DEEP = Reading(channels=1, deep=True)


def stored(image, kind="PNG", **more):
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def read(content, reading, orient=True):
    """Return the pixels of an image file, [channels, height, width]."""
    image = open_image(content, "a/b.img", orient)
    shape = (reading.channels, image.height, image.width)
    return to_array(image, "a/b.img", shape, False, reading)


def refusal(content, reading):
    with pytest.raises(InvalidInput) as refused:
        read(content, reading)
    assert "\n" not in str(refused.value)
    assert "image a/b.img" in str(refused.value)
    return str(refused.value)


STEPS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
RED_AND_BLUE = np.zeros((2, 2, 3), np.uint8)
RED_AND_BLUE[0, :, 0] = RED_AND_BLUE[1, :, 2] = 255


def test_one_bit_is_black_and_white():
    image = PIL.Image.fromarray(STEPS).convert("1", dither=PIL.Image.Dither.NONE)
    assert read(stored(image), GREY)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_grey_is_as_it_is_and_repeated_in_colour():
    content = stored(PIL.Image.fromarray(STEPS))
    assert np.array_equal(read(content, GREY)[0], STEPS)
    assert all(np.array_equal(channel, STEPS) for channel in read(content, COLOUR))
    assert read(content, GREY).dtype == np.uint8


def test_a_palette_is_its_colours():
    image = PIL.Image.fromarray(RED_AND_BLUE).quantize(2)
    assert image.mode == "P"
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(read(stored(image, kind), COLOUR), RED_AND_BLUE.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV"])
def test_other_models_of_colour_are_read_as_rgb(mode):
    image = PIL.Image.fromarray(RED_AND_BLUE)
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        image = image.convert(mode)
    content = stored(image, "TIFF") if mode != "HSV" else None
    if content is None:  # no file has this mode, but a torch dataset may give it
        found = to_array(image, "item", (3, 2, 2), False, COLOUR)
    else:
        assert open_image(content, "x").mode == mode
        found = read(content, COLOUR)
    error = np.abs(found.astype(int) - RED_AND_BLUE.transpose(2, 0, 1)).max()
    assert error <= (24 if mode == "LAB" else 6)  # pure blue is at the edge of 8-bit Lab


def test_cmyk_of_adobe_is_not_inverted():
    image = PIL.Image.new("RGB", (16, 16), (250, 120, 10)).convert("CMYK")
    content = stored(image, "JPEG", quality=95)
    assert b"Adobe" in content  # Pillow writes it as Adobe does: inverted, with the marker
    assert np.abs(read(content, COLOUR)[:, 8, 8].astype(int) - [250, 120, 10]).max() < 8


# ------------------------------------------------------------------------------ more bits


DEEP_STEPS = np.array([[0, 13107, 26214], [39321, 52428, 65535]], np.uint16)
FIFTHS = np.arange(6).reshape(2, 3) / 5


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
def test_sixteen_bits_are_parts_of_their_range(kind, mode):
    order = ">u2" if mode == "I;16B" else "<u2"
    image = PIL.Image.frombytes(mode, (3, 2), DEEP_STEPS.astype(order).tobytes())
    found = read(stored(image, kind), DEEP)
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(FIFTHS)
    halves = Reading(channels=1, deep=True, range=(0, 131070))
    assert read(stored(image, kind), halves)[0] == pytest.approx(FIFTHS / 2)
    eight = read(stored(image, kind), GREY)  # others of the dataset have 8 bits
    assert np.array_equal(eight[0], STEPS)


def test_pgm_is_scaled_by_its_own_maximum():
    content = b"P5 3 2 4095\n" + (DEEP_STEPS // 16).astype(">u2").tobytes()
    assert read(content, DEEP)[0] == pytest.approx(FIFTHS, abs=1e-3)


def tiff(bits, photometric, data, sample_format=1):
    """Return a minimal TIFF of one strip, 3 × 2."""
    tags = [(256, 3, 3), (257, 3, 2), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
            (273, 4, 8), (277, 3, 1), (278, 3, 2), (279, 4, len(data)),
            (339, 3, sample_format)]  # fmt: skip
    data += b"\0" * (len(data) % 2)
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def test_twelve_bits_and_white_as_zero_are_read_as_a_tiff_says():
    packed = b""
    for row in DEEP_STEPS // 16:  # 12 bits each, rows begin at a byte
        bits = "".join(f"{value:012b}" for value in row) + "0000"
        packed += int(bits, 2).to_bytes(5, "big")
    assert read(tiff(12, 1, packed), DEEP)[0] == pytest.approx(FIFTHS, abs=1e-3)
    inverted = (65535 - DEEP_STEPS).astype("<u2").tobytes()
    assert read(tiff(16, 0, inverted), DEEP)[0] == pytest.approx(FIFTHS, abs=1e-4)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_values_without_a_range_are_refused_and_with_one_are_scaled(mode):
    values = np.array([[0, 20, 40], [60, 80, 100]], np.float32 if mode == "F" else np.int32)
    content = stored(PIL.Image.fromarray(values), "TIFF")
    assert open_image(content, "x").mode == mode
    message = refusal(content, DEEP)
    assert "0 … 100" in message
    assert "'range: [LOW, HIGH]'" in message
    assert read(content, Reading(1, True, range=(0, 100)))[0] == pytest.approx(FIFTHS)
    shifted = read(content, Reading(1, True, range=(-100, 100)))[0]
    assert shifted == pytest.approx(FIFTHS / 2 + 0.5)
    assert "the value 100, outside of range: [0, 99]" in refusal(
        content, Reading(1, True, range=(0, 99))
    )


def test_a_value_that_is_no_number_is_outside_of_any_range():
    image = PIL.Image.fromarray(np.array([[0, np.nan]], np.float32))
    message = refusal(stored(image, "TIFF"), Reading(1, True, range=(0, 1)))
    assert "the value nan" in message


def test_eight_bits_among_deeper_images_are_scaled_as_well():
    found = read(stored(PIL.Image.fromarray(STEPS)), DEEP)
    assert found[0] == pytest.approx(FIFTHS)
    deep = Reading(channels=3, deep=True)
    assert read(stored(PIL.Image.fromarray(RED_AND_BLUE)), deep).max() == 1.0
    sixteen = stored(PIL.Image.fromarray(DEEP_STEPS))
    assert read(sixteen, deep).shape == (3, 2, 3)


def test_scaling_keeps_the_values_of_deep_images():
    image = PIL.Image.fromarray(np.full((8, 8), 32768, np.uint16))
    found = to_array(open_image(stored(image), "x"), "x", (1, 3, 3), True, DEEP)
    assert found == pytest.approx(np.full((1, 3, 3), 32768 / 65535))


@pytest.mark.parametrize(
    "given",
    [3, [1], [1, 2, 3], [2, 1], [1, 1], [0, float("inf")], ["0", "1"], [True, 2], [0, 10**400]],
)
def test_a_range_that_is_none_is_refused(given):
    with pytest.raises(InvalidInput, match="range=.*give the values that mean black and white"):
        checked_range(given)


# ------------------------------------------------------------------------------ transparency


def clear(mode, alpha):
    """Return an image of 100 in this mode, of one row with these alphas."""
    if mode == "P":
        image = PIL.Image.new("P", (len(alpha), 1))
        image.putpalette([100] * 3 * len(alpha))
        image.putdata(list(range(len(alpha))))
        return stored(image, transparency=bytes(alpha))
    channels = 1 if mode == "LA" else 3
    pixels = [(*[100] * channels, a) for a in alpha]
    image = PIL.Image.new(mode, (len(alpha), 1))
    image.putdata(pixels)
    return stored(image)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_show_the_background_or_are_refused(mode):
    content = clear(mode, [0, 51, 255])
    assert "has transparent pixels: give data a 'background: white'" in refusal(content, COLOUR)
    white = read(content, Reading(background="white"))
    black = read(content, Reading(background="black"))
    assert all(channel.tolist() == [[255, 224, 100]] for channel in white)
    assert all(channel.tolist() == [[0, 20, 100]] for channel in black)
    opaque = clear(mode, [255, 255, 255])
    assert (read(opaque, COLOUR) == 100).all()


def test_a_transparent_grey_is_refused_or_shows_the_background():
    image = PIL.Image.fromarray(STEPS)
    content = stored(image, transparency=51)
    assert "has transparent pixels" in refusal(content, GREY)
    found = read(content, Reading(channels=1, background="white"))
    assert found[0].tolist() == [[0, 255, 102], [153, 204, 255]]


def test_transparent_pixels_of_sixteen_bits_are_refused():
    content = stored(PIL.Image.fromarray(DEEP_STEPS))
    begin = content.index(b"IDAT") - 4
    body = b"tRNS" + struct.pack(">H", 13107)
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    content = content[:begin] + chunk + content[begin:]
    assert "transparent pixels" in refusal(content, DEEP)
    assert "save it without transparency" in refusal(content, Reading(1, True, "white"))


# ------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_turned_upright(kind):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 16:] = 255  # bright on the right
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    content = stored(PIL.Image.fromarray(pixels), kind, exif=exif)
    found = read(content, COLOUR)
    assert found.shape == (3, 32, 16)
    assert found[:, :12].max() < 60 < 200 < found[:, 20:].min()
    if kind != "TIFF":  # there Pillow itself turns it
        assert read(content, COLOUR, orient=False).shape == (3, 16, 32)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_several_frames_are_refused(kind):
    frames = [PIL.Image.new("RGB", (4, 4), (40 * n, 0, 0)) for n in range(3)]
    content = stored(frames[0], kind, save_all=True, append_images=frames[1:])
    assert "has 3 frames" in refusal(content, COLOUR)


def test_the_preview_of_a_camera_is_no_second_frame():
    frames = [PIL.Image.new("RGB", (16, 16), (200, 0, 0)), PIL.Image.new("RGB", (8, 8))]
    content = stored(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert read(content, COLOUR)[0].mean() > 190


def bomb(width, height):
    """Return a PNG whose header claims this size."""
    content = stored(PIL.Image.new("L", (1, 1)))
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return content[:12] + body + struct.pack(">I", zlib.crc32(body)) + content[33:]


@pytest.mark.parametrize("size", [(10_000, 10_000), (40_000, 40_000), (2**31 - 1, 1)])
def test_an_absurd_size_is_refused_before_anything_is_allocated(size):
    assert f"more than the {MAX_PIXELS:,} that are read" in refusal(bomb(*size), GREY)


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", stored(
        PIL.Image.new("RGB", (64, 64)))[:60]],
)  # fmt: skip
def test_what_is_no_image_is_refused_and_nothing_is_run(content):
    assert "cannot be read" in refusal(content, COLOUR)


def test_a_mode_that_is_not_read_is_refused():
    image = PIL.Image.new("RGBX", (2, 2))
    with pytest.raises(InvalidInput, match="image item has pixels of mode RGBX"):
        to_array(image, "item", (3, 2, 2), False, COLOUR)
