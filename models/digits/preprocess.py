"""From any image to what the network takes: the same code in training and in serving.

    (1) the picture stands upright (EXIF), transparent parts become white paper, colours become gray;
    (2) it is shrunk or grown to fit 8 x 8 pixels by averaging areas, its proportions kept, and centred;
        what it does not cover has the colour of its border;
    (3) a bright border means dark ink on paper, so the picture is inverted: ink is bright, as in training;
    (4) contrast is stretched so that paper is 0 and the strongest ink is 1, unless it is nearly blank.

numpy and Pillow only. How large an uploaded image may be is the service's business, not this module's.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels: TypeAlias = NDArray[np.float32]

SIZE = 8
BRIGHT = 127  # of 255: a border brighter than this is paper
BLANK = 16 / 255  # a contrast below this is paper, not ink: stretching it would make noise look like ink


def from_image(image: Image.Image) -> Pixels:
    """A picture of one digit -> float32 [1, 8, 8] (channel, row, column), ink 1.0 and paper 0.0."""
    gray = _gray(image)
    paper = round(float(np.median(_border(np.asarray(gray)))))
    pixels = np.asarray(_fit(gray, paper), dtype=np.float32) / np.float32(255)
    if paper > BRIGHT:
        pixels = np.float32(1) - pixels
    low, high = pixels.min(), pixels.max()
    if high - low >= BLANK:
        pixels = (pixels - low) / (high - low)
    return np.ascontiguousarray(pixels[np.newaxis], dtype=np.float32)


def from_rows(rows: object) -> Pixels:
    """8 rows of 8 numbers in 0..1, as from_image makes them -> float32 [1, 8, 8].

    Raises ValueError for another shape, for what is no number, and for numbers outside 0..1.
    """
    try:
        pixels = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"an instance is {SIZE} rows of {SIZE} numbers") from None
    if pixels.shape != (SIZE, SIZE):
        raise ValueError(f"an instance is {SIZE} rows of {SIZE} numbers, not {pixels.shape}")
    if not bool(np.all((pixels >= 0) & (pixels <= 1))):  # NaN fails both
        raise ValueError("the numbers of an instance lie between 0 and 1")
    return np.ascontiguousarray(pixels[np.newaxis])


def _gray(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):  # Pillow would clip these at 255
        values = np.nan_to_num(np.asarray(upright, dtype=np.float64))
        low, high = values.min(), values.max()
        scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
        return Image.fromarray(scaled.round().astype(np.uint8))
    if upright.has_transparency_data:
        picture = upright.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("L")
    return upright.convert("L")


def _fit(gray: Image.Image, paper: int) -> Image.Image:
    longest = max(gray.size)
    width, height = (max(1, round(side * SIZE / longest)) for side in gray.size)
    small = gray.resize((width, height), Image.Resampling.BOX)
    if (width, height) == (SIZE, SIZE):
        return small
    square = Image.new("L", (SIZE, SIZE), paper)
    square.paste(small, ((SIZE - width) // 2, (SIZE - height) // 2))
    return square


def _border(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels at the rim of a [rows, columns] picture."""
    return np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
