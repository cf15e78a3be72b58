"""A plain copy of the bucket that verifies anywhere, with our verifier or with anyone's.

record/ tile/ head/   the objects under their own keys, as the bucket showed them
checkpoint            the newest head, as a signed note
log.vkey              the log's verifier key (compare it with one that you got elsewhere)
deployers/<id>.pem    the public keys that may sign records (likewise), and deployers.vkey, as verifier keys
versions.json         every version and delete marker that the bucket listed, with its lock
versions/<key>/<id>   the bytes of versions that something else was written over
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lockstep.audit.bucket import (
    MAX_OBJECT_BYTES,
    Bucket,
    ObjectHead,
    Version,
    from_text,
    missing,
    read_only,
    to_text,
    too_large,
)
from lockstep.audit.folder import key_of, pieces
from lockstep.audit.layout import HEAD_PREFIX, RECORD_PREFIX, TILE_PREFIX
from lockstep.audit.note import Head, NoteKey
from lockstep.canonical import canonical, parse
from lockstep.errors import IntegrityError, UsageError

LIST = "versions.json"
_VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,1023}")
OBJECTS = (HEAD_PREFIX, RECORD_PREFIX, TILE_PREFIX)
MAX_LIST_BYTES = 512 * 1024 * 1024


def export(
    bucket: Bucket,
    folder: Path,
    head: Head,
    log_keys: Sequence[NoteKey],
    deployers: Mapping[str, str],
    *,
    signers: Sequence[NoteKey] = (),
) -> int:
    """Copy everything in the bucket into a new folder; returns the number of objects.

    head: the newest; deployers: key id -> PEM; signers: the same keys as verifier keys. The folder
    appears complete or not at all.
    Raises UsageError `audit.export_exists` when there is something at that place.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is there already",
            code="audit.export_exists",
            remedy="name a folder that does not exist; an export is never written over",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        count = _copy(bucket, partial)
        (partial / "checkpoint").write_bytes(head.note)
        (partial / "log.vkey").write_text("".join(f"{key}\n" for key in log_keys))
        (partial / "deployers.vkey").write_text("".join(f"{key}\n" for key in signers))
        for keyid, pem in deployers.items():
            path = partial / "deployers" / f"{keyid}.pem"
            path.parent.mkdir(exist_ok=True)
            path.write_text(pem)
        partial.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return count


def _copy(bucket: Bucket, folder: Path) -> int:
    listed = []
    for version in bucket.versions(""):
        found = None if version.delete_marker else bucket.head(version.key, version.version_id)
        listed.append(
            {
                "key": version.key,
                "version_id": version.version_id,
                "is_latest": version.is_latest,
                "delete_marker": version.delete_marker,
                "size": version.size,
                "written": to_text(version.written) if version.written else None,
                "sha256": found.sha256 if found else None,
                "mode": found.mode if found else None,
                "retain_until": to_text(found.retain_until) if found and found.retain_until else None,
            }
        )
        if not version.delete_marker and _is_plain(version.key):
            path = folder / version.key
            if not version.is_latest:
                path = folder / "versions" / version.key / version.version_id
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for data in bucket.chunks(version.key, version.version_id):
                    file.write(data)
    (folder / LIST).write_bytes(canonical({"bucket": bucket.where, "v": 1, "versions": listed}))
    return len(listed)


def _is_plain(key: str) -> bool:
    """A key that may be a path below the export, and nothing else (a list spoils unprintable characters)."""
    parts = key.split("/")
    odd = any(part in ("", ".", "..") or "\\" in part for part in parts)
    return key.startswith(OBJECTS) and key.isascii() and key.isprintable() and not odd


def _item(value: Any) -> dict[str, Any]:
    """One entry of the version list, right in every field that is believed. Raises ValueError, KeyError."""
    for name, kind in {"key": str, "version_id": str, "is_latest": bool, "delete_marker": bool}.items():
        if not isinstance(value[name], kind):
            raise ValueError(f"{name} is {value[name]!r}")
    if not _VERSION.fullmatch(value["version_id"]):
        raise ValueError(f"version_id is {value['version_id']!r}")
    for name in ("sha256", "mode", "retain_until", "written"):
        if not isinstance(value.get(name), str | None):
            raise ValueError(f"{name} is {value[name]!r}")
    for name in ("retain_until", "written"):
        if value.get(name) is not None:
            from_text(value[name])
    return dict(value)


def _contradicts(what: str) -> IntegrityError:
    return IntegrityError(
        f"the version list of this export contradicts itself: {what}",
        code="audit.version_list",
        remedy="make the export again; `./lockstep audit verify` looks at the bucket itself",
    )


class ExportFolder:
    """An export, read as a bucket. Its locks and versions are what the bucket said when it was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed: dict[str, list[dict[str, Any]]] = {}
        path = folder / LIST
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                raise ValueError(f"larger than {MAX_LIST_BYTES} bytes")
            with path.open("rb") as file:
                listed = parse(file.read(MAX_LIST_BYTES))["versions"]
            for item in map(_item, listed):
                self._listed.setdefault(item["key"], []).append(item)
        except (OSError, IntegrityError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{folder} is not an export of an audit log: {LIST} cannot be read: {error}",
                code="audit.not_an_export",
                remedy="make one with `./lockstep audit export DIR`",
            ) from None
        for key, items in self._listed.items():
            if sum(item["is_latest"] for item in items) != 1:
                raise _contradicts(f"{key} has no one newest version")
            if len({item["version_id"] for item in items}) != len(items):
                raise _contradicts(f"{key} lists a version twice")

    @property
    def where(self) -> str:
        return str(self._folder)

    def _files(self) -> set[str]:
        found = set()
        for top in OBJECTS:
            for folder, _, files in os.walk(self._folder / top.rstrip("/")):
                base = Path(folder).relative_to(self._folder)
                found |= {key_of(base / name) for name in files}
        return found

    def versions(
        self, prefix: str, start_after: str | None = None, limit: int | None = None
    ) -> list[Version]:
        files = self._files()
        keys = sorted(key for key in files | set(self._listed) if key.startswith(prefix))
        found = []
        for key in [key for key in keys if start_after is None or key > start_after][:limit]:
            items = self._listed.get(key, [{"version_id": "file", "is_latest": True, "delete_marker": False}])
            for item in items:
                marker, latest = bool(item["delete_marker"]), bool(item["is_latest"])
                # What the list names is there, with or without its file: a file taken away leaves a gap.
                path = self._path(key, str(item["version_id"]), latest)
                size = path.stat().st_size if _is_plain(key) and path.is_file() and not marker else 0
                written = from_text(item["written"]) if item.get("written") else None
                found.append(Version(key, str(item["version_id"]), latest, marker, size, written))
        return found

    def _path(self, key: str, version_id: str, latest: bool) -> Path:
        return self._folder / key if latest else self._folder / "versions" / key / version_id

    def _item(self, key: str, version_id: str | None) -> dict[str, Any] | None:
        items = self._listed.get(key, [])
        wanted = (one for one in items if version_id in (None, one["version_id"]))
        return next((one for one in wanted if version_id is not None or one["is_latest"]), None)

    def get(self, key: str, version_id: str | None = None) -> bytes:
        path, _ = self._stored(key, version_id)
        if path is None or not path.is_file():
            raise missing(key, self.where)
        with path.open("rb") as file:
            data = file.read(MAX_OBJECT_BYTES + 1)
        if len(data) > MAX_OBJECT_BYTES:
            raise too_large(key, path.stat().st_size)
        return data

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        path, _ = self._stored(key, version_id)
        if path is None or not path.is_file():
            raise missing(key, self.where)
        return pieces(path)

    def _stored(self, key: str, version_id: str | None) -> tuple[Path | None, dict[str, Any]]:
        """The file of a version (None where the key shows nothing), and what the list says of it."""
        item = self._item(key, version_id)
        path = self._path(key, str(version_id), item is None or bool(item["is_latest"]))
        if not _is_plain(key) or (item is None and not path.is_file()) or (item or {}).get("delete_marker"):
            return None, {}
        return path, item or {}

    def head(self, key: str, version_id: str | None = None) -> ObjectHead | None:
        path, said = self._stored(key, version_id)
        if path is None:
            return None
        until = said.get("retain_until")
        return ObjectHead(
            version_id=str(said.get("version_id", "file")),
            size=path.stat().st_size if path.is_file() else 0,
            sha256=said.get("sha256"),
            mode=said.get("mode"),
            retain_until=from_text(until) if isinstance(until, str) else None,
        )

    def put_new(self, key: str, data: bytes, retain_until: datetime) -> str:
        raise read_only(self.where)

    def put_over(self, key: str, data: bytes, retain_until: datetime) -> str:
        raise read_only(self.where)

    def lock(self, key: str, version_id: str, retain_until: datetime) -> None:
        raise read_only(self.where)

    def delete(self, key: str, version_id: str) -> None:
        raise read_only(self.where)
