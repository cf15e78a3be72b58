"""What the records say is in force: a pure fold, one record after the other.

The rules, in the order in which an outcome applies them (design.md, "Slots and promotions"):

 1. table        `to` of the intent when the outcome is complete, else the table that was read back (`live`)
 2. barred       a release that is not standing and falls from above 0 to 0 in a cell that stays.
                 A `rollback` record bars its digest, a `retry` record frees it
 3. standing     the newest mark of each model and region. It survives withdrawal and destroy
 4. former       the release that a mark replaced, while it lies in a slot there and is not barred
 5. promotion    begins with the intent that first gives a release that is not standing a share (`base` is
                 the cell before it); ends when that release is marked or its share is 0 again
 6. cell_intent  the newest intent that changed the cell; after an interruption the one whose `to` is live
 7. ready        as the outcome measured it; after an interruption silence keeps the last measure (ADR 19)

An outcome carries all of these, so that a reader needs the newest outcome and what follows it, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lockstep.audit.record import Record
from lockstep.table import SLOTS, Cell, Table, at, cells, is_withdrawn, release_in, share, slot_share

Marks: TypeAlias = dict[str, dict[str, str]]
Promotions: TypeAlias = dict[str, dict[str, dict[str, Any]]]
Indexes: TypeAlias = dict[str, dict[str, int]]
CARRIED = ("standing", "former", "barred", "ready", "promotion", "cell_intent")


@dataclass(frozen=True)
class State:
    """What holds after `size` records. Maps are model -> region -> value; treat them as read-only.

    table: of the newest outcome; while an intent is open that intent's `to` is not in it.
    rollback: {"digest", "target"} of a rollback that no complete outcome has answered.
    settled: cell_intent as of the newest outcome.
    """

    size: int = 0
    table: Table = field(default_factory=dict)
    standing: Marks = field(default_factory=dict)
    former: Marks = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    ready: dict[str, dict[str, dict[str, bool | None]]] = field(default_factory=dict)
    settled: Indexes = field(default_factory=dict)
    promotion: Promotions = field(default_factory=dict)
    open_intent: Record | None = None
    newest_outcome: Record | None = None
    rollback: Mapping[str, Any] | None = None

    @property
    def cell_intent(self) -> Indexes:
        """The newest intent that changed each cell; an open intent counts for the cells it changes."""
        result = {model: dict(regions) for model, regions in self.settled.items()}
        if self.open_intent is not None:
            for model, region in _changed(self.open_intent):
                result.setdefault(model, {})[region] = self.open_intent.index
        return result

    def known(self, model: str, region: str) -> bool:
        """Whether a release was ever marked standing there; where not, a placement is a first one."""
        return region in self.standing.get(model, {})


def fold(records: Iterable[Record], state: State | None = None) -> State:
    """The state after these records, from nothing or from a given state."""
    result = state or State()
    for record in records:
        result = step(result, record)
    return result


def step(state: State, record: Record) -> State:
    """The state after one more record, folded from the rules alone (carried maps are not believed)."""
    after = replace(state, size=record.index + 1)
    if record.kind == "intent":
        return replace(after, open_intent=record)
    if record.kind == "outcome" and state.open_intent is not None:
        return _close(after, state.open_intent, record)
    if record.kind == "rollback":
        pending = {"digest": record["digest"], "target": record["target"]}
        return replace(after, barred=_with(state.barred, [record["digest"]]), rollback=pending)
    if record.kind == "retry":
        freed = tuple(one for one in state.barred if one != record["digest"])
        answered = state.rollback is not None and state.rollback["digest"] == record["digest"]
        return replace(after, barred=freed, rollback=None if answered else state.rollback)
    return after


def resume(outcome: Record) -> State:
    """The state right after an outcome, from what it carries."""
    pending = None
    if outcome["target"] is not None:
        pending = {"digest": outcome["digest"], "target": outcome["target"]}
    return State(
        size=outcome.index + 1,
        table=outcome_table(outcome),
        standing=outcome["standing"],
        former=outcome["former"],
        barred=tuple(outcome["barred"]),
        ready=outcome["ready"] or {},
        settled=outcome["cell_intent"],
        promotion=outcome["promotion"],
        newest_outcome=outcome,
        rollback=pending,
    )


def outcome_table(outcome: Record) -> Table:
    """The table in force after an outcome."""
    table: Table | None = outcome["to"] if outcome["result"] == "complete" else outcome["live"]
    return table or {}


def carried(state: State) -> dict[str, Any]:
    """The maps that a record carries, as JSON."""
    return {name: getattr(state, name) for name in CARRIED} | {"barred": list(state.barred)}


def _close(state: State, intent: Record, outcome: Record) -> State:
    """Rules 1 to 7."""
    table = outcome_table(outcome)
    standing = _merge(state.standing, outcome["marked"] or {})
    barred = state.barred
    if outcome["change"] != "withdraw":
        barred = _with(barred, _fallen(state, table))
    complete = outcome["result"] == "complete"
    return replace(
        state,
        table=table,
        standing=standing,
        former=_former(state, standing, table, barred),
        barred=barred,
        ready=outcome["ready"] or {},
        promotion=_promotion(state, standing, table, intent.index),
        settled=_settled(state.settled, intent, table),
        open_intent=None,
        newest_outcome=outcome,
        rollback=None if complete else state.rollback,
    )


def _with(barred: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*barred, *more}))


def _merge(standing: Marks, marked: Mapping[str, Mapping[str, str]]) -> Marks:
    result = {model: dict(regions) for model, regions in standing.items()}
    for model, regions in marked.items():
        result.setdefault(model, {}).update(regions)
    return result


def _releases_in(cell: Cell | None) -> set[str]:
    return {one for one in (release_in(cell, slot) for slot in SLOTS) if one is not None}


def _fallen(state: State, table: Table) -> set[str]:
    found = set()
    for model, region, before in cells(state.table):
        standing = state.standing.get(model, {}).get(region)
        now = at(table, model, region)
        if now is None or is_withdrawn(now):
            continue  # the place leaves, which says nothing against what was tried there
        for release in _releases_in(before):
            if release != standing and share(before, release) > 0 == share(now, release):
                found.add(release)
    return found


def _former(state: State, standing: Marks, table: Table, barred: tuple[str, ...]) -> Marks:
    result: Marks = {}
    for model, region, cell in cells(table):
        before = state.standing.get(model, {}).get(region)
        now = standing.get(model, {}).get(region)
        replaced = before if before != now else state.former.get(model, {}).get(region)
        if replaced is not None and replaced in _releases_in(cell) and replaced not in barred:
            result.setdefault(model, {})[region] = replaced
    return result


def _promotion(state: State, standing: Marks, table: Table, intent: int) -> Promotions:
    result: Promotions = {}
    for model, region, cell in cells(table):
        stands = standing.get(model, {}).get(region)
        others = sum(slot_share(cell, slot) for slot in SLOTS if release_in(cell, slot) not in (None, stands))
        if stands is None or others == 0:
            continue
        under_way = state.promotion.get(model, {}).get(region)
        before = at(state.table, model, region)
        base = before if before is not None and share(before, stands) == 100 else None
        result.setdefault(model, {})[region] = under_way or {"since": intent, "base": base}
    return result


def _changed(intent: Record) -> Iterable[tuple[str, str]]:
    before, after = intent["from"] or {}, intent["to"] or {}
    for model, region in sorted({(m, r) for table in (before, after) for m, r, _ in cells(table)}):
        if at(before, model, region) != at(after, model, region):
            yield model, region


def _settled(known: Indexes, intent: Record, table: Table) -> Indexes:
    changed = set(_changed(intent))
    result: Indexes = {}
    for model, region, cell in cells(table):
        before = known.get(model, {}).get(region, intent.index)
        begun, meant = (at(intent[side] or {}, model, region) for side in ("from", "to"))
        undone = cell == begun and cell != meant
        kept = (model, region) not in changed or undone
        result.setdefault(model, {})[region] = before if kept else intent.index
    return result
