"""The second lock: proof, from signed records alone, that a release or a cell may be where it is to be.

For a program that skips the gate. Who starts a service or sets a route asks here, and so do the warrants of a
target whose services and routes are other providers' resources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockstep.canonical import parse
from lockstep.errors import IntegrityError, UsageError
from lockstep.ledger.reader import Reader
from lockstep.table import SLOTS, Slot, at, release_in

if TYPE_CHECKING:
    from lockstep.audit.record import Record
    from lockstep.gate.judge import Place


@dataclass
class Proof(Reader):
    """One stack's record, asked what it allows."""

    def require_intent(self, place: Place, cell: dict[str, Any], index: int) -> Record:
        """The newest intent about this cell, which is record `index` and says exactly this; verified.

        Raises IntegrityError `route.no_record`: the second lock, for a program that skips the gate.
        """
        record = self._intent(place, index)
        if record is None or at(record["to"] or {}, *place) != cell:
            raise _no_record(f"{place[0]} in {place[1]} is {cell}")
        return record

    def require_release(self, place: Place, slot: Slot, release: str, index: int) -> None:
        """The newest intent about this cell is record `index` and puts this release into this slot."""
        record = self._intent(place, index)
        if record is None or release_in(at(record["to"] or {}, *place), slot) != release:
            raise _no_record(f"{slot} of {place[0]} in {place[1]} holds {release}")

    def lock_of(self, release: str, runtime: str) -> str:
        """Digest of the lock file that a release names for a runtime: its image is made from that.

        Raises UsageError `release.unknown`, `release.no_runtime`, IntegrityError `release.corrupt`.
        """
        store = self.stack.store(self.store_url)
        manifest = store.manifest(release)
        runtimes = parse(store.read_blob(manifest.config.digest)).get("runtimes") or {}
        if runtime not in runtimes:
            raise UsageError(
                f"the release {release} has no lock file for the runtime {runtime}",
                code="release.no_runtime",
                remedy=f"set lockstep:runtime to one of: {', '.join(sorted(runtimes))}",
            )
        return manifest.blob(runtimes[runtime]).digest

    def _intent(self, place: Place, index: int) -> Record | None:
        """Record `index`; None unless it is the newest intent about that cell."""
        audit, state = self.audit(), self.state(fresh=True)
        if audit is None or state is None or index < 0:
            return None
        if state.cell_intent.get(place[0], {}).get(place[1]) != index:
            return None
        record = audit.log.read(index)
        return record if record.kind == "intent" else None

    def require_leaving(self, place: Place) -> None:
        """The record has this cell withdrawn or gone, so its route may go."""
        state = self.state(fresh=True)
        if state is None:
            return
        opened = state.open_intent
        table = state.table if opened is None or opened["change"] != "withdraw" else opened["to"]
        cell = at(table, *place)
        if cell is not None and any(release_in(cell, slot) is not None for slot in SLOTS):
            raise _no_record(f"{place[0]} leaves {place[1]}")


def _no_record(what: str) -> IntegrityError:
    return IntegrityError(
        f"no signed intent says that {what}",
        code="route.no_record",
        remedy="releases and weights come from the gate alone; change the stack file and run `./lockstep up`",
    )
