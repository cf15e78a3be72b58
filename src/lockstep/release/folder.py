"""The `file://` store: releases and what is attached to them, in an OCI image layout (layout.py).

A put writes blobs, then the manifest, then the index entry: killed anywhere, nothing is reachable that
is not whole. Only what the index lists is known, whatever else lies in the folder.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstep import canonical, files
from lockstep.errors import IntegrityError, Unavailable, UsageError
from lockstep.lock import locked
from lockstep.release import bundle, manifest
from lockstep.release.bundle import Manifest, corrupt
from lockstep.release.layout import Layout
from lockstep.release.store import Referrer, ReleaseEntry

CREATED = "org.opencontainers.image.created"
SUBJECT = "dev.lockstep.subject"
_SHORTEST_PREFIX = 4


def _no_step(_: str) -> None:
    """Nobody listens to the points between writes."""


@contextlib.contextmanager
def _failing_loudly(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the release store failed: {error.strerror or error}",
            code="release.store_failed",
            remedy=f"look at the folder {root}: its space, its permissions, its disk",
        ) from error


class FolderStore:
    """A Store in a folder. See store.Store for what each method promises."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layout = Layout(root)

    def put(
        self,
        manifest: bytes,
        blobs: Mapping[str, bytes | Path],
        *,
        created: str,
        on_step: Callable[[str], None] = _no_step,
    ) -> str:
        digest = canonical.digest(manifest)
        parsed = bundle.parse_manifest(manifest, digest)
        if missing := [blob for blob in parsed.blobs if blob.digest not in blobs]:
            raise corrupt(f"release {digest} cannot be stored: its {missing[0]} is not given")
        entry = {
            **_descriptor(manifest, bundle.RELEASE_TYPE),
            "annotations": {CREATED: created, bundle.MODEL: parsed.model, bundle.NAME: parsed.name},
        }
        with _failing_loudly(self.root), self._layout.writing():
            on_step("locked")
            for blob in parsed.blobs:
                self._layout.add(blob.digest, blobs[blob.digest], on_step, blob.title)
                self._layout.check(blob)
            self._layout.add(digest, manifest, on_step, bundle.MANIFEST_FILE)
            self._list(entry, on_step)
        return digest

    def _list(self, entry: dict[str, Any], step: Callable[[str], None]) -> None:
        index = self._layout.index()
        if all(known["digest"] != entry["digest"] for known in index):
            self._layout.write_index([*index, entry], step)

    def manifest(self, digest: str) -> Manifest:
        with _failing_loudly(self.root):
            self._require(digest)
            return bundle.parse_manifest(self._layout.read(digest, bundle.MANIFEST_FILE), digest)

    def _require(self, digest: str) -> None:
        listed = [item for item in self._layout.index() if item["digest"] == digest]
        if not listed or self._entry(listed[0]) is None:
            raise _unknown(digest)

    def read_blob(self, digest: str) -> bytes:
        with _failing_loudly(self.root):
            return self._layout.read(digest)

    def verify(self, digest: str) -> None:
        parsed = self.manifest(digest)
        with _failing_loudly(self.root):
            for blob in parsed.blobs:
                self._layout.check(blob)

    def list(self, model: str | None = None) -> list[ReleaseEntry]:
        with _failing_loudly(self.root):
            entries = [self._entry(item) for item in self._layout.index()]
        found = [entry for entry in entries if entry is not None and model in (None, entry.model)]
        return sorted(found, key=lambda entry: entry.created)

    def _entry(self, item: dict[str, Any]) -> ReleaseEntry | None:
        """The manifest says what it is; the index is asked only where the manifest is damaged."""
        notes = item.get("annotations", {})
        model, name = notes.get(bundle.MODEL), notes.get(bundle.NAME)
        try:
            value = bundle.read_canonical(self._layout.read(item["digest"]), item["digest"])
        except IntegrityError:
            if item.get("artifactType") != bundle.RELEASE_TYPE:
                return None
        else:
            if value.get("artifactType") != bundle.RELEASE_TYPE:
                return None
            own = value.get("annotations", {})
            model, name = own.get(bundle.MODEL), own.get(bundle.NAME)
        return ReleaseEntry(item["digest"], str(model), str(name), str(notes.get(CREATED, "")))

    def resolve(self, prefix: str) -> str:
        wanted = prefix.removeprefix("sha256:").lower()
        found = [
            entry.digest
            for entry in self.list()
            if entry.digest.removeprefix("sha256:").startswith(wanted) and len(wanted) >= _SHORTEST_PREFIX
        ]
        if not found:
            raise _unknown(prefix)
        if len(found) > 1:
            raise UsageError(
                f"{prefix!r} is the start of {len(found)} releases: {', '.join(sorted(found))}",
                code="release.ambiguous",
                remedy="give more digits",
            )
        return found[0]

    def attach(self, subject: str, artifact_type: str, payload: bytes) -> str:
        self.manifest(subject)
        with _failing_loudly(self.root), self._layout.writing():
            about = _descriptor(self._layout.read(subject, bundle.MANIFEST_FILE), None)
            data = manifest.referrer(about, artifact_type, payload)
            digest = canonical.digest(data)
            for title, blob in (("empty config", manifest.EMPTY), ("payload", payload), ("referrer", data)):
                self._layout.add(canonical.digest(blob), blob, _no_step, title)
            entry = {**_descriptor(data, artifact_type), "annotations": {SUBJECT: subject}}
            self._list(entry, _no_step)
        return digest

    def referrers(self, digest: str, artifact_type: str | None = None) -> builtins.list[Referrer]:
        with _failing_loudly(self.root):
            self._require(digest)
            found = [self._referrer(item, digest) for item in self._layout.index()]
        return [item for item in found if item is not None and artifact_type in (None, item.artifact_type)]

    def _referrer(self, item: dict[str, Any], subject: str) -> Referrer | None:
        """The index says where to look; only what the hashed manifest itself says is believed."""
        listed, kind = item.get("annotations", {}).get(SUBJECT), str(item.get("artifactType", ""))
        if listed not in (None, subject) or kind == bundle.RELEASE_TYPE:
            return None
        try:
            value = bundle.read_canonical(self._layout.read(item["digest"]), item["digest"])
            about = value.get("subject")
            if not isinstance(about, dict) or about.get("digest") != subject:
                if listed is None:
                    return None
                raise corrupt(f"{item['digest']} is listed for {subject} but is about something else")
            kind = str(value.get("artifactType", ""))
            layers = value.get("layers")
            if not isinstance(layers, list) or len(layers) != 1 or not isinstance(layers[0], dict):
                raise corrupt(f"{item['digest']} does not hold exactly one payload")
            payload = self._layout.read(str(layers[0].get("digest")), "payload")
        except IntegrityError as error:
            return Referrer(item["digest"], kind, b"", problem=error.message) if listed else None
        return Referrer(item["digest"], kind, payload)

    def materialize(self, digest: str, folder: Path) -> Path:
        parsed = self.manifest(digest)
        target = folder / digest.removeprefix("sha256:")
        with _failing_loudly(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock"):
                if not target.exists() and not target.is_symlink():
                    self._copy(parsed, folder / f".{target.name}.new", target)
                bundle.verify_bundle(target, digest)
        return target

    def _copy(self, parsed: Manifest, beside: Path, target: Path) -> None:
        if beside.exists():  # left by a process that was killed here: the lock is ours
            shutil.rmtree(beside)
        beside.mkdir()
        contents = {bundle.MANIFEST_FILE: parsed.digest, **{blob.title: blob.digest for blob in parsed.blobs}}
        for title, digest in contents.items():
            path = beside / title
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(self._layout.read(digest, title))
                os.fchmod(file.fileno(), 0o444)
                file.flush()
                os.fsync(file.fileno())
        bundle.verify_bundle(beside, parsed.digest)
        beside.rename(target)
        files.sync_folder(target.parent)


def _descriptor(data: bytes, artifact_type: str | None) -> dict[str, Any]:
    plain = manifest.descriptor(bundle.MANIFEST_TYPE, data)
    return plain if artifact_type is None else {**plain, "artifactType": artifact_type}


def _unknown(digest: str) -> UsageError:
    return UsageError(
        f"release {digest!r} is not in the store", code="release.unknown", remedy="./lockstep release list"
    )
