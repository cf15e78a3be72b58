"""Pictures with something in them that grows when read, and what a service must answer to each."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from tests.support.images import (
    MIB,
    chunk,
    encoded,
    exif_bomb,
    png_header,
    segment,
    with_chunks,
    with_segments,
    zeros,
)
from tests.support.serving import picture

PNG, JPEG = picture(3), picture(3, format="JPEG")

BOMBS = {
    "zTXt": (with_chunks(PNG, chunk(b"zTXt", b"c\0\0" + zeros(100 * MIB))), "3"),
    "iTXt": (with_chunks(PNG, chunk(b"iTXt", b"c\0\1\0\0\0" + zeros(100 * MIB))), "3"),
    "iCCP": (with_chunks(PNG, chunk(b"iCCP", b"c\0\0" + zeros(100 * MIB))), "3"),
    "a hundred zTXt": (with_chunks(PNG, *[chunk(b"zTXt", b"c\0\0" + zeros(MIB))] * 100), "3"),
    "eXIf": (with_chunks(PNG, chunk(b"eXIf", exif_bomb(65_535, 8 * MIB))), "3"),
    "animation": (with_chunks(PNG, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))), "3"),
    "private chunks": (with_chunks(PNG, *[chunk(b"zzZz", b"")] * 800_000), "serving.too_many_parts"),
    "empty pixels": (with_chunks(PNG, *[chunk(b"IDAT", b"")] * 800_000), "serving.too_many_parts"),
    "pixels of another": (png_header(4000, 4000), "serving.truncated"),
    "Exif segment": (with_segments(JPEG, segment(0xE1, b"Exif\0\0" + exif_bomb(4000, 10_000))), "3"),
    "Exif segments": (with_segments(JPEG, *[segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 150), "3"),
    "comments": (with_segments(JPEG, *[segment(0xFE, b"")] * 2_500_000), "serving.too_many_parts"),
    "fill bytes": (with_segments(JPEG, b"\xff" * 10 * MIB), "3"),
    "junk": (JPEG[:20] + bytes(10 * MIB) + JPEG[20:], "3"),
    "escaped junk": (with_segments(JPEG, b"\xff\0" * 5 * MIB), "3"),
    "restarts": (with_segments(JPEG, b"\xff\xd0" * 5 * MIB), "serving.too_many_parts"),
    "scans": (picture(3, format="JPEG", progressive=True) * 200, "serving.too_many_parts"),
}


def foreign() -> Iterator[tuple[str, bytes]]:
    """Formats that are not served, each as a bomb: refused by their first bytes, whatever follows."""
    frame = Image.new("L", (16, 16))
    yield "GIF", encoded(frame, "GIF", save_all=True, append_images=[Image.new("L", (16, 16), 9)] * 50)
    yield "GIF canvas", b"GIF89a\xff\xff\xff\xff\0\0\0" + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x08\x01" * 1000
    yield "TIFF", encoded(frame, "TIFF")
    strip = struct.pack("<HHII", 0x0111, 4, 2**31, 8) + struct.pack("<HHII", 0x0117, 4, 2**31, 8)
    yield "TIFF strips", b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + strip + bytes(4)
    yield "TIFF loop", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "TIFF tags", exif_bomb(65_535, 1000)
    yield "WEBP", encoded(frame, "WEBP")
    yield "BMP", encoded(frame, "BMP")
    yield "ICO", encoded(frame, "ICO")
    yield "EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n/x (%pipe%id) (r) file def\n"
    yield "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "PDF", b"%PDF-1.7\n"


FOREIGN = dict(foreign())
