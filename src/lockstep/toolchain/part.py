"""What a check-up says about one thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One thing. found: what is there, in words; remedy: what gets it, empty when ok; needed: whether nothing
    works without it; later: not there yet, and the next `up` makes it, so nothing is wrong."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True
    later: bool = False

    @property
    def wrong(self) -> bool:
        """Whether `up` cannot work because of it."""
        return not self.ok and self.needed and not self.later
