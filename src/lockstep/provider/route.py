"""Route: a model's share of traffic between the slots of one region.

It takes its cell from the gate's output together with the index of the newest intent about that cell,
and refuses to act before it has verified that record: the second lock, for whoever edits the program.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lockstep.errors import Unavailable
from lockstep.provider.gate import cell_of
from lockstep.provider.kind import Call, Change, Values, holds_unknown
from lockstep.provider.ledger import ledger_of


class Route:
    token = "lockstep:index:Route"
    description = "Splits a model's traffic in one region; takes effect in Envoy before it is done."
    inputs: ClassVar[dict[str, Any]] = {
        "model": {"type": "string"},
        "region": {"type": "string"},
        "cell": {"$ref": "pulumi.json#/Any", "description": "the cell, from the gate's output"},
        "intent": {"type": "integer", "description": "index of the newest intent about this cell"},
        "environment": {"type": "string"},
        "bucket": {"type": "string"},
        "retention_days": {"type": "integer"},
    }
    outputs: ClassVar[dict[str, Any]] = {}

    def check(self, call: Call, inputs: Values) -> list[str]:
        return []

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        if holds_unknown(inputs):
            return Change(True)
        moved = [key for key in ("model", "region") if outputs.get(key) != inputs[key]]
        same = cell_of(outputs["cell"]) == cell_of(inputs["cell"]) and outputs["intent"] == inputs["intent"]
        live = call.session.live(call.stack).get((inputs["model"], inputs["region"]))
        return Change(bool(moved) or not same or live != cell_of(inputs["cell"]), moved)

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        return f"{inputs['model']}-{inputs['region']}", self._put(call, inputs)

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        return self._put(call, inputs)

    def _put(self, call: Call, inputs: Values) -> Values:
        if call.preview:
            return inputs
        model, region, cell = inputs["model"], inputs["region"], cell_of(inputs["cell"])

        def recorded() -> None:
            ledger_of(call, inputs).require_intent((model, region), cell, inputs["intent"])

        recorded()
        # And again when nobody else can write to the gateway: an update that was held up here while another
        # one went ahead must not put its own weights over those.
        stack = call.session.stack(call.stack)
        stack.set_route(model, region, cell, intent=inputs["intent"], recorded=recorded)
        return inputs

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        if call.urn not in call.session.checked:  # not one that is about to be put back
            ledger_of(call, outputs).require_leaving((outputs["model"], outputs["region"]))
        call.session.stack(call.stack).remove_route(outputs["model"], outputs["region"])

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        place = (outputs["model"], outputs["region"])
        live = call.session.live(call.stack)
        if place in live and live[place] is None:
            raise Unavailable(
                f"the gateway of {place[1]} does not answer, so nobody can say what it routes",
                code="route.gateway_silent",
                remedy="run `./lockstep up`, which starts it, then refresh",
            )
        return {**outputs, "cell": live[place]} if place in live else None
