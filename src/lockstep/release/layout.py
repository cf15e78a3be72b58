"""An OCI image layout, whatever it lies in: blobs by digest, and an index that makes them reachable.

`oci-layout`, `index.json`, `blobs/sha256/<hex>`: https://github.com/opencontainers/image-spec v1.1. A layout
knows nothing of releases. What is read from it is hashed here, while it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from lockstep import canonical
from lockstep.errors import IntegrityError, Unavailable
from lockstep.release import bundle
from lockstep.release.bundle import Blob, corrupt

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYOUT = canonical.canonical({"imageLayoutVersion": "1.0.0"})
MAX_INDEX = 64 << 20
Step = Callable[[str], None]
Descriptor = dict[str, Any]


class Layout(Protocol):
    """Where the blobs lie. Digests are `sha256:<64 hex>`; others raise IntegrityError `release.corrupt`."""

    def failing(self) -> AbstractContextManager[None]:
        """Failures of the medium leave the block as Unavailable `release.store_failed`."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Everything that is written is written within this: what the medium needs is made first."""
        ...

    def stream(self, digest: str, title: str = "", start: int = 0) -> Iterator[bytes]:
        """A blob's bytes from an offset on, in pieces, not hashed. Raises `release.corrupt` if missing."""
        ...

    def add(self, blob: Blob, source: bytes | Path, step: Step) -> None:
        """Add a blob whole or not at all; one that is there is looked at and left as it is.

        Raises IntegrityError `release.corrupt` where the source is not what the blob's digest and size say.
        """
        ...

    def index(self) -> list[Descriptor]:
        """What is reachable, oldest first; empty where there is no store yet."""
        ...

    def enter(self, entry: Descriptor, step: Step) -> None:
        """Make a manifest reachable, after its blobs; nothing where it is listed already."""
        ...


@contextlib.contextmanager
def failing_loudly(folder: Path) -> Iterator[None]:
    """OSError leaves the block as Unavailable `release.store_failed`."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the release store failed: {error.strerror or error}",
            code="release.store_failed",
            remedy=f"look at the folder {folder}: its space, its permissions, its disk",
        ) from error


def named(digest: str, title: str) -> str:
    return f"{title} ({digest})" if title else digest


def require_digest(digest: str) -> str:
    """The hex digits of a digest; what is none never becomes a path or a key."""
    if not bundle.is_digest(digest):
        raise corrupt(f"{digest!r} is not the digest of a blob")
    return digest.removeprefix("sha256:")


def read(layout: Layout, digest: str, title: str = "", *, limit: int | None = None) -> bytes:
    """A blob's bytes, hashed. Raises IntegrityError `release.corrupt` naming it, title first.

    limit: more bytes than this are refused before they are in memory.
    """
    pieces, size = [], 0
    for piece in layout.stream(digest, title):
        pieces.append(piece)
        size += len(piece)
        if limit is not None and size > limit:
            raise corrupt(f"blob {named(digest, title)} is corrupt: it has more than {limit} bytes")
    data = b"".join(pieces)
    if (found := canonical.digest(data)) != digest:
        raise corrupt(f"blob {named(digest, title)} is corrupt: its bytes hash to {found}")
    return data


def check(layout: Layout, blob: Blob) -> None:
    """Hash a blob where it lies, in pieces. Raises IntegrityError `release.corrupt` naming it."""
    found, size = hashlib.sha256(), 0
    for piece in layout.stream(blob.digest, blob.title):
        found.update(piece)
        size += len(piece)
    require_same(blob, size, found.hexdigest())


def require_same(blob: Blob, size: int, hexdigest: str) -> None:
    """What was read is the blob. Raises IntegrityError `release.corrupt`."""
    if size != blob.size:
        raise corrupt(f"blob {blob} is corrupt: it has {size} bytes, its manifest says {blob.size}")
    if "sha256:" + hexdigest != blob.digest:
        raise corrupt(f"blob {blob} is corrupt: its bytes hash to sha256:{hexdigest}")


def require_source(blob: Blob, size: int, hexdigest: str) -> None:
    """What was given is the blob that it was given as. Raises IntegrityError `release.corrupt`."""
    if size != blob.size or "sha256:" + hexdigest != blob.digest:
        raise corrupt(f"what was to be stored as {blob.title} is not {blob.digest} of {blob.size} bytes")


def parse_index(data: bytes) -> list[Descriptor]:
    """The descriptors of an index.json. Raises IntegrityError `release.corrupt`."""
    if len(data) > MAX_INDEX:
        raise corrupt(f"index.json of the store has more than {MAX_INDEX} bytes")
    try:
        value = canonical.parse(data)
    except IntegrityError as error:
        raise corrupt(f"index.json of the store cannot be read: {error.message}") from None
    listed = value.get("manifests") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not all(is_descriptor(item) for item in listed):
        raise corrupt("index.json of the store is not an OCI image index")
    return listed


def render_index(descriptors: list[Descriptor]) -> bytes:
    return canonical.canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors})


def is_descriptor(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("annotations", {}), dict):
        return False
    digest = item.get("digest")
    return isinstance(digest, str) and bundle.is_digest(digest)
