"""What verification finds that is no record, held until a later `void` record names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.audit.about import void_of
from lockstep.audit.layout import record_key
from lockstep.audit.problem import Findings
from lockstep.audit.record import Record


@dataclass(frozen=True)
class _Held:
    digest: str
    code: str
    message: str


class Uncounted:
    """Objects at the place of a record that do not verify. A void excuses only the bytes that it names, and
    only bytes that the heads were signed over: what was changed or taken away later never comes here.

    excused: called with the index of each object that a void names rightly.
    """

    def __init__(self, findings: Findings, excused: Callable[[int], None]) -> None:
        self._findings = findings
        self._excused = excused
        self._held: dict[int, _Held] = {}
        self._voided: dict[int, str] = {}
        self._lost: set[int] = set()

    def hold(self, index: int, digest: str, code: str, message: str) -> None:
        """An object that the heads were signed over and that is no record."""
        self._held[index] = _Held(digest, code, message)

    def lose(self, index: int) -> None:
        """A record that is gone, or has other bytes than the heads were signed over: reported already."""
        self._lost.add(index)

    def judge(self, record: Record) -> None:
        """Take what a record voids, or report that it voids what it must not."""
        void = void_of(record)
        if void is None or void.index in self._lost:
            return
        held = self._held.get(void.index)
        known = held.digest if held else self._voided.get(void.index)
        if void.index >= record.index:
            self._wrong(record, f"voids {void.index}, which was not written yet")
        elif known is None:
            self._wrong(record, f"voids record {void.index}, which verifies")
        elif known != void.digest:
            self._wrong(record, f"voids other bytes than those that lie at {void.index} ({known})")
        elif held is not None:
            self._voided[void.index] = self._held.pop(void.index).digest
            self._excused(void.index)

    def _wrong(self, record: Record, message: str) -> None:
        self._findings.add("audit.void_wrong", f"record {record.index} {message}", index=record.index)

    def report(self) -> None:
        """What no void has named."""
        for index, held in self._held.items():
            self._findings.add(
                held.code, f"record {index}: {held.message}", index=index, key=record_key(index)
            )
