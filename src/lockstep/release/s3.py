"""The `s3://` store: an OCI image layout under a prefix of a bucket, written by several at once.

    <prefix>oci-layout
    <prefix>blobs/sha256/<hex>   `If-None-Match: *` and SHA-256, from 8 MiB on in parts (multipart.py)
    <prefix>entries/<hex>        a manifest's descriptor, `If-None-Match: *`: what makes it reachable
    <prefix>index.json           all descriptors, for standard readers; `If-Match`, merged from the entries

S3 has no lock and no rename. So nobody's entry depends on anybody else's: an entry is an object of its own
and is never written again. index.json follows from the entries; a writer that dies before it leaves the
merge to the next one, and a reader takes both, so it misses nothing (docs/adr/0017).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lockstep import canonical
from lockstep.errors import IntegrityError
from lockstep.release import bundle, layout, multipart
from lockstep.release.bundle import Blob, corrupt
from lockstep.release.layout import Descriptor, Step
from lockstep.release.objects import Held, NoSuchKey, Objects
from lockstep.release.releases import Releases

STALE = timedelta(days=7)
"""An upload older than this was left by somebody who will not come back; a slow one is joined before."""
MERGES = 20
MAX_ENTRY = 64 << 10


class S3Layout:
    """A Layout in a bucket. See layout.Layout for what each method promises."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix

    def failing(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # Objects raises Unavailable itself

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """No lock: whoever else writes, writes the same bytes to the same keys, or other keys."""
        self._objects.put_new(f"{self._prefix}oci-layout", layout.LAYOUT)
        if left := self._objects.uploads(f"{self._prefix}blobs/"):
            oldest = self._objects.now() - STALE
            for upload in left:
                if upload.started < oldest:
                    self._objects.abort(upload.key, upload.id)
        yield

    def _key(self, digest: str) -> str:
        return f"{self._prefix}blobs/sha256/{layout.require_digest(digest)}"

    def stream(self, digest: str, title: str = "", start: int = 0) -> Iterator[bytes]:
        try:
            yield from self._objects.stream(self._key(digest), start)
        except NoSuchKey:
            raise corrupt(f"blob {layout.named(digest, title)} is missing") from None

    def add(self, blob: Blob, source: bytes | Path, step: Step) -> None:
        """A blob that is there is hashed if it is small; of a large one the service's checksums are compared
        with those of the source. Every reader hashes either."""
        key = self._key(blob.digest)
        if blob.size > multipart.SINGLE:
            multipart.add(self, self._objects, key, blob, source, step)
            return
        data = source if isinstance(source, bytes) else _read(source, blob)
        layout.require_source(blob, len(data), hashlib.sha256(data).hexdigest())
        if self._objects.put_new(key, data):
            step(f"written {blob.title}")
        else:
            layout.check(self, blob)

    def index(self) -> list[Descriptor]:
        held = self._objects.read(f"{self._prefix}index.json", layout.MAX_INDEX)
        known = [] if held is None else layout.parse_index(held.data)
        return [*known, *self._unmerged(known)]

    def _unmerged(self, known: list[Descriptor]) -> list[Descriptor]:
        """The entries that index.json does not list."""
        listed = {item["digest"] for item in known}
        folder = f"{self._prefix}entries/"
        digests = [f"sha256:{key.removeprefix(folder)}" for key in self._objects.keys(folder)]
        entries = [self._entry(digest) for digest in digests if digest not in listed]
        return [entry for entry in entries if entry is not None]

    def _entry(self, digest: str) -> Descriptor | None:
        held = self._objects.read(self._entry_key(digest), MAX_ENTRY)
        if held is None:
            return None
        try:
            value = canonical.parse(held.data)
        except IntegrityError:
            value = None
        if not isinstance(value, dict) or not layout.is_descriptor(value) or value["digest"] != digest:
            raise corrupt(f"the entry of {digest} in the store is damaged")
        return value

    def _entry_key(self, digest: str) -> str:
        return f"{self._prefix}entries/{layout.require_digest(digest)}"

    def enter(self, entry: Descriptor, step: Step) -> None:
        if self._objects.put_new(self._entry_key(entry["digest"]), canonical.canonical(entry)):
            step("written entry")
        for _ in range(MERGES):  # who loses that often leaves it to the winner, or to the next writer
            if self._merged(step):
                return

    def _merged(self, step: Step) -> bool:
        """Bring index.json up to the entries; whether it is, or somebody else was faster."""
        key = f"{self._prefix}index.json"
        held: Held | None = self._objects.read(key, layout.MAX_INDEX)
        known = [] if held is None else layout.parse_index(held.data)
        unmerged = self._unmerged(known)
        if not unmerged and held is not None:
            return True
        data = layout.render_index([*known, *unmerged])
        done = (
            self._objects.put_new(key, data) if held is None else self._objects.replace(key, data, held.etag)
        )
        if done:
            step("written index.json")
        return done


def _read(source: Path, blob: Blob) -> bytes:
    with bundle.open_plain(source) as file:
        return bytes(file.read(blob.size + 1))


class S3Store(Releases):
    """A Store in a bucket. See store.Store for what each method promises."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        super().__init__(S3Layout(objects, prefix))
