"""An image file taken apart before a decoder sees it: only what its pixels need is passed on.

A decoder's trouble is rarely the pixels. It is a text that unfolds to gigabytes, a colour profile, ten
thousand animation frames, an EXIF table whose every entry claims the whole file. None of that can change
which digit is on the picture, except the EXIF orientation, and that is read here in a few steps.

    PNG: IHDR, PLTE, tRNS and the run of IDAT stay. JPEG: all segments stay except comments and the
    application's own; of those APP0 (JFIF) and APP14 (Adobe, it says how CMYK is meant) stay.

The steps are counted: a file of a million parts is refused before it costs a second.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from lockstep.serving.limits import Limits
from lockstep.serving.refusal import Refused

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112
UPRIGHT = 1

_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a length: TEM, RST0 to RST7, SOI."""
_DROPPED = frozenset({0xFE, *range(0xE0, 0xF0)} - {0xE0, 0xEE})
_SCAN = 0xDA
_END = 0xD9


@dataclass(frozen=True)
class Lean:
    """data: the same picture without anything else in it; orientation: of EXIF, 1 (upright) to 8."""

    data: bytes
    orientation: int


def lean(data: bytes, limits: Limits) -> Lean:
    """Raises Refused: `serving.not_an_image`, `serving.truncated`, `serving.too_many_parts` (all 422)."""
    if data.startswith(PNG):
        return _png(data, limits)
    if data.startswith(JPEG):
        return _jpeg(data, limits)
    raise Refused("this is not a PNG or JPEG image", code="serving.not_an_image", status=422)


def truncated() -> Refused:
    return Refused("the image is truncated or damaged", code="serving.truncated", status=422)


def _too_many_parts(limit: int) -> Refused:
    return Refused(f"the image has over {limit} parts", code="serving.too_many_parts", status=422)


def _png(data: bytes, limits: Limits) -> Lean:
    """Only whole up to its end: a chunk cut short would take what is put behind it for its own."""
    kept: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    orientation, place = UPRIGHT, len(PNG)
    for _ in range(limits.image_parts):
        head = data[place : place + 8]
        if len(head) < 8:
            raise truncated()
        size, kind = struct.unpack(">I4s", head)
        chunk = data[place : place + 12 + size]
        place += 12 + size
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            pixels.append(chunk)
        elif kind == b"eXIf":
            orientation = exif_orientation(chunk[8:-4])
        elif kind in (b"IHDR", b"PLTE", b"tRNS") and not pixels:
            kept.setdefault(kind, chunk)
    else:
        raise _too_many_parts(limits.image_parts)
    if b"IHDR" not in kept or not pixels:
        raise truncated()
    heads = [kept[kind] for kind in (b"IHDR", b"PLTE", b"tRNS") if kind in kept]
    return Lean(b"".join([PNG, *heads, *pixels, _PNG_END]), orientation)


_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def _jpeg(data: bytes, limits: Limits) -> Lean:
    kept = [data[:2]]
    orientation, place = UPRIGHT, 2
    for _ in range(limits.image_parts):
        found = _NEXT_MARKER.search(data, place)
        if found is None or found[1][0] == _END:
            raise truncated()
        marker, start = found[1][0], found.end()
        if marker == _SCAN:
            break
        if marker in _BARE:
            place = start
            continue
        if start + 2 > len(data):
            raise truncated()
        place = start + int.from_bytes(data[start : start + 2])
        if marker not in _DROPPED:
            kept.append(b"\xff" + data[start - 1 : place])
        elif data.startswith(EXIF, start + 2):
            orientation = exif_orientation(data[start + 2 + len(EXIF) : place])
    else:
        raise _too_many_parts(limits.image_parts)
    # A scan of a few bytes costs a pass over the whole picture.
    if data.count(b"\xff\xda", start - 2) > limits.image_scans:
        raise _too_many_parts(limits.image_scans)
    return Lean(b"".join([*kept, b"\xff", memoryview(data)[start - 1 :]]), orientation)


def exif_orientation(tiff: bytes) -> int:
    """The orientation that an EXIF block states in its first table; 1 where it states none, or nonsense.

    Source: TIFF 6.0, section 2 (header, directory of 12-byte entries) and tag 0x0112 of EXIF 2.3.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (place,) = struct.unpack_from(order + "I", tiff, 4)
    if place + 2 > len(tiff):
        return UPRIGHT
    (entries,) = struct.unpack_from(order + "H", tiff, place)
    for entry in range(place + 2, min(place + 2 + entries * 12, len(tiff) - 11), 12):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if tag == ORIENTATION:
            return value if (kind, count) == (3, 1) and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
