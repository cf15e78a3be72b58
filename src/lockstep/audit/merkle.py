"""The tree over the records: RFC 6962 (SHA-256, 0x00 before a leaf, 0x01 before two nodes), kept in tiles.

A tile at level L holds up to 256 hashes; entry i of tile N is the hash of the complete subtree over the
2**(8 L) leaves that start at (256 N + i) * 2**(8 L). Whatever a tile says is checked against a root that
was signed: nothing read here is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from lockstep.audit.layout import TILE_HEIGHT, TILE_WIDTH, tile_key
from lockstep.errors import IntegrityError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

ReadTile = Callable[[str], bytes]


def _edge(size: int, level: int) -> int:
    """The index of a level's last tile."""
    return ((size >> (TILE_HEIGHT * level)) - 1) // TILE_WIDTH


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtree(hashes: Sequence[bytes]) -> bytes:
    """The root over hashes that are already leaf or node hashes (RFC 6962 section 2.1)."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


class Tiles:
    """The tree of `size` records as its tiles tell it. `read` gives the bytes under a tile key."""

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size = size
        self._read = read
        self._seen: dict[tuple[int, int], list[bytes]] = {}

    def grown(self, size: int, tiles: Mapping[tuple[int, int], list[bytes]]) -> Tiles:
        """The tiles of a larger tree, given those that changed: its right edge need not be read again."""
        larger = Tiles(size, self._read)
        known = {**self._seen, **tiles}
        larger._seen = {place: hashes for place, hashes in known.items() if place[1] == _edge(size, place[0])}
        return larger

    def hashes(self, level: int, index: int) -> list[bytes]:
        """The hashes in a tile: all 256, or as many as a tree of this size has there."""
        if (level, index) not in self._seen:
            entries = self.size >> (TILE_HEIGHT * level)
            width = min(TILE_WIDTH, entries - index * TILE_WIDTH)
            key = tile_key(level, index, width)
            data = self._read(key)
            if len(data) != width * HASH_BYTES:
                raise IntegrityError(
                    f"{key} has {len(data)} bytes, not {width * HASH_BYTES}",
                    code="audit.tile_wrong",
                    remedy="run `./lockstep audit verify`; the bucket was changed from outside",
                )
            parts = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
            self._seen[level, index] = parts
        return self._seen[level, index]

    def node(self, height: int, index: int) -> bytes:
        """The hash of the complete subtree over leaves index * 2**height and on, 2**height of them."""
        level, inside = divmod(height, TILE_HEIGHT)
        first = index << inside
        tile, offset = divmod(first, TILE_WIDTH)
        return subtree(self.hashes(level, tile)[offset : offset + (1 << inside)])

    def range(self, start: int, end: int) -> bytes:
        """The RFC 6962 hash over the leaves start..end-1 of a subtree of the tree."""
        count = end - start
        if count == 0:
            return EMPTY_ROOT
        if count & (count - 1) == 0:
            height = count.bit_length() - 1
            return self.node(height, start >> height)
        split = 1 << ((count - 1).bit_length() - 1)
        return node_hash(self.range(start, start + split), self.range(start + split, end))

    def root(self) -> bytes:
        return self.range(0, self.size)

    def roots(self, earlier: int) -> tuple[bytes, bytes]:
        """The root that the first `earlier` leaves had, and the root of all, from the very same hashes.

        Where the second is the signed one, so is the first: a consistency proof (RFC 9162 section 2.1.4)
        without its wire form.
        """
        if not 0 < earlier <= self.size:
            raise ValueError(f"a tree of {self.size} had no {earlier} leaves")
        return self._both(0, self.size, earlier)

    def _both(self, start: int, end: int, earlier: int) -> tuple[bytes, bytes]:
        if earlier >= end:
            whole = self.range(start, end)
            return whole, whole
        split = start + (1 << ((end - start - 1).bit_length() - 1))
        if earlier <= split:
            before, left = self._both(start, split, earlier)
            return before, node_hash(left, self.range(split, end))
        left = self.range(start, split)
        before, right = self._both(split, end, earlier)
        return node_hash(left, before), node_hash(left, right)

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of a leaf, from its sibling up (RFC 6962 section 2.1.1)."""
        path: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            split = 1 << ((end - start - 1).bit_length() - 1)
            if index < start + split:
                path.append(self.range(start + split, end))
                end = start + split
            else:
                path.append(self.range(start, start + split))
                start += split
        return path[::-1]


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf hash and its audit path lead to; None if the path does not fit.

    RFC 9162 section 2.1.3.2.
    """
    if index >= size:
        return None
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None
