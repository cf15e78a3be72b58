"""Bytes to an image, within limits. Nothing is decoded before the header was judged.

Formats are told by content; what the request calls them does not matter.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.refusal import Refused

FORMATS = ("PNG", "JPEG")

# Where Pillow keeps what can turn an image.
METADATA = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}

# What Pillow's PNG and JPEG readers raise for bytes that are not what they should be.
MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    AttributeError,
    struct.error,
    zlib.error,
)


def decode(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """The image in `data` (PNG or JPEG), upright, in mode L, LA, RGB or RGBA with 8 bits a channel.

    Raises Refused: `serving.empty` (400); `serving.not_an_image`, `serving.truncated` (422);
    `serving.too_many_pixels` (413), decided from the header, so that it costs no memory.
    """
    if not data:
        raise Refused("the image is empty", code="serving.empty", status=400)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels("far too many", limits) from None
    except (UnidentifiedImageError, *MALFORMED):
        raise Refused("this is not a PNG or JPEG image", code="serving.not_an_image", status=422) from None
    width, height = image.size
    if width * height > limits.pixels:
        raise _too_many_pixels(f"{width} x {height}", limits)
    try:
        image.load()
    except MALFORMED:
        raise Refused("the image is truncated or damaged", code="serving.truncated", status=422) from None
    return _eight_bits(_plain(_upright(image)) if METADATA & image.info.keys() else image)


def _too_many_pixels(what: str, limits: Limits) -> Refused:
    return Refused(
        f"the image has {what} pixels; the limit is {limits.pixels}",
        code="serving.too_many_pixels",
        status=413,
    )


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says. Broken EXIF data turns nothing: the pixels are good."""
    try:
        return ImageOps.exif_transpose(image)
    except MALFORMED:
        return image


def _plain(image: Image.Image) -> Image.Image:
    """The pixels without what could turn them: it was judged here and is not to be judged again."""
    plain = image.copy()
    plain.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return plain


def _eight_bits(image: Image.Image) -> Image.Image:
    """The same picture in one of four modes, so that a release's preprocessing knows what it gets."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit values at 255 instead of scaling them.
        values = np.clip(np.asarray(image, dtype=np.int64), 0, 65535) // 257
        return Image.fromarray(values.astype(np.uint8))
    if "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")
