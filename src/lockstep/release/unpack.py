"""From a store to a verified folder: whole or not there, and going on where a killed one stopped.

    (1) each blob goes into `.<hex>.parts/<hex of the blob>`, hashed while it is read, synced; until it is
        whole its name ends in `.partial`, and the next process reads on from there;
    (2) the blobs are linked to their titles in `.<hex>.new`, and its folders are synced;
    (3) `.<hex>.new` is renamed to `<hex>`, and what (1) left goes.

What an earlier process left is never believed: it is hashed again before a byte is added.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lockstep import files
from lockstep.errors import IntegrityError
from lockstep.lock import locked
from lockstep.release import bundle, layout, pour
from lockstep.release.bundle import Blob, Manifest
from lockstep.release.layout import Layout

PARTIAL = ".partial"
UNPACKING_S = 3600.0
"""How long one process waits for another that is unpacking into the same folder."""


def unpack(source: Layout, data: bytes, manifest: Manifest, folder: Path) -> Path:
    """The release as `folder/<hex>`; a folder that is there is hashed, never repaired.

    data: the manifest's bytes. Raises IntegrityError `release.corrupt`, Unavailable `release.store_failed`.
    """
    target = folder / manifest.digest.removeprefix("sha256:")
    with layout.failing_loudly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", deadline_s=UNPACKING_S):
            if target.exists() or target.is_symlink():
                bundle.verify_bundle(target, manifest.digest)
            else:
                _make(source, data, manifest, target)
    return target


def _make(source: Layout, data: bytes, manifest: Manifest, target: Path) -> None:
    parts = target.with_name(f".{target.name}.parts")
    beside = target.with_name(f".{target.name}.new")
    own = Blob(bundle.MANIFEST_FILE, manifest.digest, len(data))
    parts.mkdir(exist_ok=True)
    for blob in manifest.blobs:
        _fetch(source, blob, parts)  # (1)
    path = _part(parts, own)
    path.unlink(missing_ok=True)
    files.write_atomic(path, data, mode=0o444)
    if beside.exists():  # left by a process that was killed here: the lock is ours
        shutil.rmtree(beside)
    beside.mkdir()
    for blob in (own, *manifest.blobs):
        path = beside / blob.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(_part(parts, blob))  # (2)
    for inner, _, _ in os.walk(beside):
        files.sync_folder(Path(inner))
    beside.rename(target)  # (3)
    files.sync_folder(target.parent)
    shutil.rmtree(parts)


def _part(parts: Path, blob: Blob) -> Path:
    return parts / blob.digest.removeprefix("sha256:")


def _fetch(source: Layout, blob: Blob, parts: Path) -> None:
    """Have a blob whole in `parts`. A beginning that is not the blob's is dropped once and read anew."""
    whole = _part(parts, blob)
    if _is_whole(whole, blob):
        return
    partial = whole.with_name(whole.name + PARTIAL)
    resumed = partial.exists()
    try:
        _read_on(source, blob, partial)
    except IntegrityError:
        partial.unlink(missing_ok=True)
        if not resumed:
            raise
        _read_on(source, blob, partial)
    partial.rename(whole)


def _is_whole(path: Path, blob: Blob) -> bool:
    try:
        bundle.check_file(path, blob)
    except IntegrityError:
        path.unlink(missing_ok=True)
        return False
    return True


def _read_on(source: Layout, blob: Blob, partial: Path) -> None:
    """Append what is missing, hash all of it. Raises `release.corrupt`, leaving no bad file."""
    found, size = hashlib.sha256(), 0
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, 0o600), "r+b") as file:
        for piece in pour.pieces(file):
            found.update(piece)
            size += len(piece)
        missing = source.stream(blob.digest, blob.title, size) if size < blob.size else iter(())
        try:
            size += pour.pour(_at_most(missing, blob.size - size), file, found)
            layout.require_same(blob, size, found.hexdigest())
        except IntegrityError:
            partial.unlink(missing_ok=True)
            raise


def _at_most(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """The pieces, and no more than one of them beyond the limit: too much is told, not written to the end."""
    for piece in pieces:
        yield piece
        limit -= len(piece)
        if limit < 0:
            return
