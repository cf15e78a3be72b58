"""The writes of one append, in the order that makes a crash at any point harmless.

The records, then the tiles, then the head: records without their head are completed by the next writer; a
head is only written over tiles and records that are there and locked.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime

from lockstep.audit import note
from lockstep.audit.bucket import Bucket, KeyTaken, LostRace, ObjectHead
from lockstep.audit.layout import TILE_HEIGHT, TILE_WIDTH, head_key, size_with, tile_key
from lockstep.audit.merkle import Tiles, subtree
from lockstep.audit.note import Head, NoteKey
from lockstep.errors import IntegrityError, Unavailable


def put_record(bucket: Bucket, key: str, leaf: bytes, retain_until: datetime) -> None:
    """Take a place in the log. Raises LostRace when somebody else has it."""
    try:
        version = bucket.put_new(key, leaf, retain_until)
    except KeyTaken:
        raise LostRace(f"another writer took {key}") from None
    _check(bucket, key, version, leaf, retain_until)


def ensure_locked(bucket: Bucket, key: str, data: bytes, retain_until: datetime) -> None:
    """Lock an object that a writer left before its lock was stored (versitygw publishes first)."""
    found = bucket.head(key)
    if found is not None and found.locked_until() is None:
        found = _lock(bucket, key, found.version_id, retain_until)
    _compare(key, found, None if found is None else found.version_id, data, None)


def lock_until(bucket: Bucket, key: str, data: bytes, retain_until: datetime) -> None:
    """Lock what a dead writer left, for at least as long as everything that is written now."""
    found = bucket.head(key)
    until = found.locked_until() if found else None
    if found is not None and (until is None or until < retain_until):
        found = _lock(bucket, key, found.version_id, retain_until)
    _compare(key, found, None if found is None else found.version_id, data, None)


def _lock(bucket: Bucket, key: str, version_id: str, retain_until: datetime) -> ObjectHead | None:
    # Another completer may have locked it for longer in between; what counts is what is found then.
    with contextlib.suppress(Unavailable):
        bucket.lock(key, version_id, retain_until)
    return bucket.head(key)


def _check(bucket: Bucket, key: str, version: str, data: bytes, retain_until: datetime) -> None:
    """The key shows what was sent, as the version that was sent, and nobody can delete it before its time."""
    _compare(key, bucket.head(key), version, data, retain_until)


def _compare(
    key: str, found: ObjectHead | None, version: str | None, data: bytes, retain_until: datetime | None
) -> None:
    stored = found is not None and found.size == len(data) and found.version_id == version
    if found is not None and found.sha256 is not None:
        stored = stored and found.sha256 == hashlib.sha256(data).hexdigest()
    until = found.locked_until() if found else None
    if not stored or until is None or (retain_until is not None and until < retain_until):
        raise IntegrityError(
            f"the bucket took {key} but does not show it as it was sent (locked until {until or 'never'})",
            code="audit.unlocked",
            remedy="is object lock enabled on the bucket? run `./lockstep audit verify`",
        )


def _put_same(
    bucket: Bucket, key: str, data: bytes, retain_until: datetime, code: str, *, over: bool
) -> None:
    """Write an object whose bytes follow from the log; one that is there must have exactly these bytes.

    over: a person has said that what lies there is not the log's and is to be gone over.
    """
    try:
        version = bucket.put_new(key, data, retain_until)
    except KeyTaken:
        if bucket.head(key) is None or not _holds(bucket, key, data):
            if over and bucket.head(key) is not None:
                _check(bucket, key, bucket.put_over(key, data, retain_until), data, retain_until)
                return
            place = (size_with(key) or 1) - 1
            raise IntegrityError(
                f"{key} is there with other bytes than the log yields: somebody else wrote it",
                code=code,
                remedy=f'./lockstep audit void {place} --reason "who wrote it, if you know"',
            ) from None
        ensure_locked(bucket, key, data, retain_until)
        return
    _check(bucket, key, version, data, retain_until)


def _holds(bucket: Bucket, key: str, data: bytes) -> bool:
    found = bucket.head(key)
    return found is not None and found.size == len(data) and bucket.get(key) == data


def grow(
    bucket: Bucket,
    tiles: Tiles,
    head: Head,
    leaves: Sequence[bytes],
    retain_until: datetime,
    *,
    over: bool = False,
) -> Tiles:
    """Write the tiles that these further leaf hashes change; returns the tiles of the grown log.

    `tiles` are those of `head`: their root is checked against it first, so that nothing is built on tiles
    that somebody has changed. The full tiles come before the right edge, so that a crash leaves no gap.
    """
    if tiles.root().hex() != head.root:
        raise IntegrityError(
            f"the tiles of the head {head.size} do not give its root",
            code="audit.tile_wrong",
            remedy="run `./lockstep audit verify` to see which tile was changed",
        )
    grown: dict[tuple[int, int], list[bytes]] = {}
    gained, level = list(leaves), 0
    while gained:
        first, inside = divmod(head.size >> (TILE_HEIGHT * level), TILE_WIDTH)
        row = [*(tiles.hashes(level, first) if inside else []), *gained]
        parts = [row[start : start + TILE_WIDTH] for start in range(0, len(row), TILE_WIDTH)]
        grown |= {(level, first + place): part for place, part in enumerate(parts)}
        gained = [subtree(part) for part in parts if len(part) == TILE_WIDTH]
        level += 1
    for (level, index), hashes in grown.items():
        key = tile_key(level, index, len(hashes))
        _put_same(bucket, key, b"".join(hashes), retain_until, "audit.tile_wrong", over=over)
    return tiles.grown(head.size + len(leaves), grown)


def put_head(
    bucket: Bucket,
    size: int,
    root: bytes,
    key: NoteKey,
    sign_bytes: Callable[[bytes], bytes],
    retain_until: datetime,
    *,
    over: bool = False,
) -> Head:
    """Publish the head that covers the record. Ed25519 is deterministic: a second writer writes the same."""
    data = note.sign(key.name, size, root, key, sign_bytes)
    _put_same(bucket, head_key(size), data, retain_until, "audit.head_inconsistent", over=over)
    return Head(key.name, size, root.hex(), data)
