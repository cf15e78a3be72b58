"""A release as a folder, and the check that it is exactly what its digest names.

This module travels inside every release and is what a service runs before anything else, so it
imports nothing but the standard library and `lockstep.errors`.

A folder holds `manifest.json`, `config.json` and one file for each layer, at the layer's title.
verify_bundle:
    (0) manifest.json hashes to the digest;
    (1) it is a release manifest in canonical form, and every title is a plain relative path;
    (2) the folder holds those files and the folders between, nothing else: no link, device or `.pyc`;
    (3) every file has the size and the hash that the manifest states.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep.errors import IntegrityError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
RELEASE_TYPE = "application/vnd.lockstep.release.v1+json"
CONFIG_TYPE = "application/vnd.lockstep.release.config.v1+json"
LAYER_TYPE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
MODEL = "dev.lockstep.model"
NAME = "dev.lockstep.name"
MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.json"
MAX_MANIFEST = 1 << 20

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TITLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def corrupt(message: str) -> IntegrityError:
    """The one error for bytes that are not what a release's digest names."""
    return IntegrityError(
        message,
        code="release.corrupt",
        remedy="do not use this copy: build the release again, or fetch it from a store that verifies",
    )


@dataclass(frozen=True)
class Blob:
    """One file of a release. title: its relative path; size in bytes."""

    title: str
    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.title} ({self.digest})"


@dataclass(frozen=True)
class Manifest:
    """What a release is made of. digest: its name; config: the small JSON with model, name and runtimes."""

    digest: str
    model: str
    name: str
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Everything that the manifest names: config first, then the layers by title."""
        return (self.config, *self.layers)

    def blob(self, title: str) -> Blob:
        """The blob with this title. Raises IntegrityError `release.corrupt` where there is none."""
        for blob in self.blobs:
            if blob.title == title:
                return blob
        raise corrupt(f"release {self.digest} has no file {title}")


def parse_manifest(data: bytes, digest: str) -> Manifest:
    """Read a release manifest, after checking that it is the one the digest names.

    Raises IntegrityError `release.corrupt` for other bytes, another artifact type, another form than
    canonical JSON, a title that is no plain relative path, and titles that are double or collide.
    """
    found = "sha256:" + hashlib.sha256(data).hexdigest()
    if found != digest:
        raise corrupt(f"{MANIFEST_FILE} of release {digest} is corrupt: its bytes hash to {found}")
    value = read_canonical(data, f"manifest of {digest}")
    if (value.get("schemaVersion"), value.get("mediaType")) != (2, MANIFEST_TYPE):
        raise corrupt(f"{digest} is not an OCI image manifest")
    if value.get("artifactType") != RELEASE_TYPE:
        raise corrupt(f"{digest} is not a release: its artifact type is {value.get('artifactType')!r}")
    if "subject" in value or not isinstance(value.get("layers"), list):
        raise corrupt(f"manifest of {digest} is malformed")
    layers = tuple(_layer(item, digest) for item in value["layers"])
    _check_titles([layer.title for layer in layers], digest)
    annotations = value.get("annotations")
    if not isinstance(annotations, dict):
        raise corrupt(f"manifest of {digest} names no model")
    model, name = annotations.get(MODEL), annotations.get(NAME)
    if not (isinstance(model, str) and model and isinstance(name, str) and name):
        raise corrupt(f"manifest of {digest} names no model")
    return Manifest(digest, model, name, _blob(value.get("config"), CONFIG_FILE, digest), layers)


def read_canonical(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object of strings and integers in its canonical bytes, so that no two readers can differ.

    For such values sorted keys without spaces are the RFC 8785 form: double keys, floats written in
    other ways and spare white space all fail the comparison. Raises IntegrityError `release.corrupt`.
    """
    try:
        value = json.loads(data.decode("utf-8"))
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise corrupt(f"{what} is not JSON") from None
    if not isinstance(value, dict) or again != data:
        raise corrupt(f"{what} is not a canonical JSON object")
    return value


def _blob(item: object, title: str, digest: str) -> Blob:
    if not isinstance(item, dict):
        raise corrupt(f"manifest of {digest}: {title} has no descriptor")
    name, size = item.get("digest"), item.get("size")
    if not isinstance(name, str) or not is_digest(name) or type(size) is not int or size < 0:
        raise corrupt(f"manifest of {digest}: {title} has no valid digest and size")
    return Blob(title, name, size)


def _layer(item: object, digest: str) -> Blob:
    annotations = item.get("annotations") if isinstance(item, dict) else None
    title = annotations.get(TITLE) if isinstance(annotations, dict) else None
    if not isinstance(title, str) or not _TITLE.fullmatch(title):
        raise corrupt(f"manifest of {digest}: a layer's title {title!r} is not a plain relative path")
    return _blob(item, title, digest)


def _check_titles(titles: list[str], digest: str) -> None:
    names = set(titles) | {MANIFEST_FILE, CONFIG_FILE}
    if len(names) != len(titles) + 2:
        raise corrupt(f"manifest of {digest}: titles are double, or use a reserved name")
    if collision := names & _folders(names):
        raise corrupt(f"manifest of {digest}: {sorted(collision)[0]} is both a file and a folder")


def _folders(titles: set[str]) -> set[str]:
    return {str(parent) for title in titles for parent in PurePosixPath(title).parents} - {"."}


def verify_bundle(folder: Path, digest: str) -> Manifest:
    """Check that a folder is exactly the release that the digest names; its manifest.

    Raises IntegrityError `release.corrupt` naming the file that is changed, cut, missing, extra or a
    link. Nothing in the folder may be imported or loaded before this has returned.
    """
    manifest = parse_manifest(_read_manifest(folder, digest), digest)  # (0) (1)
    files = {MANIFEST_FILE} | {blob.title for blob in manifest.blobs}
    expected = files | {folder_name + "/" for folder_name in _folders(files)}
    present = set(_walk(folder, ""))
    for title in sorted(present - expected):  # (2)
        raise corrupt(f"release {digest}: {title} is not part of it")
    for title in sorted(expected - present):
        raise corrupt(f"release {digest}: {title} is missing")
    for blob in manifest.blobs:  # (3)
        check_file(folder / blob.title, blob)
    return manifest


def _read_manifest(folder: Path, digest: str) -> bytes:
    try:
        with open_plain(folder / MANIFEST_FILE) as file:
            return bytes(file.read(MAX_MANIFEST + 1))
    except FileNotFoundError:
        raise corrupt(f"release {digest}: {MANIFEST_FILE} is missing") from None


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    """Every name below the folder, folders ending in a slash; refuses what is neither file nor folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield name + "/"
                yield from _walk(Path(entry.path), name + "/")
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                raise corrupt(f"{name} is a link or a special file, which no release holds")


def open_plain(path: Path) -> Any:
    """Open a regular file for reading in binary, never through a symbolic link at its end.

    Raises FileNotFoundError, and IntegrityError `release.corrupt` for a link or a special file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        raise corrupt(f"{path.name} is a link or cannot be read") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise corrupt(f"{path.name} is not a regular file")
    return os.fdopen(handle, "rb")


def check_file(path: Path, blob: Blob) -> None:
    """Rehash one file. Raises IntegrityError `release.corrupt` naming the blob."""
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise corrupt(f"blob {blob} is missing") from None
    if size != blob.size:
        raise corrupt(f"blob {blob} is corrupt: it has {size} bytes, its manifest says {blob.size}")
    if found != blob.digest:
        raise corrupt(f"blob {blob} is corrupt: its bytes hash to {found}")
