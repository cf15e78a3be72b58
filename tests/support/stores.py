"""Both kinds of store for one suite, with the forger's hand in each: what lies under a name, changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lockstep.boto import BotoObjects
from lockstep.release import bundle
from lockstep.release.objects import Held, ObjectHead, Objects, Part, Upload
from lockstep.release.store import Store
from lockstep.release.url import S3Place, parse_url
from lockstep.stores import open_store
from tests.support.versity import Server

BUCKET = "releases"
PREFIX = "team/models"


@dataclass(frozen=True)
class Place:
    """A store and where its bytes lie. root: the folder in which `blobs` and `index.json` are."""

    url: str
    root: Path

    def open(self) -> Store:
        return open_store(self.url)

    def blob(self, digest: str) -> Path:
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def of(self, release: str, title: str) -> Path:
        """Where a file of a release lies; `manifest.json` is the manifest."""
        if title == bundle.MANIFEST_FILE:
            return self.blob(release)
        data = self.blob(release).read_bytes()
        return self.blob(bundle.parse_manifest(data, release).blob(title).digest)

    def rewrite(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        """Change bytes below the store. The file keeps its inode, so a server's attributes stay on it."""
        path.chmod(0o644)
        path.write_bytes(change(path.read_bytes()))

    def swap(self, first: Path, second: Path) -> None:
        one, other = first.read_bytes(), second.read_bytes()
        self.rewrite(first, lambda _: other)
        self.rewrite(second, lambda _: one)


def objects_of(place: Place) -> BotoObjects:
    parsed = parse_url(place.url)
    assert isinstance(parsed, S3Place)
    return BotoObjects(parsed)


@dataclass
class Watched:
    """A bucket that counts what is sent and read, and lets somebody else act at a chosen moment."""

    real: Objects
    later: timedelta = timedelta()
    sent: list[int] = field(default_factory=list)
    read_from: list[int] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)

    def _meanwhile(self, name: str) -> None:
        if meanwhile := self.before.pop(name, None):
            meanwhile()

    @property
    def where(self) -> str:
        return self.real.where

    def read(self, key: str, limit: int) -> Held | None:
        return self.real.read(key, limit)

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        self.read_from.append(start)
        return self.real.stream(key, start)

    def head(self, key: str) -> ObjectHead | None:
        return self.real.head(key)

    def put_new(self, key: str, data: bytes) -> bool:
        self._meanwhile("put_new " + key.rpartition("/")[2])
        return self.real.put_new(key, data)

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        self._meanwhile("replace")
        return self.real.replace(key, data, etag)

    def keys(self, prefix: str) -> list[str]:
        return self.real.keys(prefix)

    def uploads(self, prefix: str) -> list[Upload]:
        return self.real.uploads(prefix)

    def now(self) -> datetime:
        return self.real.now() + self.later

    def begin(self, key: str) -> str:
        return self.real.begin(key)

    def parts(self, key: str, upload: str) -> Mapping[int, Part]:
        return self.real.parts(key, upload)

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> Part:
        self.sent.append(number)
        return self.real.put_part(key, upload, number, data, sha256)

    def complete(self, key: str, upload: str, parts: Mapping[int, Part]) -> bool:
        self._meanwhile("complete")
        return self.real.complete(key, upload, parts)

    def abort(self, key: str, upload: str) -> None:
        self.real.abort(key, upload)


def flipped(offset: int = 0) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[offset] ^= 1
        return bytes(changed)

    return change


def make_bucket(server: Server, name: str) -> None:
    """As another program in the team would."""
    objects = BotoObjects(S3Place(name, "", server.endpoint, ""))
    with credentials(server):
        objects._ask("create_bucket")


def s3_place(server: Server, bucket: str = BUCKET, prefix: str = PREFIX) -> Place:
    url = f"s3://{bucket}/{prefix}?endpoint={server.endpoint}"
    return Place(url, server.data / bucket / prefix)


@contextmanager
def credentials(server: Server) -> Iterator[None]:
    """The usual AWS environment with the server's root user in it, and nothing else from this machine."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = server.access, server.secret
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
