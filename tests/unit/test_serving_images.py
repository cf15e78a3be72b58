"""Decoding: every picture comes out in one of four modes, and everything else is refused by name."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lockstep.serving.images import decode
from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused
from tests.support.images import png_header


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def refused(data: bytes, limits: Limits | None = None) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        decode(data, limits or Limits())
    assert "/" not in caught.value.message  # no path in what a client reads
    return caught.value.status, caught.value.code


GRADIENT = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_png_modes_come_out_plain(mode: str) -> None:
    image = decode(encoded(GRADIENT.convert(mode)))
    assert image.mode in ("L", "LA", "RGB", "RGBA")
    assert image.size == (8, 8)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_jpeg_modes_come_out_plain(mode: str) -> None:
    assert decode(encoded(GRADIENT.convert(mode), "JPEG")).mode in ("L", "RGB")


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    wide = Image.fromarray(np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16))
    levels = np.asarray(decode(encoded(wide)))
    assert levels.dtype == np.uint8
    assert levels.min() == 0 and levels.max() == 255 and 120 < levels[4, 0] < 136


def test_a_transparent_palette_colour_stays_transparent() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    image = decode(encoded(palette, transparency=1))
    assert image.mode == "RGBA"
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0, 255), (0, 255, 0, 0)]


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    photo = Image.new("RGB", (40, 20), "white")
    photo.paste("black", (0, 0, 10, 20))
    turned = decode(encoded(photo, "JPEG", exif=exif.tobytes(), quality=95)).convert("L")
    assert turned.size == (20, 40)
    assert turned.getpixel((10, 2)) < 60 and turned.getpixel((10, 37)) > 200


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_what_xmp_says_turns_nothing(format: str) -> None:
    """Browsers follow EXIF alone. Pillow would follow XMP where there is no EXIF."""
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp)
    options: dict[str, Any] = {"pnginfo": text} if format == "PNG" else {"xmp": xmp.encode()}
    data = encoded(Image.new("RGB", (40, 20), "white"), format, **options)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    assert decode(data).size == (40, 20)


def test_broken_exif_turns_nothing_and_is_not_passed_on() -> None:
    image = decode(encoded(GRADIENT, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\0\0"))
    assert image.size == (8, 8) and "exif" not in image.info


def test_the_content_decides_the_format_and_other_formats_are_refused() -> None:
    for other in ("GIF", "BMP", "TIFF", "WEBP"):
        assert refused(encoded(GRADIENT.convert("RGB"), other)) == (422, "serving.not_an_image")


@pytest.mark.parametrize(
    "data", [b"x", b"not an image at all", b"\x89PNG\r\n\x1a", b"\xff\xd8", b"\0" * 4096, b"\xff\xd8\0"]
)
def test_not_an_image(data: bytes) -> None:
    assert refused(data) == (422, "serving.not_an_image")


def test_empty() -> None:
    assert refused(b"") == (400, "serving.empty")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_only_a_signature(data: bytes) -> None:
    assert refused(data) == (422, "serving.truncated")


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_truncated(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    assert refused(data[: len(data) // 2]) == (422, "serving.truncated")


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (4001, 4000), (2**31 - 1, 1), (65_535, 65_535)]
)
def test_too_many_pixels_cost_no_memory(width: int, height: int) -> None:
    data = png_header(width, height)
    tracemalloc.start()
    assert refused(data) == (413, "serving.too_many_pixels")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32_000_000  # decoded it would be far more; threads of other tests are counted too


def test_the_limit_itself_is_allowed() -> None:
    data = encoded(GRADIENT)
    assert decode(data, Limits(pixels=64)).size == (8, 8)
    assert refused(data, Limits(pixels=63)) == (413, "serving.too_many_pixels")
