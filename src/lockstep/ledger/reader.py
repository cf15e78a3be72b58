"""The half that only looks: what the record says, what is due, and what policy says to it.

Reading may come from the bucket's folder when its server is down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lockstep.errors import Denied, IntegrityError
from lockstep.gate.judge import Judge, Observed, Place, Plan, plan
from lockstep.local.stack import LocalStack
from lockstep.table import Table, at

if TYPE_CHECKING:
    from lockstep.audit.local import LocalAudit
    from lockstep.audit.note import Head
    from lockstep.audit.state import State
    from lockstep.gate.decision import Decision
    from lockstep.gate.opa import Opa

PROJECT = "lockstep"
GATE_DEADLINE_S = 20.0


@dataclass
class Reader:
    """One stack's record, and what is needed to judge a change of it."""

    stack: LocalStack
    environment: str
    bucket: str
    retention_days: int
    store_url: str = ""
    opa_url: str = ""
    _audit: LocalAudit | None = field(default=None, init=False)
    _state: State | None = field(default=None, init=False)
    _read: bool = field(default=False, init=False)

    @property
    def origin(self) -> str:
        return f"{PROJECT}/{self.stack.name}"

    # --- reading

    def audit(self, *, write: bool = False) -> LocalAudit | None:
        """The log, opened; None where there is none yet. Raises Unavailable when it must be written to."""
        from lockstep.audit.local import open_local

        if self._audit is None or write:
            self._audit = open_local(
                self.stack.name,
                self.stack.paths,
                write=write,
                environment=self.environment,
                bucket=self.bucket,
            )
        return self._audit

    def state(self, *, fresh: bool = False) -> State | None:
        """What the records say; None where there is no log yet. Read once, unless `fresh`."""
        if fresh or not self._read:
            audit = self.audit()
            self._state = None if audit is None else audit.log.state()
            self._read = True
        return self._state

    def head(self) -> Head | None:
        audit = self.audit()
        return None if audit is None else audit.log.head()

    def size(self) -> int:
        head = self.head()
        return 0 if head is None else head.size

    def knows(self, index: str) -> bool:
        """Whether the log has a record of this index. Raises when the log cannot be read."""
        return index.isdigit() and int(index) < max(self.size(), 1) and self.audit() is not None

    # --- judging

    def judge(self, declared: Table) -> tuple[Plan, Decision] | None:
        """What is due for this table, and the policies' answer; None if nothing is due. Writes nothing."""
        state = self.state()
        observed = None
        if state is None or state.open_intent is not None or state.table != declared:
            observed = self.stack.observe()
        proposed = plan(declared, state, observed)
        if proposed is None:
            return None
        return proposed, self.ask(proposed, state, observed or self.stack.observe())

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
        from lockstep.evidence.keys import load_trust
        from lockstep.release.store import open_store

        paths = self.stack.paths
        return Judge(
            stack=self.stack.name,
            environment=self.environment,
            store=open_store(self.store_url or f"file://{paths.store}"),
            trust=load_trust(paths.policies, self.environment),
            opa=self._opa,
        )

    @contextmanager
    def _opa(self) -> Iterator[Opa]:
        from lockstep.gate.opa import Opa, private_opa

        if self.opa_url:
            yield Opa(self.opa_url, os.environ.get("LOCKSTEP_OPA_TOKEN", ""))
            return
        binary = self.stack.toolchain.opa
        with private_opa(self.stack.paths.policies, self.environment, binary, GATE_DEADLINE_S) as opa:
            yield opa

    # --- proof for routes

    def require_intent(self, place: Place, cell: dict[str, Any], index: int) -> None:
        """The newest intent about this cell is record `index` and says exactly this; verified.

        Raises IntegrityError `route.no_record`: the second lock, for a program that skips the gate.
        """
        audit = self.audit()
        state = self.state(fresh=True)
        if audit is not None and state is not None and index >= 0:
            record = audit.log.read(index)
            said = at(record["to"] or {}, *place)
            newest = state.cell_intent.get(place[0], {}).get(place[1])
            if record.kind == "intent" and said == cell and newest == index:
                return
        raise IntegrityError(
            f"no signed intent says that {place[0]} in {place[1]} is {cell}",
            code="route.no_record",
            remedy="weights come from the gate's output alone; change the stack file and run an update",
        )


def waits(proposed: Plan, decision: Decision) -> bool:
    """Whether the only thing asked was a standing mark, and its probation is not over: no denial."""
    return (
        not decision.allow
        and proposed.kind == "stand"
        and {violation.code for violation in decision.violations} == {"stand.probation"}
    )
