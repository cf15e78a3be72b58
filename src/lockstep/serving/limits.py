"""What a service accepts: one place for every limit on a request."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds on one request.

    body_bytes: an uploaded image, or a multipart body that holds one; json_bytes: a batch body;
    body_seconds: time for a whole body to arrive; pixels: width times height of an image;
    image_parts: chunks of a PNG, segments of a JPEG; image_scans: scans of a progressive JPEG;
    instances: arrays in one batch request; large_bytes: from here on a body counts as large, and
    at most large_at_once large bodies are held in memory at a time (the others wait);
    large_rate: bytes a second that a large body must bring once it has its turn, after
    large_grace seconds, so that slow clients do not keep the others waiting;
    header_bytes, header_seconds: of a request's head, and of one chunk's; form_parts: of a multipart
    body; connections: at a time, beyond which the one that has kept us waiting longest is closed;
    drain_seconds: how long the rest of a refused body is read and dropped, so that the client
    sees the answer and not a broken connection.
    """

    body_bytes: int = 10 * MIB
    json_bytes: int = 2 * MIB
    body_seconds: float = 20
    pixels: int = 16_000_000
    image_parts: int = 4096
    image_scans: int = 100
    instances: int = 256
    large_bytes: int = 128 * 1024
    large_at_once: int = 8
    large_rate: int = MIB
    large_grace: float = 1
    header_bytes: int = 64 * 1024
    header_seconds: float = 10
    form_parts: int = 16
    connections: int = 2000
    drain_seconds: float = 1


LIMITS = Limits()
