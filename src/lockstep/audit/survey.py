"""The first look of a verification: which objects there are, how they are locked, which heads are good."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lockstep.audit.bucket import COMPLIANCE, Bucket, Version
from lockstep.audit.layout import (
    HEAD_PREFIX,
    RECORD_PREFIX,
    TILE_PREFIX,
    TILE_WIDTH,
    head_key,
    number_of,
    record_key,
    size_with,
    tile_key,
    tile_of,
    tiles_of,
)
from lockstep.audit.note import Head, NoteKey, open_note
from lockstep.audit.problem import Findings
from lockstep.errors import IntegrityError

HASH_BYTES = 32


@dataclass
class Survey:
    """objects: key -> its versions, newest first; heads: size -> the head, where it verifies; ends: when the
    lock of each object ends; own: the log's version of a head or tile, once its bytes have told it.

    Sizes and indexes are those of names that are there: a head of a size that no log can have must not make
    a reader count up to it.
    """

    objects: dict[str, list[Version]]
    heads: dict[int, Head] = field(default_factory=dict)
    heads_found: int = 0
    ends: dict[str, datetime] = field(default_factory=dict)
    own: dict[str, Version] = field(default_factory=dict)
    _tile: tuple[int, bytes] | None = None

    @property
    def size(self) -> int:
        """The size of the newest head that verifies."""
        return max(self.heads, default=0)

    def original(self, key: str) -> Version | None:
        """The log's own version: the one with the log's bytes where that is known, else the one that was
        written first; None when there is none."""
        if key in self.own:
            return self.own[key]
        written = [version for version in self.objects.get(key, []) if not version.delete_marker]
        return written[-1] if written else None

    def heads_gone(self, first: int, needless: Collection[int]) -> list[tuple[int, int]]:
        """The gaps among the heads from size `first` on, each from one size to another; `needless`: sizes
        that need none."""
        written = (key for key in self.objects if key.startswith(HEAD_PREFIX) and self.original(key))
        sizes = {size for size in map(number_of, written) if size is not None} | set(needless)
        known = sorted({max(first - 1, 0), *(size for size in sizes if first <= size <= self.size)})
        return [(low + 1, high - 1) for low, high in itertools.pairwise(known) if high - low > 1]

    def head_name(self, size: int) -> str | None:
        return head_key(size) if head_key(size) in self.objects else None

    def records(self) -> list[int]:
        """The indexes below the size under which something was written, in order."""
        return [index for index in self._indexes() if index < self.size and self.original(record_key(index))]

    def records_beyond(self) -> list[int]:
        """The indexes of the records that no good head covers."""
        return [index for index in self._indexes() if index >= self.size]

    def _indexes(self) -> list[int]:
        numbers = (number_of(key) for key in self.objects if key.startswith(RECORD_PREFIX))
        return sorted(number for number in numbers if number is not None)

    def tile_entry(self, bucket: Bucket, index: int) -> bytes | None:
        """The leaf hash of a record as the widest tile over it has it; None without such a tile."""
        tile = index // TILE_WIDTH
        if self._tile is None or self._tile[0] != tile:
            width = min(TILE_WIDTH, self.size - tile * TILE_WIDTH)
            version = self.original(tile_key(0, tile, width))
            try:
                data = bucket.get(version.key, version.version_id) if version else b""
            except IntegrityError:
                data = b""
            self._tile = (tile, data)
        start = index % TILE_WIDTH * HASH_BYTES
        entry = self._tile[1][start : start + HASH_BYTES]
        return entry if len(entry) == HASH_BYTES else None

    def report_short_locks(
        self, times: Mapping[int, datetime], retention: timedelta, findings: Findings
    ) -> None:
        """Step (2): a record, and the head and the tile that were written with it, are held for `retention`
        from the record's own time. times: index -> what the record says, where one verifies."""
        for index, time in times.items():
            size = index + 1
            written = [record_key(index), head_key(size), *(tile_key(*tile) for tile in tiles_of(size))]
            for key in written:
                until = self.ends.get(key)
                if until is not None and until < time + retention:
                    message = f"the lock of {key} ends at {until:%Y-%m-%d %H:%M:%S} UTC, before the "
                    message += f"{retention.days} days that the log promises: run `./lockstep audit renew`"
                    findings.add("audit.lock_short", message, index=index, key=key)

    def report_unexpected(self, tiles: set[str] | None, findings: Findings) -> None:
        """Step (0): names that are none, and tiles that no log of this size has (None: it cannot be said)."""
        for key in self.objects:
            if key.startswith(TILE_PREFIX) and tile_of(key):
                expected = tiles is None or key in tiles
            else:
                expected = number_of(key) is not None
            if not expected or key == head_key(0):
                findings.add("audit.foreign_object", f"{key!r} is no object of this log", key=key)


def take_survey(
    bucket: Bucket, origin: str, log_keys: Sequence[NoteKey], now: datetime, findings: Findings
) -> Survey:
    """Steps (0) to (3) of `verify.verify`."""
    objects: dict[str, list[Version]] = {}
    for version in bucket.versions(""):
        objects.setdefault(version.key, []).append(version)
    survey = Survey(objects)
    _open_heads(bucket, origin, log_keys, survey, findings)  # (3)
    return survey


def judge_versions(bucket: Bucket, survey: Survey, now: datetime, findings: Findings) -> None:
    """Steps (1) and (2), once the walk has told which versions are the log's own.

    What is older than the log's own version was in the way before the log got there: a note, no problem.
    """
    for key in sorted(survey.objects):
        versions = survey.objects[key]
        own = survey.original(key)
        since = versions[: versions.index(own) + 1] if own is not None else versions
        if len(since) < len(versions):
            message = f"{len(versions) - len(since)} objects were in the way of {key}; the log went over them"
            findings.add("audit.gone_over", message, key=key)
        _check_versions(key, since, findings)
        for version in since:
            _check_lock(bucket, survey, version, now, findings)


def _check_versions(key: str, versions: list[Version], findings: Findings) -> None:
    index = number_of(key) if key.startswith(RECORD_PREFIX) else None
    markers = sum(version.delete_marker for version in versions)
    if markers:
        message = f"{key} is hidden by a delete marker; what was written is still there below it"
        findings.add("audit.delete_marker", message, index=index, key=key)
    if len(versions) - markers > 1:
        message = f"{key} has {len(versions) - markers} versions: someone wrote over it"
        findings.add("audit.shadow_version", message, index=index, key=key)


def _check_lock(bucket: Bucket, survey: Survey, version: Version, now: datetime, findings: Findings) -> None:
    """One version's own lock. What was written over an object needs one too: it is evidence."""
    key, number = version.key, number_of(version.key)
    original = version == survey.original(key)
    least = None if key.startswith(HEAD_PREFIX) else size_with(key)
    if version.delete_marker or (original and least is not None and least > survey.size):
        return  # what a dead writer left beyond the newest head is locked by who completes it
    found = bucket.head(key, version.version_id)
    index = number if key.startswith(RECORD_PREFIX) else None
    name = key if original else f"version {version.version_id} of {key}"
    if found is None or found.mode != COMPLIANCE or found.retain_until is None:
        findings.add("audit.unlocked", f"{name} has no COMPLIANCE lock", index=index, key=key)
        return
    if original:
        survey.ends[key] = found.retain_until
    if found.retain_until <= now:
        message = f"the lock of {name} ended at {found.retain_until:%Y-%m-%d %H:%M:%S} UTC"
        findings.add("audit.lock_ended", message, index=index, key=key)


def _open_heads(
    bucket: Bucket, origin: str, log_keys: Sequence[NoteKey], survey: Survey, findings: Findings
) -> None:
    refused: list[tuple[str, IntegrityError]] = []
    numbers = {number_of(key): key for key in survey.objects if key.startswith(HEAD_PREFIX)}
    for number in sorted(number for number in numbers if number):
        survey.heads_found += 1
        problem: IntegrityError | None = None
        for version in reversed(survey.objects[numbers[number]]):
            if version.delete_marker:
                continue
            try:
                head = open_note(bucket.get(version.key, version.version_id), log_keys, origin)
            except IntegrityError as error:
                problem = problem or error
                continue
            if head.size == number:
                survey.heads[number], survey.own[version.key] = head, version
                break
            message = f"{version.key} holds the head of size {head.size}"
            problem = problem or IntegrityError(message, code="audit.head_inconsistent")
        if number not in survey.heads and problem is not None:
            refused.append((numbers[number], problem))
    _report_heads(survey, refused, findings)


def _report_heads(survey: Survey, refused: list[tuple[str, IntegrityError]], findings: Findings) -> None:
    if not survey.heads and refused:
        # Another key or origin refuses every head alike: say it once, about the newest.
        refused = refused[-1:]
    for key, error in refused:
        code = "audit.head_missing" if error.code == "audit.object_missing" else error.code
        findings.add(code, f"{key}: {error.message}", key=key)
