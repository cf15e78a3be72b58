"""The ledger of the stack that a call is about, made from the inputs or outputs of its resource.

Within one operation, Check and Diff of gate and receipt share what was read: a preview is about one
moment. Whoever writes reads again.
"""

from __future__ import annotations

from typing import Any

from lockstep.errors import LockstepError
from lockstep.ledger import Ledger
from lockstep.provider.kind import Call, Values
from lockstep.targets import LOCAL

LOG: dict[str, Any] = {
    "environment": {"type": "string"},
    "target": {"type": "string", "description": "where the stack runs: local or aws"},
    "home": {"type": "string", "description": "the region of the audit bucket"},
    "bucket": {"type": "string"},
    "retention_days": {"type": "integer"},
}
"""The inputs that say where the record is, of every kind that needs no more than that to find it."""


def ledger_of(call: Call, values: Values) -> Ledger:
    known = call.session.ledgers
    target = str(values.get("target") or LOCAL)  # a resource of one machine names none
    key = f"{call.stack}/{target}/{values.get('environment')}/{values.get('bucket')}"
    if key not in known:
        environment, home = str(values["environment"]), str(values.get("home") or "")
        known[key] = Ledger(
            call.session.stack_of(call.stack, target=target, environment=environment, home=home),
            environment=environment,
            bucket=str(values["bucket"]),
            retention_days=int(values["retention_days"]),
            store_url=str(values.get("store") or ""),
            opa_url=str(values.get("opa_url") or ""),
        )
    return known[key]


def refuse_lost_gate(call: Call) -> None:
    """A program that declares other gates but not this one lost it; a destroy checks none."""
    if call.session.checked:
        raise LockstepError(
            f"the program no longer declares {call.name}; without gate and receipt nothing may change",
            code="gate.lost",
            remedy="put it back into the program; to remove the stack use `./lockstep down`",
        )
