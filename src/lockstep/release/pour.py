"""Bytes on their way to a file: hashed while they are written, and on disk at the end.

One thread reads and writes, a second hashes, a third has the disk write already what is there; so the whole
takes as long as the slowest of the three, where copy, hash and sync one after another take the sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

MIB = 1 << 20
PIECE = MIB
AHEAD = 16 * MIB
SYNC_EVERY = 32 * MIB


def pieces(file: BinaryIO, start: int = 0) -> Iterator[bytes]:
    """A file's bytes from an offset on. The disk is asked for what comes next before it is needed."""
    file.seek(start)
    at = asked = start
    while True:
        if at + AHEAD > asked:
            os.posix_fadvise(file.fileno(), asked, 2 * AHEAD, os.POSIX_FADV_WILLNEED)
            asked += 2 * AHEAD
        piece = file.read(PIECE)
        if not piece:
            return
        at += len(piece)
        yield piece


def pour(source: Iterable[bytes], file: BinaryIO, found: Any) -> int:
    """Append all pieces to a file, read-only and synced at the end; how many bytes.

    found: a hash object, which has hashed them all when this returns.
    """
    size, unsynced = 0, 0
    hashing: Future[None] | None = None
    syncing: Future[None] | None = None
    with ThreadPoolExecutor(2) as pool:
        for piece in source:
            if hashing is not None:
                hashing.result()
            hashing = pool.submit(found.update, piece)
            file.write(piece)
            size += len(piece)
            unsynced += len(piece)
            if unsynced >= SYNC_EVERY and (syncing is None or syncing.done()):
                if syncing is not None:
                    syncing.result()
                file.flush()
                syncing, unsynced = pool.submit(os.fdatasync, file.fileno()), 0
        for running in (hashing, syncing):
            if running is not None:
                running.result()
    os.fchmod(file.fileno(), 0o444)
    file.flush()
    os.fsync(file.fileno())
    return size
