"""What a service accepts: one place for every limit on a request.

Together they bound a service's memory, whatever arrives:

    130 MiB   the process at rest (ONNX)
    640 MiB   two pictures of 16 million pixels at a time, 320 MiB each, decoded and preprocessed
     80 MiB   two large batch bodies at a time, 40 MiB each once read
    160 MiB   eight large bodies of 10 MiB at a time, twice while their pieces are joined
    250 MiB   2,000 connections with 128 KiB of a body each, before it counts as large

which is 1,260 MiB in all. DATA_BYTES is the wall behind it: what would take more than that is refused
where it asks for memory, with `serving.no_memory`, and the process goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds on one request.

    body_bytes: an uploaded image, or a multipart body that holds one; json_bytes: a batch body;
    body_seconds: time for a whole body to arrive; pixels: width times height of an image;
    image_parts: chunks of a PNG, segments of a JPEG; image_scans: scans of a progressive JPEG;
    instances: arrays in one batch request, json_lists: brackets and braces in it;
    large_bytes: from here on a body counts as large, and at most large_at_once large bodies are
    held in memory at a time (the others wait);
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
    json_lists: int = 65_536
    large_bytes: int = 128 * 1024
    large_at_once: int = 8
    large_rate: int = MIB // 2
    large_grace: float = 2
    header_bytes: int = 64 * 1024
    header_seconds: float = 10
    form_parts: int = 16
    connections: int = 2000
    drain_seconds: float = 1


DATA_BYTES = {"onnx": 2048 * MIB, "torch": 3072 * MIB}
"""Private memory that a process may have, by runtime (RLIMIT_DATA). Before there is a model torch takes
770 MiB, ONNX Runtime 110. None for tensorrt: a CUDA context maps as much as the machine has, and uses
little of it; the limit of the pod stands in its place."""

LIMITS = Limits()
