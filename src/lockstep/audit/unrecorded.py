"""Live weights that no record explains: the one thing that the log alone cannot show. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.audit.problem import Problem
from lockstep.audit.state import State
from lockstep.table import SLOTS, Cell, at, release_in, short, slot_share


def unrecorded(live: Mapping[tuple[str, str], Cell | None], state: State) -> list[Problem]:
    """A problem for each place whose live cell is neither what the newest outcome says nor, while an intent
    is open, what that intent means it to be. A gateway that does not answer (None) carries no traffic."""
    problems = []
    for (model, region), cell in sorted(live.items()):
        explained = [at(state.table, model, region)]
        if state.open_intent is not None:
            explained += [at(state.open_intent[side] or {}, model, region) for side in ("from", "to")]
        if cell is None or cell in explained or not _has_traffic(cell):
            continue
        shares = ", ".join(
            f"{slot} {short(release_in(cell, slot))} {slot_share(cell, slot):g} %"
            for slot in SLOTS
            if slot_share(cell, slot) > 0
        )
        problems.append(
            Problem("audit.live_unrecorded", f"{model} in {region} has {shares}, which no record says")
        )
    return problems


def _has_traffic(cell: Cell) -> bool:
    return any(release_in(cell, slot) is not None and slot_share(cell, slot) > 0 for slot in SLOTS)
