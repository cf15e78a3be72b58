"""Removing releases from the store in a folder: what goes, and the order in which it goes.

    (1) `survey` names the releases that nobody refers to, what is attached to them, and every blob that
        nothing else needs; it changes nothing;
    (2) `remove` writes the index without them, then removes the blobs: killed in between, blobs are left
        that nothing lists, and the next survey names them.

Each manifest that is kept must be readable, or it is not known which blobs it needs: then nothing goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lockstep import files
from lockstep.errors import IntegrityError
from lockstep.release import bundle, layout
from lockstep.release.folder import FolderLayout, FolderStore
from lockstep.release.layout import Descriptor, Step
from lockstep.release.releases import SUBJECT
from lockstep.release.store import ReleaseEntry

_MANIFESTS = (bundle.MANIFEST_TYPE, layout.INDEX_TYPE)


@dataclass(frozen=True)
class Garbage:
    """releases: to go; attached: digests of what is attached to them; blobs: digest -> bytes on disk."""

    releases: tuple[ReleaseEntry, ...] = ()
    attached: frozenset[str] = frozenset()
    blobs: dict[str, int] = field(default_factory=dict)

    @property
    def entries(self) -> frozenset[str]:
        """The digests that leave the index."""
        return self.attached | {entry.digest for entry in self.releases}


def survey(store: FolderStore, referred: frozenset[str]) -> Garbage:
    """What nobody needs who needs only `referred`. Raises IntegrityError `release.corrupt`."""
    folder = store.folder
    with folder.failing():
        index = folder.index()
        unused = tuple(entry for entry in store.list() if entry.digest not in referred)
        attached = _attached(folder, index, {entry.digest for entry in unused})
        going = attached | {entry.digest for entry in unused}
        needed: set[str] = set()
        for item in index:
            if item["digest"] not in going:
                _need(folder, item["digest"], needed)
        there = sorted(folder.blobs.iterdir()) if folder.blobs.is_dir() else []
        sizes = {f"sha256:{path.name}": path.lstat().st_size for path in there}
        blobs = {digest: size for digest, size in sizes.items() if bundle.is_digest(digest)}
        return Garbage(unused, frozenset(attached), {d: s for d, s in blobs.items() if d not in needed})


def _attached(folder: FolderLayout, index: list[Descriptor], unused: set[str]) -> set[str]:
    """What is attached to an unused release, or to something that is."""
    subjects = {item["digest"]: _subject(folder, item) for item in index}
    found: set[str] = set()
    while more := {one for one, about in subjects.items() if about in unused | found} - found:
        found |= more
    return found


def _subject(folder: FolderLayout, item: Descriptor) -> str | None:
    """What a listed manifest is about, by its own word; by the index's where it is damaged."""
    try:
        about = _manifest(folder, item["digest"]).get("subject")
    except IntegrityError:
        about = {"digest": item.get("annotations", {}).get(SUBJECT)}
    return str(about.get("digest")) if isinstance(about, dict) else None


def _manifest(folder: FolderLayout, digest: str) -> dict[str, Any]:
    return bundle.read_canonical(layout.read(folder, digest, limit=bundle.MAX_MANIFEST), digest)


def _need(folder: FolderLayout, digest: str, needed: set[str]) -> None:
    """Everything that a manifest names, and that those name that are manifests themselves."""
    if digest in needed:
        return
    needed.add(digest)
    for item in _descriptors(_manifest(folder, digest)):
        if item.get("mediaType") in _MANIFESTS and folder.path(item["digest"]).exists():
            _need(folder, item["digest"], needed)
        needed.add(item["digest"])


def _descriptors(value: object) -> Iterator[Descriptor]:
    if isinstance(value, dict):
        if layout.is_descriptor(value):
            yield value
        for inner in value.values():
            yield from _descriptors(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _descriptors(inner)


def remove(store: FolderStore, shown: Garbage, referred: frozenset[str], step: Step) -> Garbage:
    """Remove what was shown and is still garbage now; what that was. Nobody writes to the store meanwhile.

    A release that was put, or referred to, since it was shown stays with all that it needs.
    """
    folder = store.folder
    with folder.failing(), folder.writing():
        since = {entry.digest for entry in store.list()} - {entry.digest for entry in shown.releases}
        now = survey(store, referred | since)
        blobs = {digest: size for digest, size in now.blobs.items() if digest in shown.blobs}
        if now.entries:
            kept = [item for item in folder.index() if item["digest"] not in now.entries]
            folder.write_index(kept, step)
        for digest in blobs:
            folder.path(digest).unlink()
            step(f"removed {digest}")
        if blobs:
            files.sync_folder(folder.blobs)
    return Garbage(now.releases, now.attached, blobs)
