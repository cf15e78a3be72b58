"""Whether a GPU is there for TensorRT; asked where a service starts, and before one is declared."""

from __future__ import annotations

from pathlib import Path

from lockstep.errors import Unavailable

DRIVER = Path("/dev/nvidiactl")
"""There where the driver of an NVIDIA GPU is."""


def require() -> None:
    """Raises Unavailable `serving.needs_gpu`."""
    if not DRIVER.exists():
        raise missing(f"no NVIDIA GPU ({DRIVER})")


def missing(here: str) -> Unavailable:
    """here: what this machine has instead."""
    return Unavailable(
        "TensorRT needs an NVIDIA GPU with its driver, TensorRT's libraries, and the environment of "
        f"serving-tensorrt.lock; here: {here}",
        code="serving.needs_gpu",
        remedy="set the runtime to onnx, or serve from an image of models/image/Dockerfile (it says how)",
    )
