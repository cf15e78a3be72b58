"""The release store: what every store promises.

A store never overwrites: what a digest names is what it always named. Every reader hashes what it
reads. Both kinds are OCI image layouts: `file://` in a folder (folder.py), `s3://` in a bucket (s3.py);
what they share is releases.py. `lockstep.stores` opens the one that a URL names.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
        """The bytes of a blob, hashed; the only call whose memory is that of the blob."""
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
        """The release as a verified folder, `folder/<hex>`. One that is there is hashed, never repaired.

        Killed, it leaves no half folder, and the next call goes on with the bytes that are there.
        """
        ...
