"""What was looked at, as an outcome records it: the live table, and which slots were ready. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.gate.judge import Observed
from lockstep.table import SLOTS, Table, at, cells, release_in

if TYPE_CHECKING:
    from lockstep.audit.state import State


def answered(observed: Observed, target: Table) -> Table:
    """The live table as the gateways answer it: nothing is assumed for one that does not."""
    live: Table = {}
    for model, region, _ in cells(target):
        cell = observed.live.get((model, region))
        if cell is not None:
            live.setdefault(model, {})[region] = cell
    return live


def all_ready(table: Table, observed: Observed) -> bool:
    """Whether every slot that names a release is answered for by that release."""
    ready = readiness(table, observed)
    return all(
        ready[model][region][slot]
        for model, region, cell in cells(table)
        for slot in SLOTS
        if release_in(cell, slot) is not None
    )


def readiness(
    table: Table, observed: Observed, known: State | None = None
) -> dict[str, dict[str, dict[str, bool]]]:
    """For each slot: whether its service says that it serves the release that the table names.

    known: after a crash nothing answers, and that says nothing of a release. One that lay in that slot before
    counts as it was measured then (as a silent gateway counts as the record says); otherwise the step that
    the crash cut off would be denied for ever, and with it the start of the services. No traffic moves on
    it: an update starts a service, and waits until it is ready, before the route.
    """
    ready: dict[str, dict[str, dict[str, bool]]] = {}
    for model, region, cell in cells(table):
        serving = observed.serving.get((model, region), {})
        before: dict[str, bool | None] = {}
        if known is not None and (former := at(known.table, model, region)) is not None:
            measured = known.ready.get(model, {}).get(region, {})
            before = {slot: measured.get(slot) for slot in SLOTS if former.get(slot) == cell.get(slot)}
        ready.setdefault(model, {})[region] = {
            slot: cell.get(slot) is not None
            and (bool(before.get(slot)) if serving.get(slot) is None else serving[slot] == cell[slot])
            for slot in SLOTS
        }
    return ready
