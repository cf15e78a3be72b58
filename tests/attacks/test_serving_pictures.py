"""Hostile and unusual pictures against the decoder and the digits preprocessing, in this process.

Either the digit that is on the picture, or a refusal with a code; never another exception. The pictures go
through HTTP in test_serving_attacks.py.
"""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from lockstep.serving.images import decode
from lockstep.serving.limits import LIMITS
from lockstep.serving.refusal import Refused
from models.digits.preprocess import from_image
from tests.support.bombs import BOMBS, FOREIGN
from tests.support.images import MIB, STORED_AS, chunk, encoded, noise, oriented
from tests.support.pictures import PICTURES
from tests.support.serving import classify, picture


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


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_unfold(name: str) -> None:
    """A picture with something in it that grows when read: the digit or a refusal, in little memory."""
    data, expected = BOMBS[name]
    found, memory = peak(data)
    assert found == expected
    assert memory < 2 * len(data) + 40 * MIB


@pytest.mark.parametrize("name", FOREIGN)
def test_other_formats_are_refused_by_their_first_bytes(name: str) -> None:
    found, memory = peak(FOREIGN[name])
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
