"""versitygw's posix folder, read as it lies on disk: for when the server is down. Read-only.

Layout (versitygw 1.8.0, backend/posix): the newest version of `key` is the file `<data>/<bucket>/<key>`;
older ones are `<versions>/<bucket>/<aa>/<bb>/<cc>/<sha256 of key>/<version id>`. Everything else about an
object stands in its `user.*` extended attributes.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lockstep.audit.bucket import (
    MAX_OBJECT_BYTES,
    ObjectHead,
    Version,
    from_text,
    missing,
    read_only,
    too_large,
    unreachable,
)
from lockstep.canonical import parse
from lockstep.errors import IntegrityError

TEMPORARY = ".sgwtmp"
MAX_XATTR_BYTES = 64 * 1024
CHUNK = 1 << 20


def key_of(path: Path) -> str:
    """What a file's path below its bucket is as a key. One that is no UTF-8 has backslashes, as no object
    of a log is: it is listed, and nothing is to be had under that name."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def pieces(path: Path) -> Iterator[bytes]:
    """A file's bytes, a mebibyte at a time."""
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data


def _attribute(path: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(path, f"user.{name}", follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.ENOENT, errno.EPERM):
            return None
        raise


def _json(raw: bytes | None) -> dict[str, object]:
    """What versitygw stored; empty when it is not there or not readable (then nothing is locked)."""
    if raw is None:
        return {}
    try:
        value = parse(raw)
    except IntegrityError:
        return {}
    return value if isinstance(value, dict) else {}


def _hex(checksum: object) -> str | None:
    """A stored checksum as hex; one that is no base64 says nothing."""
    try:
        return base64.b64decode(checksum, validate=True).hex() if isinstance(checksum, str) else None
    except ValueError:
        return None


def _moment(text: object) -> datetime | None:
    """A stored time; one that is none locks nothing."""
    try:
        return from_text(text) if isinstance(text, str) else None
    except ValueError:
        return None


class VersityFolder:
    """A bucket in versitygw's folders, without versitygw."""

    def __init__(self, data: Path, versions: Path, bucket: str) -> None:
        self._data = data / bucket
        self._versions = versions / bucket

    @property
    def where(self) -> str:
        return str(self._data)

    def exists(self) -> bool:
        return self._data.is_dir()

    def _older(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._versions / name[:2] / name[2:4] / name[4:6] / name

    def _walk(self, prefix: str, start_after: str, limit: int | None) -> list[tuple[str, Path]]:
        """Each key with its file."""
        if not self.exists():
            raise unreachable(self.where, "there is no such folder")
        top = self._data / prefix.rpartition("/")[0]
        found: list[tuple[str, Path]] = []
        for folder, below, files in os.walk(top):
            below[:] = [name for name in below if name != TEMPORARY]
            for path in (Path(folder) / name for name in files):
                key = key_of(path.relative_to(self._data))
                if key.startswith(prefix) and key > start_after:
                    found.append((key, path))
        return sorted(found)[:limit]

    def _version(self, key: str, path: Path, version_id: str, latest: bool) -> Version:
        marker, found = _attribute(path, "delete-marker") is not None, path.lstat()
        written = datetime.fromtimestamp(found.st_mtime, UTC)
        return Version(key, version_id, latest, marker, 0 if marker else found.st_size, written)

    def versions(
        self, prefix: str, start_after: str | None = None, limit: int | None = None
    ) -> list[Version]:
        found = []
        for key, path in self._walk(prefix, start_after or "", limit):
            current = (_attribute(path, "version-id") or b"null").decode("ascii", "replace")
            found.append(self._version(key, path, current, True))
            older = self._older(key)
            others = sorted(older.iterdir(), reverse=True) if older.is_dir() else []
            named = [(key_of(Path(other.name)), other) for other in others]
            found += [self._version(key, other, name, False) for name, other in named if name != current]
        return found

    def _path(self, key: str, version_id: str | None) -> Path | None:
        path = self._data / key
        if version_id is not None and (_attribute(path, "version-id") or b"null") != version_id.encode():
            path = self._older(key) / version_id
        if not path.is_file() or path.is_symlink() or _attribute(path, "delete-marker") is not None:
            return None
        return path

    def get(self, key: str, version_id: str | None = None) -> bytes:
        path = self._path(key, version_id)
        if path is None:
            raise missing(key, self.where)
        with path.open("rb") as file:
            data = file.read(MAX_OBJECT_BYTES + 1)
        if len(data) > MAX_OBJECT_BYTES:
            raise too_large(key, path.stat().st_size)
        return data

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        path = self._path(key, version_id)
        if path is None:
            raise missing(key, self.where)
        return pieces(path)

    def head(self, key: str, version_id: str | None = None) -> ObjectHead | None:
        path = self._path(key, version_id)
        if path is None:
            return None
        lock = _json(_attribute(path, "object-retention"))
        checksum = _json(_attribute(path, "checksums")).get("SHA256")
        until, mode = lock.get("RetainUntilDate"), lock.get("Mode")
        return ObjectHead(
            version_id=(_attribute(path, "version-id") or b"null").decode("ascii", "replace"),
            size=path.stat().st_size,
            sha256=_hex(checksum),
            mode=mode if isinstance(mode, str) else None,
            retain_until=_moment(until),
        )

    def put_new(self, key: str, data: bytes, retain_until: datetime) -> str:
        raise read_only(self.where)

    def put_over(self, key: str, data: bytes, retain_until: datetime) -> str:
        raise read_only(self.where)

    def lock(self, key: str, version_id: str, retain_until: datetime) -> None:
        raise read_only(self.where)

    def delete(self, key: str, version_id: str) -> None:
        raise read_only(self.where)
