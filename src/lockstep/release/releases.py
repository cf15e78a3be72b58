"""Releases and what is attached to them, in an OCI image layout: the Store over any Layout.

A put writes blobs, then the manifest, then the index entry: killed anywhere, nothing is reachable that
is not whole. Only what the index lists is known, whatever else lies there.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.release import bundle, layout, manifest, unpack
from lockstep.release.bundle import Blob, Manifest, corrupt
from lockstep.release.layout import Descriptor, Layout
from lockstep.release.store import Referrer, ReleaseEntry

CREATED = "org.opencontainers.image.created"
SUBJECT = "dev.lockstep.subject"
_SHORTEST_PREFIX = 4


def _no_step(_: str) -> None:
    """Nobody listens to the points between writes."""


class Releases:
    """A Store. See store.Store for what each method promises."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

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
        own = Blob(bundle.MANIFEST_FILE, digest, len(manifest))
        with self._layout.failing(), self._layout.writing():
            on_step("begun")
            done: set[tuple[str, int]] = set()
            for blob in parsed.blobs:
                if (blob.digest, blob.size) not in done:
                    self._layout.add(blob, blobs[blob.digest], on_step)
                    done.add((blob.digest, blob.size))
            self._layout.add(own, manifest, on_step)
            self._layout.enter(entry, on_step)
        return digest

    def manifest(self, digest: str) -> Manifest:
        return bundle.parse_manifest(self._manifest_bytes(digest), digest)

    def _manifest_bytes(self, digest: str) -> bytes:
        with self._layout.failing():
            self._require(digest)
            return self._small(digest, bundle.MANIFEST_FILE)

    def _small(self, digest: str, title: str = "") -> bytes:
        """A manifest, or what is attached: neither is ever large."""
        return layout.read(self._layout, digest, title, limit=bundle.MAX_MANIFEST)

    def _require(self, digest: str) -> None:
        listed = [item for item in self._layout.index() if item["digest"] == digest]
        if not listed or self._entry(listed[0]) is None:
            raise _unknown(digest)

    def read_blob(self, digest: str) -> bytes:
        with self._layout.failing():
            return layout.read(self._layout, digest)

    def verify(self, digest: str) -> None:
        parsed = self.manifest(digest)
        with self._layout.failing():
            for blob in parsed.blobs:
                layout.check(self._layout, blob)

    def list(self, model: str | None = None) -> list[ReleaseEntry]:
        with self._layout.failing():
            entries = [self._entry(item) for item in self._layout.index()]
        found = [entry for entry in entries if entry is not None and model in (None, entry.model)]
        return sorted(found, key=lambda entry: entry.created)

    def _entry(self, item: Descriptor) -> ReleaseEntry | None:
        """The manifest says what it is; the index is asked only where the manifest is damaged."""
        notes = item.get("annotations", {})
        model, name = notes.get(bundle.MODEL), notes.get(bundle.NAME)
        try:
            value = bundle.read_canonical(self._small(item["digest"]), item["digest"])
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
        about = self._manifest_bytes(subject)
        bundle.parse_manifest(about, subject)
        if len(payload) > bundle.MAX_MANIFEST:
            raise corrupt(f"what is to be attached to {subject} has more than {bundle.MAX_MANIFEST} bytes")
        data = manifest.referrer(_descriptor(about, None), artifact_type, payload)
        digest = canonical.digest(data)
        entry = {**_descriptor(data, artifact_type), "annotations": {SUBJECT: subject}}
        with self._layout.failing(), self._layout.writing():
            for title, blob in (("empty config", manifest.EMPTY), ("payload", payload), ("referrer", data)):
                self._layout.add(Blob(title, canonical.digest(blob), len(blob)), blob, _no_step)
            self._layout.enter(entry, _no_step)
        return digest

    def referrers(self, digest: str, artifact_type: str | None = None) -> builtins.list[Referrer]:
        with self._layout.failing():
            self._require(digest)
            found = [self._referrer(item, digest) for item in self._layout.index()]
        return [item for item in found if item is not None and artifact_type in (None, item.artifact_type)]

    def _referrer(self, item: Descriptor, subject: str) -> Referrer | None:
        """The index says where to look; only what the hashed manifest itself says is believed."""
        listed, kind = item.get("annotations", {}).get(SUBJECT), str(item.get("artifactType", ""))
        if listed not in (None, subject) or kind == bundle.RELEASE_TYPE:
            return None
        try:
            value = bundle.read_canonical(self._small(item["digest"]), item["digest"])
            about = value.get("subject")
            if not isinstance(about, dict) or about.get("digest") != subject:
                if listed is None:
                    return None
                raise corrupt(f"{item['digest']} is listed for {subject} but is about something else")
            kind = str(value.get("artifactType", ""))
            layers = value.get("layers")
            if not isinstance(layers, list) or len(layers) != 1 or not isinstance(layers[0], dict):
                raise corrupt(f"{item['digest']} does not hold exactly one payload")
            payload = self._small(str(layers[0].get("digest")), "payload")
        except IntegrityError as error:
            return Referrer(item["digest"], kind, b"", problem=error.message) if listed else None
        return Referrer(item["digest"], kind, payload)

    def materialize(self, digest: str, folder: Path) -> Path:
        with self._layout.failing():
            data = self._manifest_bytes(digest)
            return unpack.unpack(self._layout, data, bundle.parse_manifest(data, digest), folder)


def _descriptor(data: bytes, artifact_type: str | None) -> dict[str, Any]:
    plain = manifest.descriptor(bundle.MANIFEST_TYPE, data)
    return plain if artifact_type is None else {**plain, "artifactType": artifact_type}


def _unknown(digest: str) -> UsageError:
    return UsageError(
        f"release {digest!r} is not in the store", code="release.unknown", remedy="./lockstep release list"
    )
