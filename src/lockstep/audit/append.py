"""The writes of one append, in the order that makes a crash at any point harmless.

The record, then the tiles, then the head: a record without its head is completed by the next writer; a
head is only written over tiles and a record that are there and locked.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from datetime import datetime

from lockstep.audit import note
from lockstep.audit.bucket import Bucket, KeyTaken, LostRace
from lockstep.audit.heads import sole_version
from lockstep.audit.layout import head_key, tile_key, tiles_of
from lockstep.audit.merkle import Tiles, subtree
from lockstep.audit.note import Head, NoteKey
from lockstep.errors import IntegrityError, Unavailable


def put_record(bucket: Bucket, key: str, leaf: bytes, retain_until: datetime) -> None:
    """Take a place in the log. Raises LostRace when somebody else has it."""
    try:
        version = bucket.put_new(key, leaf, retain_until)
    except KeyTaken:
        raise LostRace(f"another writer took {key}") from None
    sole_version(key, [one for one in bucket.versions(key) if one.key == key])
    _check(bucket, key, version, leaf, retain_until)


def ensure_locked(bucket: Bucket, key: str, data: bytes, retain_until: datetime) -> None:
    """Lock an object that a writer left before its lock was stored (versitygw publishes first)."""
    found = bucket.head(key)
    version = found.version_id if found else "null"
    if found is not None and found.locked_until() is None:
        # Another completer may have locked it for longer in between; what counts is checked below.
        with contextlib.suppress(Unavailable):
            bucket.lock(key, version, retain_until)
    _check(bucket, key, version, data, None)


def _check(bucket: Bucket, key: str, version: str, data: bytes, retain_until: datetime | None) -> None:
    """What lies there is what was sent, and nobody can delete it before its time."""
    found = bucket.head(key, version)
    stored = found is not None and found.size == len(data)
    if found is not None and found.sha256 is not None:
        stored = stored and found.sha256 == hashlib.sha256(data).hexdigest()
    until = found.locked_until() if found else None
    if not stored or until is None or (retain_until is not None and until < retain_until):
        raise IntegrityError(
            f"the bucket took {key} but does not hold it as it was sent (locked until {until or 'never'})",
            code="audit.unlocked",
            remedy="is object lock enabled on the bucket? run `./lockstep audit verify`",
        )


def _put_same(bucket: Bucket, key: str, data: bytes, retain_until: datetime, code: str) -> None:
    """Write an object whose bytes follow from the log; one that is there must have exactly these bytes."""
    try:
        version = bucket.put_new(key, data, retain_until)
    except KeyTaken:
        if bucket.head(key) is None or bucket.get(key) != data:
            raise IntegrityError(
                f"{key} is there with other bytes than the log yields",
                code=code,
                remedy="run `./lockstep audit verify`; the bucket was changed from outside",
            ) from None
        ensure_locked(bucket, key, data, retain_until)
        return
    _check(bucket, key, version, data, retain_until)


def put_tiles(bucket: Bucket, tiles: Tiles, head: Head, leaf: bytes, retain_until: datetime) -> bytes:
    """Write the tiles that one more leaf hash changes; returns the new root.

    `tiles` are those of `head`: their root is checked against it first, so that nothing is built on tiles
    that somebody has changed.
    """
    if tiles.root().hex() != head.root:
        raise IntegrityError(
            f"the tiles of the head {head.size} do not give its root",
            code="audit.tile_wrong",
            remedy="run `./lockstep audit verify` to see which tile was changed",
        )
    grown: dict[str, bytes] = {}
    entry = leaf
    for level, index, width in tiles_of(head.size + 1):
        hashes = [*(tiles.hashes(level, index) if width > 1 else []), entry]
        grown[tile_key(level, index, width)] = b"".join(hashes)
        entry = subtree(hashes)
    for key, data in grown.items():
        _put_same(bucket, key, data, retain_until, "audit.tile_wrong")
    return Tiles(head.size + 1, lambda key: grown[key] if key in grown else bucket.get(key)).root()


def put_head(
    bucket: Bucket,
    size: int,
    root: bytes,
    key: NoteKey,
    sign_bytes: Callable[[bytes], bytes],
    retain_until: datetime,
) -> Head:
    """Publish the head that covers the record. Ed25519 is deterministic: a second writer writes the same."""
    data = note.sign(key.name, size, root, key, sign_bytes)
    _put_same(bucket, head_key(size), data, retain_until, "audit.head_inconsistent")
    return Head(key.name, size, root.hex(), data)
