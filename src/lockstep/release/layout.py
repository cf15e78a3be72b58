"""An OCI image layout in a folder: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.

Blobs are written to `tmp/`, synced, made read-only and then linked to their name; a link never replaces
what is there. `index.json` is what makes things reachable and is renamed into place last. Whoever
writes holds the lock, so whatever is in `tmp/` when a lock is taken was left by a writer that died.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep import canonical, files
from lockstep.errors import IntegrityError
from lockstep.lock import locked
from lockstep.release import bundle
from lockstep.release.bundle import corrupt

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYOUT = canonical.canonical({"imageLayoutVersion": "1.0.0"})


class Layout:
    """The folder and its rules; knows nothing of releases."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._tmp = root / "tmp"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's lock, with the folders there and nothing left of a writer that died."""
        self._refuse_links()
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._tmp.mkdir(exist_ok=True)
        with locked(self.root / ".lock"):
            for left in self._tmp.iterdir():
                left.unlink()
            if not (self.root / "oci-layout").exists():
                files.write_atomic(self.root / "oci-layout", LAYOUT, mode=0o444)
            yield

    def _refuse_links(self) -> None:
        for folder in (self._blobs, self._blobs.parent, self._tmp):
            if folder.is_symlink():
                raise corrupt(f"{folder.relative_to(self.root)} of the store is a link")

    def path(self, digest: str) -> Path:
        if not bundle.is_digest(digest):
            raise corrupt(f"{digest!r} is not the digest of a blob")
        return self._blobs / digest.removeprefix("sha256:")

    def read(self, digest: str, title: str = "") -> bytes:
        """A blob's bytes, hashed. Raises IntegrityError `release.corrupt` naming it, title first."""
        name = f"{title} ({digest})" if title else digest
        self._refuse_links()
        try:
            with bundle.open_plain(self.path(digest)) as file:
                data = bytes(file.read())
        except FileNotFoundError:
            raise corrupt(f"blob {name} is missing") from None
        if (found := canonical.digest(data)) != digest:
            raise corrupt(f"blob {name} is corrupt: its bytes hash to {found}")
        return data

    def check(self, blob: bundle.Blob) -> None:
        """Hash a blob where it lies. Raises IntegrityError `release.corrupt` naming it."""
        self._refuse_links()
        bundle.check_file(self.path(blob.digest), blob)

    def add(self, digest: str, source: bytes | Path, step: Callable[[str], None], title: str) -> None:
        """Add a blob; the lock is held. A blob that is there is hashed and left as it is.

        Raises IntegrityError `release.corrupt` where the source is not what the digest names.
        """
        if self.path(digest).exists():
            self.read(digest, title)
            return
        beside = self._tmp / digest.removeprefix("sha256:")
        with beside.open("xb") as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                with bundle.open_plain(source) as original:
                    shutil.copyfileobj(original, file)
            os.fchmod(file.fileno(), 0o444)
            file.flush()
            os.fsync(file.fileno())
        step(f"written {title}")
        with beside.open("rb") as file:
            if "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise corrupt(f"what was to be stored as {title} is not {digest}")
        self.path(digest).hardlink_to(beside)
        beside.unlink()
        files.sync_folder(self._blobs)
        step(f"linked {title}")

    def index(self) -> list[dict[str, Any]]:
        """The descriptors in index.json, oldest first; empty where there is no store yet."""
        try:
            with bundle.open_plain(self.root / "index.json") as file:
                value = canonical.parse(file.read())
        except FileNotFoundError:
            return []
        except IntegrityError as error:
            raise corrupt(f"index.json of the store cannot be read: {error.message}") from None
        listed = value.get("manifests") if isinstance(value, dict) else None
        if not isinstance(listed, list) or not all(_is_descriptor(item) for item in listed):
            raise corrupt("index.json of the store is not an OCI image index")
        return listed

    def write_index(self, descriptors: list[dict[str, Any]], step: Callable[[str], None]) -> None:
        """Replace index.json; the lock is held."""
        data = canonical.canonical(
            {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors},
        )
        beside = self._tmp / "index.json"
        files.write_atomic(beside, data, mode=0o644)
        step("written index.json")
        beside.replace(self.root / "index.json")
        files.sync_folder(self.root)
        step("renamed index.json")


def _is_descriptor(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("annotations", {}), dict):
        return False
    digest = item.get("digest")
    return isinstance(digest, str) and bundle.is_digest(digest)
