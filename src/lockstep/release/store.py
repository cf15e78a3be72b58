"""The release store: what every store promises, and how one is opened.

A store never overwrites: what a digest names is what it always named. Every reader hashes what it
reads. `file://` is an OCI image layout in a folder (folder.py).
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lockstep.errors import UsageError
from lockstep.release.bundle import Manifest


@dataclass(frozen=True)
class ReleaseEntry:
    """A line of the list of releases. created: RFC 3339, when it was first put into this store."""

    digest: str
    model: str
    name: str
    created: str


@dataclass(frozen=True)
class Referrer:
    """Something attached to a release. problem: why its payload cannot be used (then it is empty)."""

    digest: str
    artifact_type: str
    payload: bytes
    problem: str | None = None


class Store(Protocol):
    """Where releases lie. Digests are `sha256:<64 hex>`.

    Unknown releases raise UsageError `release.unknown`; bytes that are not what names them raise
    IntegrityError `release.corrupt` naming the blob; a store that fails raises Unavailable
    `release.store_failed`.
    """

    def put(
        self,
        manifest: bytes,
        blobs: Mapping[str, bytes | Path],
        *,
        created: str,
        on_step: Callable[[str], None] = ...,
    ) -> str:
        """Add a release whole or not at all; its digest. Nothing changes where it is already there.

        `on_step` hears the name of each point between two writes, for tests that kill there.
        """
        ...

    def manifest(self, digest: str) -> Manifest:
        """The release's verified manifest; its blobs are not looked at."""
        ...

    def read_blob(self, digest: str) -> bytes:
        """The bytes of a blob, hashed."""
        ...

    def verify(self, digest: str) -> None:
        """Hash the release's manifest and every blob of it."""
        ...

    def list(self, model: str | None = None) -> list[ReleaseEntry]:
        """Oldest first. A release whose manifest is damaged is still listed, as the index describes it."""
        ...

    def resolve(self, prefix: str) -> str:
        """The one release whose digest starts so, with or without `sha256:`.

        Raises UsageError `release.unknown`, and `release.ambiguous` where several do.
        """
        ...

    def attach(self, subject: str, artifact_type: str, payload: bytes) -> str:
        """Attach a payload to a release; the digest of the manifest that does it."""
        ...

    def referrers(self, digest: str, artifact_type: str | None = None) -> builtins.list[Referrer]:
        """What is attached to a release, oldest first; damaged ones with their problem."""
        ...

    def materialize(self, digest: str, folder: Path) -> Path:
        """The release as a verified folder, `folder/<hex>`. One that is there is hashed, never repaired."""
        ...


def open_store(url: str) -> Store:
    """The store at a URL: `file:///absolute/path`. Nothing is made before the first put.

    Raises UsageError `release.store_url` for other URLs.
    """
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    plain = not (parts.query or parts.fragment)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not plain or not path.is_absolute():
        raise UsageError(
            f"{url!r} is not the URL of a release store",
            code="release.store_url",
            remedy="give an absolute folder as file:///path/to/store",
        )
    from lockstep.release.folder import FolderStore

    return FolderStore(path)
