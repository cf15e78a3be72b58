"""The locks in a state bucket that several machines share: who is at a stack.

They are read and never removed: whether a process on another machine lives cannot be told from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from lockstep.engine_locks import Holder
from lockstep.errors import Unavailable, UsageError
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
        """Raises Unavailable `state.silent`."""
        return bool(self._keys())

    def holders(self) -> str:
        return ", ".join(str(holder) for holder in self._holders() if holder) or "unknown"

    def clear_dead(self) -> None:
        """None is: see above."""

    def _holders(self) -> Iterator[Holder | None]:
        for key in self._keys():
            with self._loudly():
                held = self._objects.read(key, LARGEST)
            yield Holder.read(held.data) if held is not None else None

    def _keys(self) -> list[str]:
        with self._loudly():
            return sorted(self._objects.keys(f"{self._place.prefix}{engine_locks_of(self.stack)}/"))

    @contextmanager
    def _loudly(self) -> Iterator[None]:
        try:
            yield
        except (Unavailable, UsageError, ValueError) as error:  # ValueError: botocore's, for an endpoint
            raise Unavailable(
                f"nobody can tell who is at {self.stack}: its state bucket {self._place} does not say "
                f"({str(error).rpartition(' ')[2]})",
                code="state.silent",
                remedy="see that PULUMI_BACKEND_URL is right and that the credentials may list and read it",
            ) from None

    @cached_property
    def _objects(self) -> Objects:
        from lockstep.boto import BotoObjects

        return BotoObjects(self._place, self._told.get("profile", ""))

    @cached_property
    def _place(self) -> S3Place:
        parts = urlsplit(self.url)
        prefix, endpoint = parts.path.strip("/"), self._told.get("endpoint", "")
        if endpoint and "://" not in endpoint:
            endpoint = f"{'http' if self._told.get('disableSSL') == 'true' else 'https'}://{endpoint}"
        return S3Place(parts.netloc, f"{prefix}/" if prefix else "", endpoint, self._told.get("region", ""))

    @cached_property
    def _told(self) -> dict[str, str]:
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.url).query).items()}
