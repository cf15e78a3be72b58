"""Twenty small pictures of digits, each stored in another way, all of which must be read right."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.support.images import STORED_AS, chunk, encoded, oriented, with_chunks
from tests.support.serving import picture


def _scan(number: int, scale: int = 3) -> Image.Image:
    return Image.open(io.BytesIO(picture(number, scale=scale)))


def _sixteen(number: int) -> bytes:
    return encoded(Image.fromarray(np.asarray(_scan(number)).astype(np.uint16) * 257))


def _on_glass(number: int) -> Image.Image:
    """Ink on nothing: the ink's strength is its alpha."""
    ink = _scan(number)
    return Image.merge("LA", (Image.new("L", ink.size, 0), ink))


def _clear_palette(number: int) -> bytes:
    """White ink whose paper is a transparent entry of the palette would vanish; this is black on clear."""
    ink = np.asarray(_scan(number)) > 100
    image = Image.fromarray(ink.astype(np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 0, 0])
    return encoded(image, transparency=0)


def _animated(number: int) -> bytes:
    return encoded(_scan(number), save_all=True, append_images=[_scan((number + 1) % 10)])


def _interlaced(number: int) -> bytes:
    """Adam7, which Pillow reads but does not write: the seven passes of an 8 x 8 gray picture, filter 0."""
    import struct
    import zlib

    levels = np.asarray(_scan(number, scale=1))
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    lines = [
        b"\0" + line.tobytes()
        for top, left, down, across in passes
        for line in levels[top::down, left::across]
    ]
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"".join(lines))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PICTURES: dict[str, tuple[int, bytes]] = {
    "png gray": (0, encoded(_scan(0))),
    "png colour": (1, encoded(_scan(1).convert("RGB"))),
    "png alpha": (2, encoded(_on_glass(2))),
    "png colour alpha": (3, encoded(_on_glass(3).convert("RGBA"))),
    "png palette": (4, encoded(_scan(4).convert("P"))),
    "png clear palette": (0, _clear_palette(0)),
    "png one bit": (6, encoded(_scan(6).point(lambda level: 255 * (level > 110)).convert("1"))),
    "png sixteen bits": (7, _sixteen(7)),
    "png interlaced": (8, _interlaced(8)),
    "png animated": (9, _animated(9)),
    "png turned": (7, encoded(STORED_AS[6](_scan(7)), exif=oriented(6))),
    "png with a text": (5, with_chunks(encoded(_scan(5)), chunk(b"tEXt", b"Comment\0five"))),
    "jpeg gray": (0, encoded(_scan(0), "JPEG")),
    "jpeg colour": (1, encoded(_scan(1).convert("RGB"), "JPEG")),
    "jpeg CMYK": (2, encoded(_scan(2).convert("CMYK"), "JPEG")),
    "jpeg progressive": (3, encoded(_scan(3).convert("RGB"), "JPEG", progressive=True)),
    "jpeg optimised": (4, encoded(_scan(4), "JPEG", optimize=True, quality=95)),
    "jpeg subsampled": (5, encoded(_scan(5).convert("RGB"), "JPEG", subsampling=2)),
    "jpeg turned": (7, encoded(STORED_AS[3](_scan(7)), "JPEG", exif=oriented(3))),
    "jpeg with restarts": (6, encoded(_scan(6), "JPEG", restart_marker_blocks=1, comment=b"six")),
}
