"""Warrants: the second lock of a target whose objects belong to somebody else's provider.

On one machine services and routes are this plugin's own and refuse by themselves what no record explains. A
Deployment or an HTTPRoute on a cluster cannot, so each takes its release or its cell from a warrant, which
gives them out only after it has verified the signed intent record. A program that was edited to skip the gate
finds no warrant, and what needs one is never made.

A warrant is proof, not a thing: deleting one changes nothing. Leaving is guarded where it is decided, by
the gate, and in a destroy by the receipt.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lockstep.provider.gate import cell_of
from lockstep.provider.kind import UNKNOWN, Call, Change, Values, differing, holds_unknown
from lockstep.provider.ledger import LOG, ledger_of


class _Warrant:
    token = ""
    description = ""
    inputs: ClassVar[dict[str, Any]]
    outputs: ClassVar[dict[str, Any]]
    unobserved: tuple[str, ...] = ()
    """Inputs that are needed to prove but make nothing due."""

    def check(self, call: Call, inputs: Values) -> list[str]:
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        different = [key for key in differing(outputs, inputs) if key not in self.unobserved]
        moved = [key for key in different if key in ("model", "region", "slot")]
        return Change(bool(different), moved)

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        names = (inputs["model"], inputs["region"], inputs.get("slot"))
        return "-".join(name for name in names if name), self._give(call, inputs)

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._give(call, inputs)

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        return None

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        return outputs

    def _give(self, call: Call, inputs: Values) -> Values:
        raise NotImplementedError


class ReleaseWarrant(_Warrant):
    token = "lockstep:index:ReleaseWarrant"
    description = "A release that a signed intent puts into this slot; what the pods take it from."
    inputs: ClassVar[dict[str, Any]] = {
        "model": {"type": "string"},
        "region": {"type": "string"},
        "slot": {"type": "string"},
        "release": {"type": "string", "description": "digest, from the gate's output"},
        "intent": {"type": "integer", "description": "index of the newest intent about this cell"},
        "runtime": {"type": "string"},
        "store": {"type": "string"},
        **LOG,
    }
    outputs: ClassVar[dict[str, Any]] = {
        "lock": {"type": "string", "description": "digest of the lock file that the release names"},
    }
    unobserved = ("intent", "retention_days")

    def _give(self, call: Call, inputs: Values) -> Values:
        if holds_unknown(inputs):
            return {**inputs, "lock": UNKNOWN}
        ledger = ledger_of(call, inputs)
        if not call.preview:
            place = (inputs["model"], inputs["region"])
            ledger.require_release(place, inputs["slot"], inputs["release"], inputs["intent"])
        return {**inputs, "lock": ledger.lock_of(inputs["release"], inputs["runtime"])}


class RouteWarrant(_Warrant):
    token = "lockstep:index:RouteWarrant"
    description = "A cell that a signed intent allows; what the HTTPRoute takes its weights from."
    inputs: ClassVar[dict[str, Any]] = {
        "model": {"type": "string"},
        "region": {"type": "string"},
        "cell": {"$ref": "pulumi.json#/Any", "description": "the cell, from the gate's output"},
        "intent": {"type": "integer", "description": "index of the newest intent about this cell"},
        **LOG,
    }
    outputs: ClassVar[dict[str, Any]] = {
        "record": {"type": "string", "description": "digest of the intent record"},
    }
    unobserved = ("retention_days",)

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        if holds_unknown(inputs):
            return Change(True)
        was, now = ({**values, "cell": cell_of(values["cell"])} for values in (outputs, inputs))
        return super().changed(call, was, now)

    def _give(self, call: Call, inputs: Values) -> Values:
        if call.preview or holds_unknown(inputs):
            return {**inputs, "record": UNKNOWN}
        place, cell = (inputs["model"], inputs["region"]), cell_of(inputs["cell"])
        record = ledger_of(call, inputs).require_intent(place, cell, inputs["intent"])
        return {**inputs, "cell": cell, "record": record.digest}
