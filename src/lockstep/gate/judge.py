"""Is a change due, and may it happen? The question is put the same way by provider and commands.

`plan` is structure alone: it compares the declared table with the record and never with a threshold.
`ask` collects the facts, puts the question to OPA and hands back its answer. Nothing here writes.

The order of `plan`:
(0) no log yet: everything is a first placement
(1) an intent is open, or the newest outcome is not complete: a new intent is owed, even for an equal table
(2) the declared table is not the recorded one: a step
(3) equal tables, and a candidate at 100 that is not standing yet: a question of probation
(4) otherwise nothing is due, and OPA is not started
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lockstep.errors import UsageError
from lockstep.table import SLOTS, Cell, Table, at, cells, is_withdrawn, release_in, slot_share

if TYPE_CHECKING:
    from lockstep.audit.state import State
    from lockstep.evidence.keys import Trust
    from lockstep.gate.decision import Decision
    from lockstep.gate.opa import Opa
    from lockstep.release.store import Store

Place = tuple[str, str]
Marks = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Plan:
    """A change that is due. `marks`: the standing marks that its outcome will make if it completes."""

    kind: str
    origin: Table
    target: Table
    marks: Marks
    rollback: dict[str, Any] | None = None

    @property
    def change(self) -> str:
        """The word for the record: first, step, rollback, stand, withdraw."""
        if self.kind == "stand":
            return "stand"
        if self.rollback is not None:
            return "rollback"
        changed = changed_places(self.origin, self.target)
        if changed and all(_is_leaving(at(self.target, *place)) for place in changed):
            return "withdraw"
        return "first" if changed and all(self._is_first(place) for place in changed) else "step"

    def _is_first(self, place: Place) -> bool:
        before = at(self.origin, *place)
        return place[1] in self.marks.get(place[0], {}) and (
            before is None or all(release_in(before, slot) is None for slot in SLOTS)
        )


def _is_leaving(cell: Cell | None) -> bool:
    return cell is None or is_withdrawn(cell)


@dataclass(frozen=True)
class Observed:
    """What the stack shows now. A place without an answer maps to None; doubts: why, where its region answers
    and yet nobody can tell."""

    live: Mapping[Place, Cell | None]
    serving: Mapping[Place, dict[str, str | None]]
    doubts: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """Everything that a question needs besides the table. `opa` opens what answers it."""

    stack: str
    environment: str
    store: Store
    trust: Trust
    opa: Callable[[], AbstractContextManager[Opa]]

    def ask(
        self,
        plan: Plan,
        state: State | None,
        observed: Observed,
        *,
        now: datetime,
        full_since: Mapping[Place, str],
    ) -> Decision:
        """The policies' answer. Raises Unavailable `gate.opa_*` when there is none.

        full_since: when each place that a candidate has all of was given to it, RFC 3339.
        """
        from lockstep.gate.decision import decide
        from lockstep.gate.facts import build_input

        with self.opa() as opa:
            question = build_input(
                kind=plan.kind,
                stack=self.stack,
                environment=self.environment,
                now=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                log_state=state,
                origin=plan.origin,
                declared=plan.target,
                live=observed.live,
                serving=observed.serving,
                store=self.store,
                trust=self.trust,
                rollback=plan.rollback,
                marks=plan.marks,
                revision=opa.revision,
                full_since=full_since,
            )
            return decide(question, opa=opa)


def changed_places(before: Table, after: Table) -> list[Place]:
    """Every model and region whose cell differs, those that leave included; in order."""
    places = {(model, region) for table in (before, after) for model, region, _ in cells(table)}
    return sorted(place for place in places if at(before, *place) != at(after, *place))


def plan(
    declared: Table, state: State | None, observed: Observed | None = None, *, reopened: bool = False
) -> Plan | None:
    """The change that is due, or None. See the module docstring for the order.

    observed: needed while an intent is open, when the live table is where the change starts.
    reopened: an open intent was just closed, so a new one is owed.
    """
    if state is None:
        return Plan("step", {}, declared, first_marks(declared, {}))
    origin = state.table
    newest = state.newest_outcome
    if newest is not None and newest["result"] != "complete":
        reopened = True
    if state.open_intent is not None:
        origin = live_table(state, observed)
        reopened = True
    rollback = None
    if state.rollback is not None and state.rollback["target"] == declared:
        rollback = dict(state.rollback)
    if declared != origin or reopened:
        marks = first_marks(declared, state.standing)
        if rollback is not None:
            marks = _merged(
                marks, full_marks(declared, state.standing, changed_places(state.table, declared))
            )
        return Plan("step", origin, declared, marks, rollback)
    places = [(model, region) for model, region, _ in cells(declared)]
    marks = full_marks(declared, state.standing, places)
    return Plan("stand", origin, declared, marks) if marks else None


def live_table(state: State, observed: Observed | None) -> Table:
    """The table as traffic sees it: a place that does not answer counts as the record says."""
    if observed is None:
        raise UsageError(
            "an open intent needs the live table", code="gate.no_live_table", remedy="read it first"
        )
    intended: Table = {} if state.open_intent is None else state.open_intent["to"]
    result: Table = {}
    places = {(m, r) for table in (state.table, intended) for m, r, _ in cells(table)}
    places |= {place for place, cell in observed.live.items() if cell is not None}
    for model, region in sorted(places):
        cell = observed.live.get((model, region)) or at(state.table, model, region)
        if cell is not None:
            result.setdefault(model, {})[region] = cell
    return result


def first_marks(table: Table, standing: Marks) -> Marks:
    """First placements: where no release has ever stood, the one with most of the share stands at once."""
    marks: Marks = {}
    for model, region, cell in cells(table):
        if region in standing.get(model, {}) or is_withdrawn(cell):
            continue
        slot = max(SLOTS, key=lambda each: slot_share(cell, each))
        release = release_in(cell, slot)
        if release is not None and slot_share(cell, slot) > 0:
            marks.setdefault(model, {})[region] = release
    return marks


def full_marks(table: Table, standing: Marks, places: Sequence[Place]) -> Marks:
    """Releases that have all of the traffic of one of these places and are not standing there."""
    marks: Marks = {}
    for model, region in places:
        cell = at(table, model, region)
        for slot in SLOTS:
            release = release_in(cell, slot)
            full = release is not None and slot_share(cell, slot) == 100
            if full and release != standing.get(model, {}).get(region):
                marks.setdefault(model, {})[region] = str(release)
    return marks


def _merged(one: Marks, other: Marks) -> Marks:
    return {model: {**one.get(model, {}), **other.get(model, {})} for model in one.keys() | other.keys()}
