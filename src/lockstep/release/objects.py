"""What the release store needs of an S3 bucket: a seam, so that this room knows no S3 library.

Every call raises Unavailable `release.store_failed` when the service fails, refuses or cannot be reached;
no message holds a secret. Checksums are SHA-256 in base64, as S3 writes them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class NoSuchKey(Exception):
    """There is no object of this key."""


class NoSuchUpload(Exception):
    """The multipart upload is over: completed or aborted by somebody."""


@dataclass(frozen=True)
class Held:
    """A small object, read whole; etag: what a conditional write compares."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class ObjectHead:
    """sha256: the service's own checksum, `<base64>-<parts>` after a multipart upload; None without one."""

    size: int
    sha256: str | None


@dataclass(frozen=True)
class Upload:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    id: str
    started: datetime


@dataclass(frozen=True)
class Part:
    """A part that the service has. sha256: what it computed of the bytes that arrived."""

    etag: str
    size: int
    sha256: str


class Objects(Protocol):
    """One bucket. where: its URL and endpoint, for messages. Thread-safe."""

    @property
    def where(self) -> str: ...

    def read(self, key: str, limit: int) -> Held | None:
        """A small object; at most `limit` + 1 bytes of it. None without it."""
        ...

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """The object's bytes from an offset on, in pieces; nothing when it ends there. Raises NoSuchKey."""
        ...

    def head(self, key: str) -> ObjectHead | None: ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Write with `If-None-Match: *` and checksum; False where there is an object already."""
        ...

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        """Write with `If-Match` and checksum; False where the object is another one by now."""
        ...

    def keys(self, prefix: str) -> list[str]: ...

    def uploads(self, prefix: str) -> list[Upload]:
        """The uploads under way, oldest first."""
        ...

    def now(self) -> datetime:
        """The service's clock, which dates uploads."""
        ...

    def begin(self, key: str) -> str: ...

    def parts(self, key: str, upload: str) -> Mapping[int, Part]:
        """By number. Raises NoSuchUpload."""
        ...

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> Part:
        """Raises NoSuchUpload."""
        ...

    def complete(self, key: str, upload: str, parts: Mapping[int, Part]) -> bool:
        """Make the object of its parts, with `If-None-Match: *`; False where there is one already.

        Raises NoSuchUpload.
        """
        ...

    def abort(self, key: str, upload: str) -> None:
        """Nothing where the upload is over."""
        ...


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")


def composite(parts: Mapping[int, Part]) -> str:
    """The checksum that the service gives an object of these parts."""
    joined = b"".join(base64.b64decode(parts[number].sha256) for number in sorted(parts))
    return f"{checksum(joined)}-{len(parts)}"
