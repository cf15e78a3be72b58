"""PromotionReceipt: reads the live weights after the routes and appends the outcome.

An intent gets exactly one outcome. A receipt that finds it appends nothing; one whose live table is
not what the intent said appends `interrupted` and fails. In a destroy the receipt goes first: it
records the intent to withdraw everything, unless its own output `allow_destroy` forbids it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lockstep.ledger import Ledger
from lockstep.provider.kind import Call, Change, Values, differing
from lockstep.provider.ledger import LOG, ledger_of, refuse_lost_gate


class PromotionReceipt:
    token = "lockstep:index:PromotionReceipt"
    description = "Closes the gate's intent with what is live."
    inputs: ClassVar[dict[str, Any]] = {
        "intent": {"type": "integer", "description": "index of the intent to close"},
        "allow_destroy": {"type": "boolean"},
        **LOG,
    }
    outputs: ClassVar[dict[str, Any]] = {
        "outcome": {"type": "integer", "description": "index of the newest outcome; -1 if there is none"},
        "head_size": {"type": "integer"},
        "head_root": {"type": "string", "description": "Merkle root of the log, hex"},
    }

    def check(self, call: Call, inputs: Values) -> list[str]:
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        state = ledger_of(call, inputs).state()
        is_open = state is not None and state.open_intent is not None
        return Change(is_open or bool(differing(outputs, inputs)))

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        ledger = ledger_of(call, inputs)
        return f"{ledger.origin}/receipt/{max(inputs['intent'], 0)}", self._close(call, inputs)

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._close(call, inputs)

    def _close(self, call: Call, inputs: Values) -> Values:
        from lockstep.provider.kind import UNKNOWN

        if call.preview:
            return {**inputs, "outcome": UNKNOWN, "head_size": UNKNOWN, "head_root": UNKNOWN}
        ledger = ledger_of(call, inputs)
        with call.session.writing:
            ledger.record_outcome(inputs["intent"])
            return {**inputs, **self._head(ledger)}

    @staticmethod
    def _head(ledger: Ledger) -> Values:
        state, head = ledger.state(), ledger.head()
        outcome = None if state is None else state.newest_outcome
        return {
            "outcome": -1 if outcome is None else outcome.index,
            "head_size": 0 if head is None else head.size,
            "head_root": "" if head is None else head.root,
        }

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        if call.urn in call.session.checked:
            return
        ledger = ledger_of(call, outputs)
        refuse_lost_gate(call)
        with call.session.writing:
            ledger.record_withdrawal(allowed=bool(outputs.get("allow_destroy")))

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        ledger = ledger_of(call, outputs)
        if not ledger.knows(identity.rsplit("/", 1)[1]):
            return None
        return {**outputs, **self._head(ledger)}
