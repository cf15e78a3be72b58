"""The half that only looks: what the record says, what is due, and what policy says to it.

Reading may come from the bucket's folder when its server is down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lockstep.errors import Denied, IntegrityError
from lockstep.gate.judge import Judge, Observed, Place, Plan, plan
from lockstep.ledger.stack import Stack
from lockstep.paths import origin_of
from lockstep.table import Cell, Table, cells

if TYPE_CHECKING:
    from lockstep.audit.log import Log
    from lockstep.audit.note import Head
    from lockstep.audit.opened import OpenLog
    from lockstep.audit.state import State
    from lockstep.gate.decision import Decision
    from lockstep.gate.opa import Opa

GATE_DEADLINE_S = 20.0


@dataclass
class Reader:
    """One stack's record, and what is needed to judge a change of it."""

    stack: Stack
    environment: str
    bucket: str
    retention_days: int
    store_url: str = ""
    opa_url: str = ""
    _audit: OpenLog | None = field(default=None, init=False)
    _state: State | None = field(default=None, init=False)
    _read: bool = field(default=False, init=False)

    @property
    def origin(self) -> str:
        return origin_of(self.stack.name)

    # --- reading

    def audit(self, *, write: bool = False) -> OpenLog | None:
        """The log, opened; None where there is none yet. Raises Unavailable when it must be written to."""
        if self._audit is None or write:
            self._audit = self.stack.open_log(environment=self.environment, bucket=self.bucket, write=write)
        return self._audit

    def state(self, *, fresh: bool = False) -> State | None:
        """What the records say; None where there is no log yet. Read once, unless `fresh`.

        A record that its writer left without a head counts: the next writer completes it, so whoever only
        looked at the head would miss the intent that is open then.
        """
        if fresh or not self._read:
            audit = self.audit()
            self._state = None if audit is None else _with_pending(audit.log)
            self._read = True
        return self._state

    def head(self) -> Head | None:
        audit = self.audit()
        return None if audit is None else audit.log.head()

    def size(self) -> int:
        head = self.head()
        return 0 if head is None else head.size

    def require_place(self) -> None:
        """The next record has a place. Raises IntegrityError, with the command to run, where something lies
        there that is no record: said before the engine starts rather than from within it."""
        audit = self.audit()
        if audit is not None:
            audit.log.head()
            audit.log.pending()

    def knows(self, index: str) -> bool:
        """Whether the log has a record of this index. Raises when the log cannot be read."""
        return index.isdigit() and int(index) < max(self.size(), 1) and self.audit() is not None

    def vouches(self, place: Place, cell: Cell) -> bool:
        """Whether the record explains what this place serves."""
        from lockstep.audit.unrecorded import unrecorded

        state = self.state(fresh=True)
        return state is not None and not unrecorded({place: cell}, state)

    def names(self, table: Table) -> bool:
        """Whether the record has this table: as the one in force, or as a side of the change under way."""
        state = self.state(fresh=True)
        if state is None:
            return False
        sides = () if state.open_intent is None else (state.open_intent["from"], state.open_intent["to"])
        return table in (state.table, *sides)

    # --- judging

    def look(self, state: State | None, declared: Table) -> Observed:
        """What is live in every region that record and declaration name."""
        recorded: Table = {} if state is None else state.table
        tables = [recorded, declared]
        if state is not None and state.open_intent is not None:
            tables += [state.open_intent[side] or {} for side in ("from", "to")]
        regions = {region for table in tables for _, region, _ in cells(table)}
        return self.stack.observe(recorded, sorted(regions))

    def judge(self, declared: Table) -> tuple[Plan, Decision] | None:
        """What is due for this table, and the policies' answer; None if nothing is due. Writes nothing."""
        state = self.state()
        opened = state is not None and state.open_intent is not None
        observed = self.look(state, declared) if opened else None
        if plan(declared, state, observed) is None:
            return None
        return self.put(declared, state, observed or self.look(state, declared))

    def put(
        self, declared: Table, state: State | None, observed: Observed, *, reopened: bool = False
    ) -> tuple[Plan, Decision] | None:
        """The question and its answer. Marks whose time has not come are taken out of it, not all of it:
        one region's probation does not hold up another's."""
        proposed = plan(declared, state, observed, reopened=reopened)
        if proposed is None:
            return None
        decision = self.ask(proposed, state, observed)
        while waits(proposed, decision):
            early = {violation.cell for violation in decision.violations}
            marks = {
                model: {region: mark for region, mark in regions.items() if f"{model}/{region}" not in early}
                for model, regions in proposed.marks.items()
            }
            due = {model: regions for model, regions in marks.items() if regions}
            if not due or due == proposed.marks:
                break
            proposed = replace(proposed, marks=due)
            decision = self.ask(proposed, state, observed)
        return proposed, decision

    def due(self, declared: Table) -> Plan | None:
        """The change that is due and allowed; None if none is due. Raises Denied, Unavailable."""
        judged = self.judge(declared)
        if judged is None or waits(*judged):
            return None
        proposed, decision = judged
        if not decision.allow:
            raise Denied(decision.violations)
        return proposed

    def ask(self, proposed: Plan, state: State | None, observed: Observed) -> Decision:
        return self._judge().ask(
            proposed, state, observed, now=datetime.now(UTC), full_since=self._full_since(proposed)
        )

    def _full_since(self, proposed: Plan) -> dict[Place, str]:
        """For each place to be marked: the time of the outcome that gave the release all of it."""
        audit, state = self.audit(), self.state()
        if audit is None or state is None or proposed.kind != "stand":
            return {}
        since: dict[Place, str] = {}
        for model, regions in proposed.marks.items():
            for region in regions:
                outcome = audit.log.outcome_of(state.cell_intent[model][region])
                if outcome is not None:
                    since[(model, region)] = outcome.time
        return since

    def _judge(self) -> Judge:
        return Judge(
            stack=self.stack.name,
            environment=self.environment,
            store=self.stack.store(self.store_url),
            trust=self.stack.trust(self.environment),
            opa=self._opa,
        )

    @contextmanager
    def _opa(self) -> Iterator[Opa]:
        from lockstep.evidence.signer import LOCAL
        from lockstep.gate.bundle import Policies
        from lockstep.gate.opa import Opa, private_opa
        from lockstep.gate.transport import unavailable

        if self.opa_url:
            opa = Opa(self.opa_url, os.environ.get("LOCKSTEP_OPA_TOKEN", ""))
            has, ours = opa.revision, Policies.read(self.stack.paths.policies).revision
            if has != ours and (self.environment == LOCAL or has.startswith("checkout:")):
                raise unavailable("wrong_bundle", f"that OPA says it has {has[:80]}; this checkout is {ours}")
            yield replace(opa, known_revision=has)  # what was looked at is what must answer
            return
        policies = self.stack.paths.policies
        with private_opa(policies, self.environment, self.stack.opa, GATE_DEADLINE_S) as opa:
            yield opa


def _with_pending(log: Log) -> State:
    from lockstep.audit.state import fold

    state = log.state()
    try:
        pending = log.pending()
    except IntegrityError:  # not a record; whoever writes next says so, and `audit verify` does
        return state
    return state if pending is None or pending.index != state.size else fold([pending], state)


def waits(proposed: Plan, decision: Decision) -> bool:
    """Whether the only thing asked was a standing mark, and its probation is not over: no denial."""
    return (
        not decision.allow
        and proposed.kind == "stand"
        and {violation.code for violation in decision.violations} == {"stand.probation"}
    )
