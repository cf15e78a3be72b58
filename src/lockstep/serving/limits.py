"""What a service accepts: one place for every limit on a request."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds on one request.

    body_bytes: an uploaded image, or a multipart body that holds one; json_bytes: a batch body;
    body_seconds: time for a whole body to arrive; pixels: width times height of an image;
    instances: arrays in one batch request; large_bytes: from here on a body counts as large, and
    at most large_at_once large bodies are held in memory at a time (the others wait);
    drain_seconds: how long the rest of a refused body is read and dropped, so that the client
    sees the answer and not a broken connection.
    """

    body_bytes: int = 10 * MIB
    json_bytes: int = 2 * MIB
    body_seconds: float = 20
    pixels: int = 16_000_000
    instances: int = 256
    large_bytes: int = MIB
    large_at_once: int = 8
    drain_seconds: float = 1


LIMITS = Limits()
