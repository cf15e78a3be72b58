"""Writing OCI manifests: of a release, and of what is attached to one. Canonical JSON, no clock.

Formats: https://github.com/opencontainers/image-spec v1.1, image manifest and artifact guidance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep import canonical
from lockstep.release import bundle

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


def descriptor(media_type: str, data: bytes, title: str | None = None) -> dict[str, Any]:
    """What names a blob: media type, digest, size, and its title where it has one."""
    value: dict[str, Any] = {
        "mediaType": media_type,
        "digest": canonical.digest(data),
        "size": len(data),
    }
    return value if title is None else {**value, "annotations": {bundle.TITLE: title}}


def release(model: str, name: str, config: bytes, files: Mapping[str, bytes]) -> bytes:
    """The manifest of a release made of these files (title -> bytes); equal inputs give equal bytes.

    Raises IntegrityError `release.corrupt` for titles that are no plain relative paths.
    """
    data = canonical.canonical(
        {
            "schemaVersion": 2,
            "mediaType": bundle.MANIFEST_TYPE,
            "artifactType": bundle.RELEASE_TYPE,
            "annotations": {bundle.MODEL: model, bundle.NAME: name},
            "config": descriptor(bundle.CONFIG_TYPE, config),
            "layers": [descriptor(bundle.LAYER_TYPE, files[title], title) for title in sorted(files)],
        }
    )
    bundle.parse_manifest(data, canonical.digest(data))  # what cannot be read is never written
    return data


def referrer(subject: Mapping[str, Any], artifact_type: str, payload: bytes) -> bytes:
    """The manifest that attaches a payload to a subject (a descriptor of another manifest)."""
    return canonical.canonical(
        {
            "schemaVersion": 2,
            "mediaType": bundle.MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": descriptor(EMPTY_TYPE, EMPTY),
            "layers": [descriptor(artifact_type, payload)],
            "subject": dict(subject),
        }
    )
