"""The `file://` store: an OCI image layout (layout.py) in a folder.

Blobs are written to `tmp/`, hashed on the way, synced, made read-only and then linked to their name; a link
never replaces what is there. `index.json` is what makes things reachable and is renamed into place last.
Whoever writes holds the lock, so whatever is in `tmp/` when a lock is taken was left by a writer that died.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from lockstep import files
from lockstep.lock import locked
from lockstep.release import bundle, layout, pour
from lockstep.release.bundle import Blob, corrupt
from lockstep.release.layout import Descriptor, Step
from lockstep.release.releases import Releases

WRITING_S = 3600.0
"""How long a writer waits for another: a bundle of many gigabytes takes minutes to be written."""


class FolderLayout:
    """A Layout in a folder. See layout.Layout for what each method promises."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"
        self.tmp = root / "tmp"

    def failing(self) -> contextlib.AbstractContextManager[None]:
        return layout.failing_loudly(self.root)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's lock, with the folders there and nothing left of a writer that died."""
        self._refuse_links()
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.tmp.mkdir(exist_ok=True)
        with locked(self.root / ".lock", deadline_s=WRITING_S):
            for left in self.tmp.iterdir():
                left.unlink()
            if not (self.root / "oci-layout").exists():
                files.write_atomic(self.root / "oci-layout", layout.LAYOUT, mode=0o444)
            yield

    def _refuse_links(self) -> None:
        for folder in (self.blobs, self.blobs.parent, self.tmp):
            if folder.is_symlink():
                raise corrupt(f"{folder.relative_to(self.root)} of the store is a link")

    def path(self, digest: str) -> Path:
        return self.blobs / layout.require_digest(digest)

    def stream(self, digest: str, title: str = "", start: int = 0) -> Iterator[bytes]:
        self._refuse_links()
        try:
            file = bundle.open_plain(self.path(digest))
        except FileNotFoundError:
            raise corrupt(f"blob {layout.named(digest, title)} is missing") from None
        with file:
            yield from pour.pieces(file, start)

    def add(self, blob: Blob, source: bytes | Path, step: Step) -> None:
        path = self.path(blob.digest)
        if path.exists():
            bundle.check_file(path, blob)
            return
        beside = self.tmp / path.name
        found = hashlib.sha256()
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(beside.open("xb"))
            if isinstance(source, bytes):
                pieces = iter([source])
            else:
                pieces = pour.pieces(opened.enter_context(bundle.open_plain(source)))
            size = pour.pour(pieces, file, found)
        step(f"written {blob.title}")
        layout.require_source(blob, size, found.hexdigest())
        path.hardlink_to(beside)
        beside.unlink()
        step(f"linked {blob.title}")

    def index(self) -> list[Descriptor]:
        try:
            with bundle.open_plain(self.root / "index.json") as file:
                return layout.parse_index(file.read(layout.MAX_INDEX + 1))
        except FileNotFoundError:
            return []

    def enter(self, entry: Descriptor, step: Step) -> None:
        files.sync_folder(self.blobs)  # the names of the blobs are on disk before anything says that they are
        known = self.index()
        if all(item["digest"] != entry["digest"] for item in known):
            self.write_index([*known, entry], step)

    def write_index(self, descriptors: list[Descriptor], step: Step) -> None:
        """Replace index.json; to be called within `writing`."""
        beside = self.tmp / "index.json"
        files.write_atomic(beside, layout.render_index(descriptors), mode=0o644)
        step("written index.json")
        beside.replace(self.root / "index.json")
        files.sync_folder(self.root)
        step("renamed index.json")


class FolderStore(Releases):
    """A Store in a folder. See store.Store for what each method promises."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = FolderLayout(root)
        super().__init__(self.folder)
