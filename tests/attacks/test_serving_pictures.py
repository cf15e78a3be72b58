"""Hostile and unusual pictures against the decoder and the digits preprocessing, in this process.

Either the digit that is on the picture, or a refusal with a code; never another exception. The pictures go
through HTTP in test_serving_attacks.py.
"""

from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from lockstep.serving.images import decode
from lockstep.serving.limits import LIMITS
from lockstep.serving.refusal import Refused
from models.digits.preprocess import from_image
from tests.support.images import (
    MIB,
    STORED_AS,
    chunk,
    encoded,
    exif_bomb,
    noise,
    oriented,
    png_header,
    segment,
    with_chunks,
    with_segments,
    zeros,
)
from tests.support.pictures import PICTURES
from tests.support.serving import classify, picture

PNG, JPEG = picture(3), picture(3, format="JPEG")


def answer(data: bytes) -> str:
    """The digit that a service would answer, or the code of its refusal."""
    try:
        return classify(from_image(decode(data)))
    except Refused as refused:
        assert 400 <= refused.status < 500
        assert "/" not in refused.message and ".py" not in refused.message
        return refused.code


def peak(data: bytes) -> tuple[str, int]:
    """The answer, and the bytes that Python had to allocate for it at most."""
    tracemalloc.start()
    try:
        return answer(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_picture_shows_its_digit(name: str) -> None:
    number, data = PICTURES[name]
    assert answer(data) == str(number)


@pytest.mark.parametrize("name", PICTURES)
def test_cut_at_each_byte_it_is_refused_or_still_right(name: str) -> None:
    number, data = PICTURES[name]
    right = {str(number), "serving.truncated", "serving.not_an_image", "serving.empty"}
    found = {answer(data[:length]) for length in range(len(data))}
    assert found <= right, found - right
    assert "serving.truncated" in found


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_each_exif_orientation_shows_the_digit(orientation: int, format: str) -> None:
    upright = Image.open(io.BytesIO(picture(7)))
    stored = encoded(STORED_AS[orientation](upright), format, exif=oriented(orientation))
    assert answer(stored) == "7"
    assert np.array_equal(np.asarray(decode(stored)).shape, np.asarray(upright).shape)


BOMBS = {
    "zTXt": (with_chunks(PNG, chunk(b"zTXt", b"c\0\0" + zeros(512 * MIB))), "3"),
    "iTXt": (with_chunks(PNG, chunk(b"iTXt", b"c\0\1\0\0\0" + zeros(512 * MIB))), "3"),
    "iCCP": (with_chunks(PNG, chunk(b"iCCP", b"c\0\0" + zeros(512 * MIB))), "3"),
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


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_unfold(name: str) -> None:
    """A picture with something in it that grows when read: the digit or a refusal, in little memory."""
    data, expected = BOMBS[name]
    found, memory = peak(data)
    assert found == expected
    assert memory < 2 * len(data) + 40 * MIB


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


@pytest.mark.parametrize(("name", "data"), list(foreign()), ids=lambda value: str(value)[:12])
def test_other_formats_are_refused_by_their_first_bytes(name: str, data: bytes) -> None:
    found, memory = peak(data)
    assert found == "serving.not_an_image" and memory < MIB


def test_a_transparency_of_any_size_is_decoded_or_refused() -> None:
    """Pillow takes any length for tRNS and fails later, when colours are converted."""
    for mode in ("1", "L", "P", "RGB", "RGBA", "I;16"):
        wide = np.asarray(noise(8, 8)).astype(np.uint16) * 256
        plain = encoded(Image.fromarray(wide) if mode == "I;16" else noise(8, 8).convert(mode))
        place = plain.index(b"IDAT") - 4
        for size in (0, 1, 2, 3, 5, 6, 256, 257, 5000):
            found = answer(plain[:place] + chunk(b"tRNS", bytes(size)) + plain[place:])
            assert found in {*"0123456789", "serving.not_an_image", "serving.truncated"}, (mode, size)


def test_the_largest_pictures_cost_no_more_than_the_bound_says() -> None:
    """numpy's share of it: a 16-bit picture once took 8 bytes a pixel for each of three copies."""
    side = 4000
    assert side * side == LIMITS.pixels
    _, memory = peak(encoded(Image.fromarray(np.full((side, side), 40_000, dtype=np.uint16))))
    assert memory < 8 * LIMITS.pixels
