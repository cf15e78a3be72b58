"""The tree recomputed from the records alone, in one pass. Shares no code with the writer's `merkle`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from lockstep.audit.layout import TILE_WIDTH, tile_key


def leaf(data: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def digests(chunks: Iterable[bytes]) -> tuple[bytes, str]:
    """The leaf hash of an object and its digest `sha256:...`, without holding all of it."""
    hashed, plain = hashlib.sha256(b"\x00"), hashlib.sha256()
    for data in chunks:
        hashed.update(data)
        plain.update(data)
    return hashed.digest(), f"sha256:{plain.hexdigest()}"


class Recomputed:
    """Grows one leaf at a time and knows its root after each, and every tile that was ever right.

    Complete subtrees from left to right are kept as peaks; the root folds them from the right.
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []
        self._levels: list[list[bytes]] = []

    def add(self, leaf_hash: bytes) -> list[tuple[str, bytes]]:
        """Add a leaf hash; returns the tiles (key, bytes) that a log of the new size has gained."""
        self.size += 1
        self._peaks.append((1, leaf_hash))
        while len(self._peaks) > 1 and self._peaks[-1][0] == self._peaks[-2][0]:
            count, right = self._peaks.pop()
            _, left = self._peaks.pop()
            self._peaks.append((2 * count, hashlib.sha256(b"\x01" + left + right).digest()))
        gained = []
        level, span = 0, 1
        while self.size % span == 0:
            entry = leaf_hash if level == 0 else self._over(self._levels[level - 1][-TILE_WIDTH:])
            gained.append(self._enter(level, entry))
            level, span = level + 1, span * TILE_WIDTH
        return gained

    @staticmethod
    def _over(hashes: list[bytes]) -> bytes:
        """The hash over one full tile."""
        while len(hashes) > 1:
            pairs = zip(hashes[::2], hashes[1::2], strict=True)
            hashes = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        return hashes[0]

    def _enter(self, level: int, entry: bytes) -> tuple[str, bytes]:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(entry)
        index = (len(hashes) - 1) // TILE_WIDTH
        part = hashes[index * TILE_WIDTH :]
        return tile_key(level, index, len(part)), b"".join(part)

    def root(self) -> bytes:
        """The Merkle tree hash of everything added so far."""
        return self._fold([peak for _, peak in self._peaks])

    def root_with(self, leaf_hash: bytes) -> bytes:
        """The root that one more leaf would give."""
        return self._fold([*(peak for _, peak in self._peaks), leaf_hash])

    @staticmethod
    def _fold(peaks: list[bytes]) -> bytes:
        if not peaks:
            return hashlib.sha256(b"").digest()
        found = peaks[-1]
        for peak in reversed(peaks[:-1]):
            found = hashlib.sha256(b"\x01" + peak + found).digest()
        return found
