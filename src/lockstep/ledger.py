"""Every effect has a record before it and after it: where gate, log and live stack meet.

The provider and the commands change nothing but through this. Reading may come from the bucket's
folder when its server is down; writing always goes through S3.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lockstep.errors import Denied, IntegrityError, LockstepError, Unavailable, Violation
from lockstep.gate.judge import Judge, Observed, Place, Plan, live_table, plan
from lockstep.local.stack import LocalStack
from lockstep.table import Table, at, cells, is_withdrawn, releases

if TYPE_CHECKING:
    from lockstep.audit.local import LocalAudit
    from lockstep.audit.note import Head
    from lockstep.audit.record import Record
    from lockstep.audit.state import State
    from lockstep.gate.decision import Decision
    from lockstep.gate.opa import Opa

PROJECT = "lockstep"
GATE_DEADLINE_S = 20.0


@dataclass
class Ledger:
    """One stack's record, and what is needed to add to it."""

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

    def _writable(self) -> LocalAudit:
        audit = self.audit(write=True)
        if audit is None:
            raise Unavailable(
                "the audit bucket is not there, so nothing can be recorded and nothing may change",
                code="audit.absent",
                remedy="run `./lockstep up`, which declares the bucket before everything else",
            )
        return audit

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

    # --- writing

    def append(self, made: dict[str, Any]) -> Record:
        """Append a draft at the head that was read last. Raises LostRace if somebody else was first."""
        audit = self._writable()
        record: Record = audit.log.append(
            made,
            expect_size=self.size(),
            now=datetime.now(UTC),
            retention=timedelta(days=self.retention_days),
        )
        self._read = False
        return record

    def circumstances(self) -> dict[str, Any]:
        """Who, from which commit, and which history files are new: what every record says."""
        from lockstep.audit.history import newer

        folder = self.stack.history
        return {
            "claimed": claimed_actor(),
            "git": git_state(str(self.stack.paths.root)),
            "history": newer(folder, self._listed()) if folder.is_dir() else [],
        }

    def _listed(self) -> set[str]:
        """The history files that earlier records name, as far back as the newest record that names any."""
        audit = self.audit()
        if audit is None:
            return set()
        for index in range(self.size() - 1, -1, -1):
            listed = audit.log.read(index)["history"]
            if listed:
                return {item["name"] for item in listed}
        return set()

    def record_intent(self, declared: Table) -> Plan | None:
        """Close an open intent, ask, and append the intent for a due change; None if nothing is due.

        Raises Denied (and leaves a `denied` record), Unavailable, LostRace.
        """
        audit = self._writable()
        state = self.state(fresh=True) or audit.log.state()
        reopened = state.open_intent is not None
        if reopened:
            self.close_interrupted()
            state = self.state(fresh=True) or state
        observed = self.stack.observe()
        proposed = plan(declared, state, observed, reopened=reopened)
        if proposed is None:
            return None
        size = self.size()
        decision = self.ask(proposed, state, observed)
        if waits(proposed, decision):
            return None
        if not decision.allow:
            self.record_denied(proposed, decision)
            raise Denied(decision.violations)
        if self.size() != size:
            raise IntegrityError(
                "the log grew while the gate decided",
                code="audit.stale_head",
                remedy="another update wrote to the log; run the command again",
            )
        from lockstep.audit.drafts import draft_intent

        made = draft_intent(
            from_=proposed.origin,
            to=proposed.target,
            change=proposed.change,
            decision=decision.to_record(),
            marked=proposed.marks,
            evidence=list(decision.evidence),
            **self.circumstances(),
        )
        self.append(made)
        return proposed

    def record_denied(self, proposed: Plan, decision: Decision) -> Record:
        from lockstep.audit.record import draft

        made = draft(
            "denied",
            from_=proposed.origin,
            to=proposed.target,
            change=proposed.change,
            decision=decision.to_record(),
            evidence=list(decision.evidence),
            releases=releases(proposed.target),
            **self.circumstances(),
        )
        return self.append(made)

    def record_outcome(self, intent: int) -> None:
        """Close `intent` with the live table. Raises LockstepError `receipt.not_in_force` on a mismatch."""
        state = self.state(fresh=True)
        if state is None or state.open_intent is None:
            return
        opened = state.open_intent
        if opened.index != intent:
            raise IntegrityError(
                f"the open intent is record {opened.index}, not {intent}",
                code="receipt.wrong_intent",
                remedy="run `./lockstep up`, which closes it and asks again",
            )
        observed = self.stack.observe()
        live = _answered(observed, opened["to"])
        if live == opened["to"]:
            self._append_outcome(state, opened, live, observed, "complete", None)
            return
        table = live_table(state, observed)
        self._append_outcome(state, opened, table, observed, "interrupted", "live is not what was intended")
        raise LockstepError(
            "the routes are not what the intent says; the record says so",
            code="receipt.not_in_force",
            remedy="see `./lockstep status`, then run `./lockstep up`",
        )

    def close_interrupted(self, reason: str = "found open by the next writer") -> None:
        """Give an open intent the outcome `interrupted` with the live table. Nothing open: nothing done."""
        state = self.state(fresh=True)
        if state is None or state.open_intent is None:
            return
        observed = self.stack.observe()
        table = live_table(state, observed)
        self._append_outcome(state, state.open_intent, table, observed, "interrupted", reason)

    def _append_outcome(
        self, state: State, intent: Record, live: Table, observed: Observed, result: str, reason: str | None
    ) -> None:
        from lockstep.audit.drafts import draft_outcome

        made = draft_outcome(
            state,
            intent,
            live=live,
            ready=_ready(live, observed),
            result=result,
            reason=reason,
            **self.circumstances(),
        )
        self.append(made)

    # --- leaving

    def record_withdrawal(self, *, allowed: bool) -> None:
        """A destroy begins: record the intent to withdraw everything. Raises Denied unless allowed."""
        from lockstep.audit.drafts import draft_intent

        if not allowed:
            raise Denied(
                [
                    Violation(
                        "destroy.not_allowed",
                        f"the stack {self.stack.name} does not allow destroy",
                        "set lockstep:allow_destroy to true, run an update, then destroy",
                    )
                ],
                code="destroy.not_allowed",
            )
        self._writable()
        self.close_interrupted("found open by destroy")
        state = self.state(fresh=True)
        if state is None:
            return
        target: Table = {}
        for model, region, cell in cells(state.table):
            standing = state.standing.get(model, {}).get(region)
            target.setdefault(model, {})[region] = (
                {"withdraw": standing} if standing is not None and not is_withdrawn(cell) else cell
            )
        made = draft_intent(
            from_=state.table,
            to=target,
            change="withdraw",
            decision={"allow": True, "by": "allow_destroy"},
            marked={},
            reason="destroy, which the stack's config allows",
            **self.circumstances(),
        )
        self.append(made)

    def record_withdrawn(self) -> None:
        """The last act of a destroy: nothing is routed any more."""
        state = self.state(fresh=True)
        if state is None or state.open_intent is None:
            return
        live = state.open_intent["to"]
        self._append_outcome(state, state.open_intent, live, Observed({}, {}), "complete", None)

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


def _answered(observed: Observed, target: Table) -> Table:
    """The live table as the gateways answer it: nothing is assumed for one that does not."""
    live: Table = {}
    for model, region, _ in cells(target):
        cell = observed.live.get((model, region))
        if cell is not None:
            live.setdefault(model, {})[region] = cell
    return live


def _ready(table: Table, observed: Observed) -> dict[str, dict[str, dict[str, bool]]]:
    """For each slot: whether its service says that it serves the release that the table names."""
    ready: dict[str, dict[str, dict[str, bool]]] = {}
    for model, region, cell in cells(table):
        serving = observed.serving.get((model, region), {})
        ready.setdefault(model, {})[region] = {
            slot: cell.get(slot) is not None and serving.get(slot) == cell[slot] for slot in ("blue", "green")
        }
    return ready


def claimed_actor() -> str:
    """Who this says it is: a claim, recorded as one."""
    import getpass
    import socket

    return os.environ.get("LOCKSTEP_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"


def git_state(root: str) -> dict[str, Any] | None:
    """The checkout's commit and whether it has changes; None outside a git checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changes = subprocess.run(
            ["git", "-C", root, "status", "--porcelain"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
