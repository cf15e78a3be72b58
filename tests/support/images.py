"""PNG and JPEG files that Pillow would not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
AFTER_HEADER = len(SIGNATURE) + 25
MIB = 1024 * 1024

# How to store a picture so that its EXIF orientation puts it upright again.
STORED_AS: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker: int, data: bytes) -> bytes:
    """One JPEG segment; its length field counts itself."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels and holds none of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with these chunks right after its header."""
    return png[:AFTER_HEADER] + b"".join(chunks) + png[AFTER_HEADER:]


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with these segments right after its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def zeros(size: int) -> bytes:
    """A zlib stream that unfolds to so many bytes."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


def exif_bomb(entries: int, size: int) -> bytes:
    """A TIFF block whose every entry claims the same `size` bytes: a reader that keeps them all dies."""
    table = b"".join(struct.pack("<HHII", tag, 7, size, 8) for tag in range(entries))
    return b"II*\0" + struct.pack("<IH", 8, entries) + table + b"\0\0\0\0" + bytes(size)


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return Image.fromarray(levels)
