"""PNG files that Pillow would not write."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels and holds none of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def chunk_bomb(size: int) -> bytes:
    """A good small PNG with a compressed text of `size` zeros in it."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, format="PNG")
    png = buffer.getvalue()
    after_header = len(SIGNATURE) + 25
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"\0" * size))
    return png[:after_header] + text + png[after_header:]
