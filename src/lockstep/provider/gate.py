"""PromotionGate: judges the whole table, records the intent, and gives out what was allowed.

Services take their release and routes their weights from this resource's output and from nowhere
else, so a denial leaves everything as it was.

- Check asks when a change is due and writes nothing: it cannot tell a preview from an update
- Create and Update close an open intent, ask again, and append their own intent at the head that the
  answer was given for; they do the same thing, because the record, not the engine, knows what is new
- Delete runs in a destroy, after the receipt's: it appends the outcome of the withdrawal. For a gate
  that this operation has checked it is the old half of a replacement and does nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lockstep.errors import Denied, LockstepError
from lockstep.gate.judge import Plan, changed_places
from lockstep.ledger import Ledger
from lockstep.provider.kind import Call, Change, Values, holds_unknown
from lockstep.provider.ledger import LOG, ledger_of, refuse_lost_gate
from lockstep.table import Table, cells

if TYPE_CHECKING:
    from lockstep.audit.state import State

NO_INTENT = -1


def table_of(value: dict[str, Any]) -> Table:
    """A table as it crossed the engine, which may drop nulls."""
    result: Table = {}
    for model, places in value.items():
        result[model] = {region: cell_of(cell) for region, cell in places.items()}
    return result


def cell_of(cell: dict[str, Any]) -> dict[str, Any]:
    if "withdraw" in cell:
        return {"withdraw": cell["withdraw"]}
    return {"blue": cell.get("blue"), "green": cell.get("green"), "green_weight": cell["green_weight"]}


class PromotionGate:
    token = "lockstep:index:PromotionGate"
    description = "Judges the whole table. Its `cells` are the only source of releases and weights."
    inputs: ClassVar[dict[str, Any]] = {
        "table": {"$ref": "pulumi.json#/Any", "description": "model -> region -> cell, as declared"},
        "store": {"type": "string", "description": "release store URL; empty: the checkout's own"},
        "opa_url": {"type": "string", "description": "an OPA to ask; empty: a private one"},
        "allow_destroy": {"type": "boolean"},
        **LOG,
    }
    outputs: ClassVar[dict[str, Any]] = {
        "cells": {"$ref": "pulumi.json#/Any", "description": "the allowed table; each cell with its intent"},
        "intent": {"type": "integer", "description": "index of the newest intent; -1 before the first"},
        "change": {"type": "string", "description": "first, step, stand, rollback, withdraw or none"},
    }

    def check(self, call: Call, inputs: Values) -> list[str]:
        if holds_unknown(inputs):
            return [
                "gate.unknown_input: the gate does not judge what a preview cannot know; declare it plainly"
            ]
        ledger = ledger_of(call, inputs)
        try:
            plan = ledger.due(table_of(inputs["table"]))
        except Denied as denied:
            return [str(violation) for violation in denied.violations]
        except LockstepError as error:
            return [str(error)]
        call.session.answers[call.urn] = plan
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        plan: Plan | None = call.session.answers.get(call.urn)
        if plan is not None:
            return Change(True)
        expected = {**inputs, **self._standing_outputs(ledger_of(call, inputs), inputs)}
        same = all(
            outputs.get(key) == value for key, value in expected.items() if key not in ("cells", "table")
        )
        same = same and _given(outputs.get("cells")) == _given(expected["cells"])
        return Change(not same)

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        outputs = self._give_out(call, inputs)
        return f"{ledger_of(call, inputs).origin}/gate/{max(outputs['intent'], 0)}", outputs

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._give_out(call, inputs)

    def _give_out(self, call: Call, inputs: Values) -> Values:
        ledger = ledger_of(call, inputs)
        declared = table_of(inputs["table"])
        if call.preview:
            plan: Plan | None = call.session.answers.get(call.urn)
            return {**inputs, **self._predicted(ledger, plan, declared)}
        with call.session.writing:
            intent = ledger.record_intent(declared)
            given = self._standing_outputs(ledger, inputs)
        if intent is not None:
            given = {**given, "change": intent.change}
        return {**inputs, **given}

    def _standing_outputs(self, ledger: Ledger, inputs: Values) -> Values:
        """What the record says is allowed now."""
        state = ledger.state()
        declared = table_of(inputs["table"])
        if state is None:
            return {"cells": {}, "intent": NO_INTENT, "change": "none"}
        intent, change = _newest_intent(state)
        return {
            "cells": _with_intents(declared, state.cell_intent, NO_INTENT),
            "intent": intent,
            "change": change,
        }

    def _predicted(self, ledger: Ledger, plan: Plan | None, declared: Table) -> Values:
        state = ledger.state()
        if plan is None:
            return self._standing_outputs(ledger, {"table": declared})
        size = 0 if state is None else state.size
        index = size + (1 if state is not None and state.open_intent is not None else 0)
        known: dict[str, dict[str, int]] = {} if state is None else state.cell_intent
        moved = changed_places(plan.origin, declared)
        kept = {
            model: {region: at for region, at in places.items() if (model, region) not in moved}
            for model, places in known.items()
        }
        return {"cells": _with_intents(declared, kept, index), "intent": index, "change": plan.change}

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        if call.urn in call.session.checked:
            return
        refuse_lost_gate(call)
        with call.session.writing:
            ledger_of(call, outputs).record_withdrawn()

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        ledger = ledger_of(call, outputs)
        if not ledger.knows(identity.rsplit("/", 1)[1]):
            return None
        return {**outputs, **self._standing_outputs(ledger, outputs)}


def _newest_intent(state: State) -> tuple[int, str]:
    """Index and change of the newest intent, open or closed."""
    if state.open_intent is not None:
        return state.open_intent.index, str(state.open_intent["change"])
    if state.newest_outcome is not None:
        return int(state.newest_outcome["intent"]), str(state.newest_outcome["change"])
    return NO_INTENT, "none"


def _with_intents(table: Table, intents: dict[str, dict[str, int]], otherwise: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for model, region, cell in cells(table):
        index = intents.get(model, {}).get(region, otherwise)
        result.setdefault(model, {})[region] = {**cell, "intent": index}
    return result


def _given(value: Any) -> dict[str, Any]:
    """Cells as given out, with the nulls that the engine may have dropped put back."""
    return {
        model: {region: {**cell_of(cell), "intent": cell.get("intent")} for region, cell in places.items()}
        for model, places in (value or {}).items()
    }
