"""One thing that stands in the way of an update."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """code: stable, `<area>.<what>`; remedy: the next step for whoever reads it."""

    code: str
    message: str
    remedy: str
