"""Finding the newest head in a few requests, without believing where it should be."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep.audit.bucket import Bucket, Version
from lockstep.audit.layout import HEAD_PREFIX, MAX_SIZE, head_key, number_of
from lockstep.audit.note import Head, NoteKey, open_note
from lockstep.errors import IntegrityError

PAGE_KEYS = 100


def sole_version(key: str, versions: Sequence[Version]) -> Version | None:
    """The one version of a key; None for none.

    Raises IntegrityError `audit.delete_marker` and `audit.shadow_version`.
    """
    if any(version.delete_marker for version in versions):
        raise IntegrityError(
            f"{key} was hidden by a delete marker",
            code="audit.delete_marker",
            remedy="remove the marker (its version id, not the object) and run `./lockstep audit verify`",
        )
    if len(versions) > 1:
        raise IntegrityError(
            f"{key} has {len(versions)} versions; the log writes each key once",
            code="audit.shadow_version",
            remedy="someone wrote over it; the oldest version is ours: run `./lockstep audit verify`",
        )
    return versions[0] if versions else None


def newest_head(bucket: Bucket, keys: Sequence[NoteKey], origin: str, hint: int = 0) -> Head | None:
    """The largest head that verifies; None for a log without one.

    Probes for existence in doubling steps, then lists what lies beyond: the probes (and the hint) only
    say where to begin, a gap in the heads cannot hide what comes after it.
    """
    start = _probe(bucket, hint)
    listed: dict[int, list[Version]] = {}
    after = head_key(start - 1) if start > 0 else None
    while page := bucket.versions(HEAD_PREFIX, after, PAGE_KEYS):
        for version in page:
            number = number_of(version.key)
            if number is not None:
                listed.setdefault(number, []).append(version)
        after = page[-1].key
        if len({version.key for version in page}) < PAGE_KEYS:
            break
    refused: IntegrityError | None = None
    for size in sorted(listed, reverse=True):
        try:
            return _open(bucket, size, listed[size], keys, origin)
        except IntegrityError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return None


def _open(bucket: Bucket, size: int, found: list[Version], keys: Sequence[NoteKey], origin: str) -> Head:
    key = head_key(size)
    version = sole_version(key, found)
    head = open_note(bucket.get(key, version.version_id if version else None), keys, origin)
    if head.size != size:
        raise IntegrityError(
            f"{key} holds the head of size {head.size}",
            code="audit.head_inconsistent",
            remedy="heads were moved; run `./lockstep audit verify`",
        )
    return head


def _probe(bucket: Bucket, hint: int) -> int:
    """A size that has a head and whose double (or so) has none; 0 when there seems to be none."""
    low = hint if hint > 0 and bucket.head(head_key(hint)) is not None else 0
    width = 1
    while low + width <= MAX_SIZE and bucket.head(head_key(low + width)) is not None:
        low, width = low + width, width * 2
    while width > 1:
        width //= 2
        if low + width <= MAX_SIZE and bucket.head(head_key(low + width)) is not None:
            low += width
    return low
