"""The half that adds to the record: intents, outcomes, denials, withdrawals; always through S3.

A writer first settles what a dead one left (`settle`), then reads, decides, and appends at the head that it
decided on. Somebody else's record in between makes the append fail: it is never just tried again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lockstep.errors import Denied, IntegrityError, LockstepError, Unavailable, Violation
from lockstep.gate.judge import Observed, Place, Plan, live_table
from lockstep.ledger.circumstances import claimed_actor, git_state
from lockstep.ledger.measured import all_ready, answered, readiness
from lockstep.ledger.proof import Proof
from lockstep.ledger.reader import waits
from lockstep.table import SLOTS, Cell, Table, cells, is_withdrawn, release_in, releases, slot_share

if TYPE_CHECKING:
    from lockstep.audit.note import Head
    from lockstep.audit.opened import OpenLog
    from lockstep.audit.record import Record
    from lockstep.audit.state import State
    from lockstep.gate.decision import Decision

LOOKS = 25
"""How often an outcome looks, within the stack's patience."""
BY_DESTROY = "allow_destroy"
"""Whose decision the intent of a destroy is: the config's, not a policy's."""
MAX_LISTED = 100
"""History files that one record lists, oldest first; a record has a size limit, the next lists the rest."""


@dataclass
class Ledger(Proof):
    """One stack's record, and what is needed to add to it."""

    def _writable(self) -> OpenLog:
        audit = self.audit(write=True)
        if audit is None:
            raise Unavailable(
                "the audit bucket is not there, so nothing can be recorded and nothing may change",
                code="audit.absent",
                remedy="run `./lockstep up`, which declares the bucket before everything else",
            )
        return audit

    def settle(self) -> State:
        """The state to decide on, after completing what a dead writer left between record and head."""
        audit = self._writable()
        head = audit.log.settle(now=datetime.now(UTC), retention=timedelta(days=self.retention_days))
        self._keep(head)
        return self.state(fresh=True) or audit.log.state()

    def append(self, made: dict[str, Any], *, at: int) -> Record:
        """Append a draft as record `at`, the size of the log that it was decided on.

        Raises LostRace `audit.stale_head` if the log has grown since.
        """
        audit = self._writable()
        record: Record = audit.log.append(
            made,
            expect_size=at,
            now=datetime.now(UTC),
            retention=timedelta(days=self.retention_days),
        )
        self._read = False
        self._keep(audit.log.seen)
        return record

    def _keep(self, head: Head | None) -> None:
        """Keep the head outside the bucket: whoever puts an older copy of it back is found out."""
        from lockstep.audit.kept import keep_head

        if head is not None and head.size:
            keep_head(self.stack.paths.stack(self.stack.name), head)

    def circumstances(self) -> dict[str, Any]:
        """Who, from which commit, and which history files are new: what every record says."""
        from lockstep.audit.history import newer

        folder = self.stack.history
        said: dict[str, Any] = {"history": None, "history_reason": folder}
        if not isinstance(folder, str):
            listed = newer(folder, self._listed())[:MAX_LISTED] if folder.is_dir() else []
            said = {"history": listed}
        return {"claimed": claimed_actor(), "git": git_state(str(self.stack.paths.root)), **said}

    def _listed(self) -> set[str]:
        """The history files that earlier records name, as far back as the newest record that names any."""
        audit = self.audit()
        if audit is None:
            return set()
        audit.log.head()
        listed = (record["history"] for record in audit.log.newest_first() if record["history"])
        return {item["name"] for item in next(listed, ())}

    def record_intent(self, declared: Table) -> Plan | None:
        """Close an open intent, ask, and append the intent for a due change; None if nothing is due.

        Raises Denied (and leaves a `denied` record), Unavailable, LostRace.
        """
        state = self.settle()
        reopened = state.open_intent is not None
        if reopened:
            self.close_interrupted()
            state = self.settle()
        observed = self.look(state, declared)
        judged = self.put(declared, state, observed, reopened=reopened)
        if judged is None or waits(*judged):
            return None
        proposed, decision = judged
        if not decision.allow:
            self.record_denied(proposed, decision)
            raise Denied(decision.violations)
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
        self.append(made, at=state.size)
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
        return self.append(made, at=self.settle().size)

    def record_outcome(self, intent: int) -> None:
        """Close `intent` with the live table. Raises LockstepError `receipt.not_in_force` on a mismatch, also
        where somebody else has closed the intent as interrupted, and the routes moved after that."""
        state = self.settle()
        if state.open_intent is None:
            self._require_recorded(state, intent)
            return
        opened = state.open_intent
        if opened.index != intent:
            raise IntegrityError(
                f"the open intent is record {opened.index}, not {intent}",
                code="receipt.wrong_intent",
                remedy="run `./lockstep up`, which closes it and asks again",
            )
        observed, live = self._settled_live(state, opened["to"])
        strays = self.stack.strays(sorted({region for _, region, _ in cells(opened["to"])}))
        if live == opened["to"] and not strays:
            self._append_outcome(state, opened, live, observed, "complete", None)
            return
        table = live_table(state, observed)
        reason = "; ".join(["live is not what was intended", *map(str, strays)])
        self._append_outcome(state, opened, table, observed, "interrupted", reason)
        raise LockstepError(
            "the routes are not what the intent says; the record says so",
            code="receipt.not_in_force",
            remedy="see `./lockstep status`, then run `./lockstep up`",
        )

    def _require_recorded(self, state: State, intent: int) -> None:
        newest = state.newest_outcome
        if newest is None or newest["intent"] != intent or newest["result"] == "complete":
            return
        if answered(self.look(state, state.table), state.table) != state.table:
            raise LockstepError(
                f"intent {intent} was closed as interrupted before this update was done, and the routes are "
                "not what the record says",
                code="receipt.not_in_force",
                remedy="put the recorded table into the stack file (`./lockstep status` shows both) and run "
                "`./lockstep up`",
            )

    def _settled_live(self, state: State, target: Table) -> tuple[Observed, Table]:
        """What is live, looked at again for a moment where it is not the target: a busy gateway or service
        may miss one question, and an outcome is written once."""
        until = time.monotonic() + self.stack.patience_s
        while True:
            observed = self.look(state, target)
            live = answered(observed, target)
            ready = live == target and all_ready(target, observed)
            if ready or time.monotonic() > until:
                return observed, live
            time.sleep(self.stack.patience_s / LOOKS)

    def close_interrupted(self, reason: str = "found open by the next writer") -> None:
        """Give an open intent the outcome `interrupted` with the live table. Nothing open: nothing done."""
        state = self.settle()
        if state.open_intent is None:
            return
        observed = self.look(state, {})
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
            ready=readiness(live, observed, state if result == "interrupted" else None),
            result=result,
            reason=reason,
            **self.circumstances(),
        )
        self.append(made, at=state.size)

    # --- leaving

    def record_withdrawal(self, *, allowed: bool) -> None:
        """A destroy begins: record the intent to withdraw everything. Raises Denied unless allowed."""
        from lockstep.audit.drafts import draft_intent

        if not allowed:
            raise Denied([destroy_not_allowed(self.stack.name)], code="destroy.not_allowed")
        self.close_interrupted("found open by destroy")
        state = self.settle()
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
            decision={"allow": True, "by": BY_DESTROY},
            marked={},
            reason="destroy, which the stack's config allows",
            **self.circumstances(),
        )
        self.append(made, at=state.size)

    def record_withdrawn(self) -> None:
        """The last act of a destroy: close the withdrawal with what is routed, which must be nothing.

        A destroy whose receipt is not in the state recorded no withdrawal. Then it may only go on where
        there was never any traffic. Raises IntegrityError `destroy.no_intent`, `destroy.still_routed`.
        """
        state = self.settle()
        observed = self.look(state, {})
        routed = _routed({place: cell for place, cell in observed.live.items() if cell is not None})
        intent = state.open_intent
        if intent is None or intent["change"] != "withdraw":
            recorded = _routed({(model, region): cell for model, region, cell in cells(state.table)})
            if routed or recorded:
                raise IntegrityError(
                    "no record says that everything was to be withdrawn",
                    code="destroy.no_intent",
                    remedy="run `./lockstep up`, which puts gate and receipt back, then `./lockstep down`",
                )
            self.close_interrupted("destroyed before anything was routed")
            return
        if routed:
            self._append_outcome(state, intent, live_table(state, observed), observed, "interrupted", None)
            raise IntegrityError(
                f"there is still traffic for {', '.join(f'{m} in {r}' for m, r in routed)}",
                code="destroy.still_routed",
                remedy="see `./lockstep status`, then run `./lockstep down` again",
            )
        self._append_outcome(state, intent, intent["to"], Observed({}, {}), "complete", None)


def _routed(places: dict[Place, Cell]) -> list[Place]:
    """The places where a release gets traffic."""
    return sorted(
        place
        for place, cell in places.items()
        if any(release_in(cell, slot) is not None and slot_share(cell, slot) > 0 for slot in SLOTS)
    )


def destroy_not_allowed(stack: str) -> Violation:
    return Violation(
        "destroy.not_allowed",
        f"the stack {stack} does not allow destroy",
        "set lockstep:allow_destroy to true, run `./lockstep up`, then destroy",
    )
