"""Bytes to an image, within limits. Nothing is decoded before the header was judged.

Formats are told by content; what the request calls them does not matter.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from lockstep.serving.anatomy import lean, truncated
from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.refusal import Refused

FORMATS = ("PNG", "JPEG")

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

# How a stored picture is turned to stand upright (EXIF 2.3, tag Orientation). What XMP says of it is passed
# over, as browsers do: a person would see one picture and the model another.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, limits: Limits = LIMITS) -> Image.Image:
    """The image in `data` (PNG or JPEG), upright, in mode L, LA, RGB or RGBA with 8 bits a channel.

    Of an animation it is the default picture. Raises Refused: `serving.empty` (400);
    `serving.not_an_image`, `serving.truncated`, `serving.too_many_parts` (422);
    `serving.too_many_pixels` (413), decided from the header, so that it costs no memory.
    """
    if not data:
        raise Refused("the image is empty", code="serving.empty", status=400)
    stripped = lean(data, limits)
    try:
        image = Image.open(io.BytesIO(stripped.data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels("far too many", limits) from None
    except (UnidentifiedImageError, *MALFORMED):
        raise Refused("this is not a PNG or JPEG image", code="serving.not_an_image", status=422) from None
    width, height = image.size
    if width * height > limits.pixels:
        raise _too_many_pixels(f"{width} x {height}", limits)
    try:
        image.load()
        plain = _eight_bits(image)
    except MALFORMED:
        raise truncated() from None
    turn = TURNS.get(stripped.orientation)
    return plain if turn is None else plain.transpose(turn)


def _too_many_pixels(what: str, limits: Limits) -> Refused:
    return Refused(
        f"the image has {what} pixels; the limit is {limits.pixels}",
        code="serving.too_many_pixels",
        status=413,
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """The same picture in one of four modes, so that a release's preprocessing knows what it gets."""
    if image.mode.startswith("I"):
        return _sixteen_bits(image)
    if "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _sixteen_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion clips 16-bit grays at 255 instead of scaling them."""
    wide = np.asarray(image)
    gray = Image.fromarray((wide >> 8).astype(np.uint8))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return gray
    return Image.merge("LA", (gray, Image.fromarray(np.where(wide == clear, 0, 255).astype(np.uint8))))
