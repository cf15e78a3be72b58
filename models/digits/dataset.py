"""The images: scikit-learn's bundled handwritten digits, 1,797 scans of 8 x 8 pixels with 17 gray levels.

An image's side of the split depends on nothing but its own bytes, so identical images are on the same
side whatever their number and order, and an added image never moves another. Images travel as PNG.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from models.digits import preprocess

Side: TypeAlias = Literal["train", "test"]
LEVELS = 16
HELD_OUT = 5  # one image in so many is held out
ENLARGED = 16  # pixels a side of one source pixel in held_out_png


@dataclass(frozen=True)
class Sample:
    """One scan. levels: its 64 gray levels 0..16, rows first; sha256: hex digest of those 64 bytes."""

    levels: bytes
    label: str
    sha256: str

    @property
    def side(self) -> Side:
        return side_of(self.sha256)

    def image(self, enlarged: int = 1) -> Image.Image:
        """The scan as a gray picture, ink bright; each source pixel `enlarged` pixels a side."""
        levels = np.frombuffer(self.levels, dtype=np.uint8).reshape(preprocess.SIZE, preprocess.SIZE)
        gray = np.round(levels * (255 / LEVELS)).astype(np.uint8)
        return Image.fromarray(np.repeat(np.repeat(gray, enlarged, axis=0), enlarged, axis=1))


def side_of(sha256: str) -> Side:
    """Which side of the split an image is on, by the hex digest of its bytes."""
    return "test" if int(sha256, 16) % HELD_OUT == 0 else "train"


@functools.cache
def samples() -> tuple[Sample, ...]:
    """Every scan, in scikit-learn's order."""
    digits: Any = load_digits()
    scans = digits.images.astype(np.uint8)
    return tuple(
        Sample(scan.tobytes(), str(int(label)), hashlib.sha256(scan.tobytes()).hexdigest())
        for scan, label in zip(scans, digits.target, strict=True)
    )


def on_side(side: Side) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples() if sample.side == side)


def inputs(chosen: Sequence[Sample]) -> preprocess.Pixels:
    """What the network sees of these samples, through the release's own preprocessing: [n, 1, 8, 8]."""
    return np.stack([preprocess.from_image(sample.image()) for sample in chosen])


def manifest() -> dict[str, Any]:
    """`dataset.json`: where the images are from, and for each its hash, label and side."""
    return {
        "source": "scikit-learn load_digits: Optical Recognition of Handwritten Digits, UCI ML repository",
        "hash": "sha256 of the 64 gray levels 0..16, rows first, one byte each",
        "split": f"test where the hash as a number is divisible by {HELD_OUT}, else train",
        "images": [
            {"label": sample.label, "sha256": sample.sha256, "split": sample.side} for sample in samples()
        ],
    }


def held_out_png(index: int) -> tuple[bytes, str]:
    """A held-out image as a PNG of 128 x 128 pixels, and its label; `index` wraps around."""
    held_out = on_side("test")
    sample = held_out[index % len(held_out)]
    buffer = io.BytesIO()
    sample.image(ENLARGED).save(buffer, format="PNG")
    return buffer.getvalue(), sample.label
