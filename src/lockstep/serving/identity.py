"""Who answers: the release, and the place it runs in. Repeated in every response and every metric."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """release: `sha256:<64 hex>`; slot: `blue` or `green`."""

    release: str
    slot: str
    region: str
    model: str

    def labels(self) -> dict[str, str]:
        """The labels of every metric."""
        return {"release": self.release, "slot": self.slot, "region": self.region, "model": self.model}

    def body(self) -> dict[str, str]:
        """The part of a response body that says who answered."""
        return {"release": self.release, "slot": self.slot, "region": self.region}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The same, as raw ASGI response headers."""
        return [(f"x-lockstep-{name}".encode(), value.encode()) for name, value in self.body().items()]


def new_prediction_id() -> str:
    """A fresh random id (UUID 4, 32 hex digits)."""
    return uuid.uuid4().hex
