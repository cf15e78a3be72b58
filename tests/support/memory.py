"""An audit bucket in memory: the seam's promises without a server, and the forger's hand in it."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockstep.audit.bucket import (
    COMPLIANCE,
    MAX_OBJECT_BYTES,
    KeyTaken,
    ObjectHead,
    Version,
    missing,
    still_locked,
    too_large,
)


@dataclass
class Stored:
    version_id: str
    data: bytes
    marker: bool = False
    mode: str | None = None
    until: datetime | None = None
    written: datetime | None = None


@dataclass
class MemoryBucket:
    """objects: key -> versions, newest first. now: by which locks end; None: the clock on the wall."""

    where: str = "memory"
    objects: dict[str, list[Stored]] = field(default_factory=dict)
    gets: int = 0
    now: datetime | None = None

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def _new(self, data: bytes, **lock: object) -> Stored:
        return Stored(f"v{next(self._ids):06d}", data, **lock)  # type: ignore[arg-type]

    def versions(
        self, prefix: str, start_after: str | None = None, limit: int | None = None
    ) -> list[Version]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > (start_after or ""))
        return [
            Version(key, one.version_id, place == 0, one.marker, len(one.data), one.written)
            for key in keys[:limit]
            for place, one in enumerate(self.objects[key])
        ]

    def _find(self, key: str, version_id: str | None) -> Stored | None:
        stored = self.objects.get(key, [])
        found = next((one for one in stored if version_id in (None, one.version_id)), None)
        return None if found is None or found.marker else found

    def get(self, key: str, version_id: str | None = None) -> bytes:
        self.gets += 1
        found = self._find(key, version_id)
        if found is None:
            raise missing(key, self.where)
        if len(found.data) > MAX_OBJECT_BYTES:
            raise too_large(key, len(found.data))
        return found.data

    def head(self, key: str, version_id: str | None = None) -> ObjectHead | None:
        found = self._find(key, version_id)
        if found is None:
            return None
        sha256 = hashlib.sha256(found.data).hexdigest()
        return ObjectHead(found.version_id, len(found.data), sha256, found.mode, found.until)

    def put_new(self, key: str, data: bytes, retain_until: datetime) -> str:
        with self._lock:
            if self._find(key, None) is not None:
                raise KeyTaken(key)
            until = retain_until.astimezone(UTC)
            stored = self._new(data, mode=COMPLIANCE, until=until)
            self.objects.setdefault(key, []).insert(0, stored)
            return stored.version_id

    def put_over(self, key: str, data: bytes, retain_until: datetime) -> str:
        with self._lock:
            stored = self._new(data, mode=COMPLIANCE, until=retain_until.astimezone(UTC))
            self.objects.setdefault(key, []).insert(0, stored)
            return stored.version_id

    def lock(self, key: str, version_id: str, retain_until: datetime) -> None:
        found = self._find(key, version_id)
        assert found is not None
        found.mode, found.until = COMPLIANCE, retain_until

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        found = self._find(key, version_id)
        if found is None:
            raise missing(key, self.where)
        return iter([found.data[i : i + 4096] for i in range(0, len(found.data), 4096)])

    def delete(self, key: str, version_id: str) -> None:
        stored = self.objects.get(key, [])
        for one in [one for one in stored if one.version_id == version_id]:
            if (
                one.mode == COMPLIANCE
                and one.until is not None
                and one.until > (self.now or datetime.now(UTC))
            ):
                raise still_locked(key)
            stored.remove(one)
        if not stored:
            self.objects.pop(key, None)

    # What a forger with the disk in hand can do.

    def overwrite(self, key: str, data: bytes) -> None:
        """Change the bytes below the bucket."""
        self.objects[key][0].data = data

    def remove(self, key: str) -> None:
        """Take the object away below the bucket."""
        del self.objects[key]

    def shadow(self, key: str, data: bytes) -> None:
        """Write a new version over an object (object lock allows it)."""
        self.objects[key].insert(0, self._new(data, mode=COMPLIANCE, until=datetime.max.replace(tzinfo=UTC)))

    def hide(self, key: str) -> None:
        """Put a delete marker over an object (object lock allows it)."""
        self.objects.setdefault(key, []).insert(0, self._new(b"", marker=True))

    def copy(self) -> MemoryBucket:
        kept = {key: [Stored(**vars(one)) for one in stored] for key, stored in self.objects.items()}
        copied = MemoryBucket(self.where, kept, now=self.now)
        copied._ids = itertools.count(10**5)
        return copied
