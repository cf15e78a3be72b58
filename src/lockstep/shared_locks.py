"""The locks in a state bucket that several machines share: who is at a stack.

They are read and never removed: whether a process on another machine lives cannot be told from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from lockstep.paths import engine_locks_of
from lockstep.release.url import S3Place

if TYPE_CHECKING:
    from lockstep.release.objects import Objects

LARGEST = 1 << 16  # bytes; the engine writes some hundred


@dataclass(frozen=True)
class SharedLocks:
    """The locks of one stack. url: of the backend, as the engine takes it (`s3://bucket/prefix?region=...`)."""

    url: str
    stack: str

    @property
    def remedy(self) -> str:
        return (
            "wait for it to end; if its process is dead: "
            f'eval "$(./lockstep env -s {self.stack})" && pulumi cancel, then ./lockstep up -s {self.stack}'
        )

    def taken(self) -> bool:
        """Raises Unavailable when the bucket does not say."""
        return bool(self._keys())

    def holders(self) -> str:
        return ", ".join(self._holders()) or "unknown"

    def clear_dead(self) -> None:
        """None is: see above."""

    def _holders(self) -> Iterator[str]:
        for key in self._keys():
            held = self._objects.read(key, LARGEST)
            try:
                said = json.loads(held.data if held is not None else b"")
                yield f"{said['username']}@{said['hostname']} (pid {said['pid']})"
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def _keys(self) -> list[str]:
        return sorted(self._objects.keys(f"{self._place.prefix}{engine_locks_of(self.stack)}/"))

    @cached_property
    def _objects(self) -> Objects:
        from lockstep.boto import BotoObjects

        return BotoObjects(self._place)

    @cached_property
    def _place(self) -> S3Place:
        parts = urlsplit(self.url)
        told = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        prefix = parts.path.strip("/")
        return S3Place(
            parts.netloc, f"{prefix}/" if prefix else "", told.get("endpoint", ""), told.get("region", "")
        )
