"""The seam to the audit bucket: list versions, get, put a new object, look at one, lock one.

Adapters: `s3.S3Bucket` (read and write), `folder.VersityFolder` (versitygw's data folder, read-only),
`export.ExportFolder` (a plain copy, read-only). One contract suite runs against all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError

MAX_OBJECT_BYTES = 1024 * 1024
COMPLIANCE = "COMPLIANCE"


class KeyTaken(LockstepError):
    """There is an object under this key already: somebody was first."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} is already written",
            code="audit.key_taken",
            remedy="read the log again; another writer was first",
        )


class LostRace(LockstepError):
    """The head that the change was decided on is no longer the newest. Decide again; never just retry."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            code="audit.stale_head",
            remedy="another update wrote to the log in between; run the command again",
        )


@dataclass(frozen=True)
class Version:
    """One version of one key, as the bucket lists it. size is in bytes (0 for a delete marker).

    written: when the bucket says that it was written; None where it does not say.
    """

    key: str
    version_id: str
    is_latest: bool
    delete_marker: bool
    size: int
    written: datetime | None = None


@dataclass(frozen=True)
class ObjectHead:
    """One object version looked at. sha256 (hex) where the bucket kept it; mode and time of its lock."""

    version_id: str
    size: int
    sha256: str | None
    mode: str | None
    retain_until: datetime | None

    def locked_until(self) -> datetime | None:
        """Until when nobody can delete it; None when nothing prevents it."""
        return self.retain_until if self.mode == COMPLIANCE else None


class Bucket(Protocol):
    """What the log needs from a store. All keys are ASCII; all times are aware and in UTC."""

    @property
    def where(self) -> str:
        """The bucket in words, for messages: an address or a folder."""

    def versions(
        self, prefix: str, start_after: str | None = None, limit: int | None = None
    ) -> list[Version]:
        """Every version and delete marker of the keys with this prefix, in order of keys.

        Only keys after `start_after`; at most about `limit` versions (never part of a key's versions).
        """

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """The bytes of a version, or of what the key shows. Raises IntegrityError `audit.object_missing`
        and `audit.object_too_large` (beyond 1 MiB)."""

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The bytes of a version in pieces, however many there are. Raises IntegrityError
        `audit.object_missing`."""

    def head(self, key: str, version_id: str | None = None) -> ObjectHead | None:
        """Look at an object; None where the key shows nothing (absent, or hidden by a delete marker)."""

    def put_new(self, key: str, data: bytes, retain_until: datetime) -> str:
        """Write an object that is not there yet, locked until then; returns its version id.

        Raises KeyTaken. An answer that gets lost is Unavailable, whether or not the object was written.
        """

    def put_over(self, key: str, data: bytes, retain_until: datetime) -> str:
        """Write a further version of an object, locked until then; returns its version id."""

    def lock(self, key: str, version_id: str, retain_until: datetime) -> None:
        """Lock a version that has no lock, or a shorter one."""

    def delete(self, key: str, version_id: str) -> None:
        """Delete one version for good. Raises IntegrityError `audit.still_locked` while its lock lasts;
        one that is gone already is no error."""


def missing(key: str, where: str) -> IntegrityError:
    return IntegrityError(
        f"{key} is not in {where}",
        code="audit.object_missing",
        remedy="run `./lockstep audit verify`: an object of the log is gone",
    )


def too_large(key: str, size: int) -> IntegrityError:
    return IntegrityError(
        f"{key} has {size} bytes; nothing in the log is larger than {MAX_OBJECT_BYTES}",
        code="audit.object_too_large",
        remedy="this object was not written by Lockstep; run `./lockstep audit verify`",
    )


def unreachable(where: str, why: str) -> Unavailable:
    remedy = "run `./lockstep status`, then `./lockstep up` to start what is not running"
    if where.startswith("https://"):
        remedy = "see whether this machine reaches that address, then run the command again"
    return Unavailable(
        f"the audit bucket at {where} does not answer: {why}",
        code="audit.bucket_unreachable",
        remedy=remedy,
    )


def still_locked(key: str) -> IntegrityError:
    return IntegrityError(
        f"the bucket refuses to delete {key}: its lock has not ended",
        code="audit.still_locked",
        remedy="nothing can be deleted before its lock ends; run the command again after that",
    )


def read_only(where: str) -> UsageError:
    return UsageError(
        f"{where} can only be read",
        code="audit.read_only",
        remedy="writes go through the running bucket: run `./lockstep up`",
    )


def unlocked_bucket(where: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"the bucket at {where} does not protect its objects: {why}",
        code="audit.no_object_lock",
        remedy="object lock can only be switched on when a bucket is made: use a new bucket name, or "
        "`./lockstep destroy` and remove the bucket's data folder if it holds nothing you need",
    )


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Read RFC 3339 with a time zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is no time in UTC") from None
