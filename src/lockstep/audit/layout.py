"""Key names in the audit bucket, and their limits. One number has exactly one name.

record/<ten digits>         one signed record, from 0
head/<ten digits>           the signed head of a log of that size, from 1
tile/<level>/<nnn>[.p/<w>]  256 hashes (or the first w) of a level, https://c2sp.org/tlog-tiles
"""

from __future__ import annotations

import re

DIGITS = 10
MAX_SIZE = 10**DIGITS - 1
RECORD_PREFIX = "record/"
HEAD_PREFIX = "head/"
TILE_PREFIX = "tile/"
MAX_RECORD_BYTES = 64 * 1024
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT

_NUMBERED = re.compile(r"(record|head)/([0-9]{10})")
_TILE = re.compile(r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def record_key(index: int) -> str:
    return f"{RECORD_PREFIX}{index:0{DIGITS}d}"


def head_key(size: int) -> str:
    return f"{HEAD_PREFIX}{size:0{DIGITS}d}"


def number_of(key: str) -> int | None:
    """The number in a record or head key; None when the key is not the one name of a number."""
    match = _NUMBERED.fullmatch(key)
    return int(match.group(2)) if match else None


def tile_key(level: int, index: int, width: int) -> str:
    """The key of tile `index` at `level`; `width` is 1..256, below 256 for a partial tile."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    path = f"{TILE_PREFIX}{level}/{'/'.join(reversed(groups))}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def tile_of(key: str) -> tuple[int, int, int] | None:
    """(level, index, width) of a tile key; None when it is not the one name of a tile."""
    match = _TILE.fullmatch(key)
    if match is None:
        return None
    index = int(match.group(2).replace("/", "").replace("x", ""))
    found = int(match.group(1)), index, int(match.group(3) or TILE_WIDTH)
    return found if found[2] <= TILE_WIDTH and tile_key(*found) == key else None


def tiles_of(size: int) -> list[tuple[int, int, int]]:
    """The (level, index, width) of the right edge: what an append that reached `size` has to write.

    A level's last tile changes only when an entry was added to it.
    """
    return tiles_between(size - 1, size)


def tiles_between(before: int, size: int) -> list[tuple[int, int, int]]:
    """The tiles that a log gained when it grew from one size to another at once: those that became full,
    and of each level that gained entries the new right edge. Partial tiles in between are never written."""
    found = []
    level = 0
    while entries := size >> (TILE_HEIGHT * level):
        had = before >> (TILE_HEIGHT * level)
        if entries > had:
            last = (entries - 1) // TILE_WIDTH
            found += [(level, index, TILE_WIDTH) for index in range(had // TILE_WIDTH, last)]
            found.append((level, last, (entries - 1) % TILE_WIDTH + 1))
        level += 1
    return found


def size_with(key: str) -> int | None:
    """The smallest size of a log that has this object; None for a key that is none of a log."""
    if key.startswith(TILE_PREFIX):
        tile = tile_of(key)
        return None if tile is None else (tile[1] * TILE_WIDTH + tile[2]) << (TILE_HEIGHT * tile[0])
    number = number_of(key)
    if number is None:
        return None
    return number if key.startswith(HEAD_PREFIX) else number + 1
