"""Finding the newest head in a few requests, without believing where it should be.

A head that is hidden, or has something written over it, stops every reader: an older one that still
verifies is not the newest. What never was a head stops nobody, or anybody could put it there.
"""

from __future__ import annotations

from collections.abc import Sequence

from lockstep.audit.bucket import Bucket, Version
from lockstep.audit.layout import HEAD_PREFIX, MAX_SIZE, head_key, number_of, record_key
from lockstep.audit.merkle import Tiles
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


def newest_head(
    bucket: Bucket, keys: Sequence[NoteKey], origin: str, hint: int = 0, *, over: bool = False
) -> Head | None:
    """The largest head that verifies; None for a log without one.

    over: what lies where the next head belongs is about to be gone over (`void`), so it stops nobody.

    Probes for existence in doubling steps, then lists what lies beyond: the probes (and the hint) only
    say where to begin, a gap in the heads cannot hide what comes after it.
    """
    refused: dict[int, IntegrityError] = {}
    for start in dict.fromkeys(
        (_probe(bucket, hint), 0)
    ):  # all of them, where nothing verifies from there on
        listed = _listed(bucket, start)
        for size in sorted(listed.keys() - refused.keys(), reverse=True):
            head, own, problem = _signed(bucket, size, listed[size], keys, origin)
            if head is not None:
                sole_version(head_key(size), listed[size][: own + 1])
                if not over:
                    _require_none_destroyed(bucket, refused)
                return head
            if problem is not None:
                refused[size] = problem
    if refused:
        raise refused[max(refused)]
    return None


def _require_none_destroyed(bucket: Bucket, refused: dict[int, IntegrityError]) -> None:
    """Where the record that a head would cover is there, bytes that are no head destroyed one, or keep it
    from being written. Either way the log's writer can write it again: it always has the same bytes."""
    for size, problem in sorted(refused.items()):
        if bucket.head(record_key(size - 1)) is not None:
            raise IntegrityError(
                f"what lies at {head_key(size)} is no head: {problem.message}",
                code=problem.code,
                remedy=f'./lockstep audit void {size - 1} --reason "who wrote it, if you know"',
            )


def _listed(bucket: Bucket, start: int) -> dict[int, list[Version]]:
    """The versions of every head of this size and larger."""
    listed: dict[int, list[Version]] = {}
    after = head_key(start - 1) if start > 0 else None
    while page := bucket.versions(HEAD_PREFIX, after, PAGE_KEYS):
        for version in page:
            number = number_of(version.key)
            if number:
                listed.setdefault(number, []).append(version)
        after = page[-1].key
        if len({version.key for version in page}) < PAGE_KEYS:
            break
    return listed


def _signed(
    bucket: Bucket, size: int, found: list[Version], keys: Sequence[NoteKey], origin: str
) -> tuple[Head | None, int, IntegrityError | None]:
    """The oldest version under a head's key that is a good head of that size, with its place in `found`, or
    why none is. What is older was in the way before there was a head, and the log went over it."""
    problem: IntegrityError | None = None
    for place, version in reversed(list(enumerate(found))):
        if version.delete_marker:
            continue
        try:
            head = open_note(bucket.get(version.key, version.version_id), keys, origin)
        except IntegrityError as error:
            problem = problem or error
            continue
        if head.size == size:
            return head, place, None
        problem = problem or IntegrityError(
            f"{version.key} holds the head of size {head.size}",
            code="audit.head_inconsistent",
            remedy="heads were moved; run `./lockstep audit verify`",
        )
    return None, 0, problem


def require_continued(before: Head, head: Head, tiles: Tiles) -> None:
    """The log of `head` begins with the log of `before`; `tiles` are those of `head`.

    Guards against a bucket that was put back to an older copy and against a second history under the same
    key. Raises IntegrityError `audit.cut_tail`, `audit.head_inconsistent`, `audit.tile_wrong`.
    """
    remedy = f"run `./lockstep audit verify --head {before}`; docs/adr/0014 says how to give them up"
    if head.size < before.size:
        raise IntegrityError(
            f"the log had {before.size} records when it was last seen and has {head.size} now: "
            f"records {head.size} to {before.size - 1} were cut off, or an older copy was put back",
            code="audit.cut_tail",
            remedy=remedy,
        )
    root = head.root
    if 0 < before.size < head.size:
        earlier, whole = tiles.roots(before.size)
        if whole.hex() != head.root:
            raise IntegrityError(
                f"the tiles of the head {head.size} do not give its root",
                code="audit.tile_wrong",
                remedy="run `./lockstep audit verify` to see which tile was changed",
            )
        root = earlier.hex()
    if before.size and root != before.root:
        raise IntegrityError(
            f"the first {before.size} records are not those of the head {before}: this is another history",
            code="audit.head_inconsistent",
            remedy=remedy,
        )


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
