"""Whatever arrives is decoded or refused by name: no other exception leaves the decoder."""

from __future__ import annotations

import functools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.images import FORMATS, decode
from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused
from tests.support.serving import picture

LIMITS = Limits(pixels=100_000)


@functools.cache
def good(format: str) -> bytes:
    return picture(3, format=format, scale=2)


def survives(data: bytes) -> None:
    try:
        image = decode(data, LIMITS)
    except Refused as refused:
        assert refused.code.startswith("serving.") and 400 <= refused.status < 500
    else:
        assert image.mode in ("L", "LA", "RGB", "RGBA")
        assert image.width * image.height <= LIMITS.pixels
        assert np.asarray(image).dtype == np.uint8


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    survives(data)


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_any_bytes_after_a_good_signature(format: str, tail: bytes) -> None:
    survives(good(format)[:32] + tail)


@given(st.sampled_from(FORMATS), st.data())
def test_changed_bytes(format: str, data: st.DataObject) -> None:
    image = bytearray(good(format))
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(image))


@given(st.sampled_from(FORMATS), st.data())
def test_cut_bytes(format: str, data: st.DataObject) -> None:
    image = good(format)
    survives(image[: data.draw(st.integers(0, len(image)))])
