"""Gate, receipt and route as the engine calls them, in the orders in which it does; on the real log."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi.provider.experimental.provider as api
import pytest

from lockstep.errors import Denied, IntegrityError, LockstepError, Unavailable
from lockstep.provider.gate import NO_INTENT, PromotionGate, cell_of, table_of
from lockstep.provider.kind import UNKNOWN, Call, Values
from lockstep.provider.kinds import KINDS
from lockstep.provider.plugin import LockstepProvider, wrapped
from lockstep.provider.processes import ModelService
from lockstep.provider.receipt import PromotionReceipt
from lockstep.provider.route import Route
from lockstep.provider.session import Session
from tests.support.stack import Scene
from tests.support.versity import BUCKET

GATE, RECEIPT, ROUTE = PromotionGate(), PromotionReceipt(), Route()
COMMON = {"environment": "local", "bucket": BUCKET, "retention_days": 1}
WHOLE = {**COMMON, "target": "local", "home": "local-a"}


class Operation:
    """One preview, update or destroy: one plugin process, with one session."""

    def __init__(self, scene: Scene, *, preview: bool = False) -> None:
        stacks: dict[str, Any] = {"local": scene.stack}
        self.session = Session(scene.paths, _stacks=stacks)
        self.scene = scene
        self.preview = preview

    def call(self, kind: str, name: str) -> Call:
        urn = f"urn:pulumi:local::lockstep::lockstep:index:{kind}::{name}"
        return Call(self.session, urn, self.preview)

    def check(self, kind: str, name: str, inputs: Values) -> list[str]:
        """As the engine does: through the plugin, which remembers what this operation has checked."""
        provider = LockstepProvider(KINDS, self.session)
        given = {key: wrapped(value) for key, value in inputs.items()}
        request = api.CheckRequest(self.call(kind, name).urn, {}, given, random_seed=b"")
        return [failure.reason for failure in asyncio.run(provider.check(request)).failures or []]

    @property
    def gate(self) -> Call:
        return self.call("PromotionGate", "gate")

    @property
    def receipt(self) -> Call:
        return self.call("PromotionReceipt", "receipt")

    def route(self, region: str = "local-a") -> Call:
        return self.call("Route", f"digits-{region}")


def asked(scene: Scene, table: Any, *, allow_destroy: bool = True) -> Values:
    return {
        **WHOLE,
        "table": table,
        "store": "",
        "opa_url": scene.opa.url,
        "allow_destroy": allow_destroy,
    }


def closing(intent: int, *, allow_destroy: bool = True) -> Values:
    return {**WHOLE, "intent": intent, "allow_destroy": allow_destroy}


def routed(cell: Any, intent: int, region: str = "local-a") -> Values:
    return {**COMMON, "model": "digits", "region": region, "cell": cell, "intent": intent}


def update(scene: Scene, table: Any) -> tuple[Values, Values]:
    """A whole update through the provider's kinds; the outputs of gate and receipt."""
    step = Operation(scene)
    inputs = asked(scene, table)
    assert GATE.check(step.gate, inputs) == []
    _, given = GATE.create(step.gate, inputs)
    for region, cell in given["cells"]["digits"].items():
        ROUTE.create(step.route(region), routed(cell_of(cell), cell["intent"], region))
    assert RECEIPT.check(step.receipt, closing(given["intent"])) == []
    _, closed = RECEIPT.create(step.receipt, closing(given["intent"]))
    return given, closed


# --- the gate's output is the allowed table


def test_an_update_gives_out_the_table_with_the_intent_of_each_cell(stage: Scene) -> None:
    given, closed = update(stage, stage.table())
    assert given["intent"] == 0
    assert given["change"] == "first"
    assert given["cells"]["digits"]["local-a"] == {**stage.cell(), "intent": 0}
    assert (closed["outcome"], closed["head_size"]) == (1, 2)
    assert len(closed["head_root"]) == 64


def test_a_cell_keeps_its_intent_while_another_moves(stage: Scene) -> None:
    update(stage, stage.table())
    given, _ = update(stage, stage.table(stage.cell(stage.better)))
    intents = {region: cell["intent"] for region, cell in given["cells"]["digits"].items()}
    assert intents == {"local-a": 2, "local-b": 0}


def test_a_preview_foretells_what_the_update_gives_and_writes_nothing(stage: Scene) -> None:
    update(stage, stage.table())
    placed = stage.table(stage.cell(stage.better))
    ahead = Operation(stage, preview=True)
    assert GATE.check(ahead.gate, asked(stage, placed)) == []
    foretold = GATE.update(ahead.gate, "id", {}, asked(stage, placed))
    assert len(stage.records()) == 2
    given, _ = update(stage, placed)
    assert foretold == given


def test_a_preview_of_the_first_update_foretells_it_too(bare_stage: Scene) -> None:
    ahead = Operation(bare_stage, preview=True)
    inputs = asked(bare_stage, bare_stage.table())
    assert GATE.check(ahead.gate, inputs) == []
    _, foretold = GATE.create(ahead.gate, inputs)
    assert foretold["intent"] == 0
    assert foretold["change"] == "first"
    assert foretold["cells"]["digits"]["local-b"] == {**bare_stage.cell(), "intent": 0}


def test_a_preview_counts_the_outcome_that_an_open_intent_still_needs(stage: Scene) -> None:
    update(stage, stage.table())
    stage.ledger().record_intent(stage.table(stage.cell(stage.better)))
    ahead = Operation(stage, preview=True)
    inputs = asked(stage, stage.table())
    assert GATE.check(ahead.gate, inputs) == []
    assert GATE.update(ahead.gate, "id", {}, inputs)["intent"] == 4
    assert len(stage.records()) == 3


# --- check and diff


def test_a_denial_is_a_check_failure_a_rule(stage: Scene) -> None:
    update(stage, stage.table())
    step = Operation(stage)
    failures = GATE.check(step.gate, asked(stage, stage.table(stage.cell(stage.better, 5))))
    assert any(failure.startswith("candidate.not_ready (digits/local-a): ") for failure in failures)
    assert all("remedy: " in failure for failure in failures)
    assert len(stage.records()) == 2


def test_a_gate_without_opa_denies(stage: Scene) -> None:
    inputs = {**asked(stage, stage.table()), "opa_url": "http://127.0.0.1:9"}
    failures = GATE.check(Operation(stage).gate, inputs)
    assert len(failures) == 1
    assert "gate.opa_" in failures[0]


@pytest.mark.parametrize("key", ["table", "environment", "store"])
def test_what_a_preview_cannot_know_is_not_judged(stage: Scene, key: str) -> None:
    inputs = asked(stage, stage.table())
    inputs[key] = {"digits": UNKNOWN} if key == "table" else UNKNOWN
    failures = GATE.check(Operation(stage).gate, inputs)
    assert [failure.split(":")[0] for failure in failures] == ["gate.unknown_input"]


def test_nothing_changed_is_no_diff_and_an_edited_state_is_one(stage: Scene) -> None:
    given, closed = update(stage, stage.table())
    step = Operation(stage)
    inputs = asked(stage, stage.table())
    assert GATE.check(step.gate, inputs) == []
    assert not GATE.changed(step.gate, given, inputs).changed
    assert not RECEIPT.changed(step.receipt, closed, closing(0)).changed
    edited = {**given, "cells": {"digits": {"local-a": {**stage.cell(stage.better, 80), "intent": 0}}}}
    assert GATE.changed(step.gate, edited, inputs).changed
    assert GATE.changed(step.gate, {**given, "allow_destroy": False}, inputs).changed
    assert GATE.changed(step.gate, {}, inputs).changed


def test_nulls_that_the_engine_drops_make_no_diff(stage: Scene) -> None:
    given, _ = update(stage, stage.table())
    dropped = {
        "digits": {
            region: {key: value for key, value in cell.items() if value is not None}
            for region, cell in given["cells"]["digits"].items()
        }
    }
    step = Operation(stage)
    inputs = asked(stage, stage.table())
    assert GATE.check(step.gate, inputs) == []
    assert not GATE.changed(step.gate, {**given, "cells": dropped}, inputs).changed
    assert table_of(dropped) == stage.table()


def test_a_due_change_is_a_diff_whatever_the_state_says(stage: Scene) -> None:
    update(stage, stage.table())
    placed = stage.table(stage.cell(stage.better))
    step = Operation(stage)
    inputs = asked(stage, placed)
    assert GATE.check(step.gate, inputs) == []
    state_says_done = {**inputs, "cells": placed, "intent": 0, "change": "step"}
    assert GATE.changed(step.gate, state_says_done, inputs).changed


def test_an_open_intent_is_a_diff_of_the_receipt(stage: Scene) -> None:
    _, closed = update(stage, stage.table())
    stage.ledger().record_intent(stage.table(stage.cell(stage.better)))
    assert RECEIPT.changed(Operation(stage).receipt, closed, closing(0)).changed


# --- writing


def test_create_asks_again_and_a_denial_then_is_recorded(stage: Scene) -> None:
    update(stage, stage.table())
    with pytest.raises(Denied):
        GATE.update(Operation(stage).gate, "id", {}, asked(stage, stage.table(stage.cell(stage.better, 5))))
    assert stage.kinds()[-1] == "denied"


def test_an_intent_without_its_receipt_is_closed_before_the_next(stage: Scene) -> None:
    step = Operation(stage)
    GATE.create(step.gate, asked(stage, stage.table()))
    GATE.create(Operation(stage).gate, asked(stage, stage.table()))
    assert stage.kinds() == ["intent", "outcome:interrupted", "intent"]


def test_a_receipt_does_not_close_on_a_table_that_is_not_live(stage: Scene) -> None:
    GATE.create(Operation(stage).gate, asked(stage, stage.table()))
    with pytest.raises(LockstepError) as caught:
        RECEIPT.create(Operation(stage).receipt, closing(0))
    assert caught.value.code == "receipt.not_in_force"
    assert stage.kinds() == ["intent", "outcome:interrupted"]


def test_a_receipt_in_a_preview_says_that_it_cannot_know(stage: Scene) -> None:
    _, outputs = RECEIPT.create(Operation(stage, preview=True).receipt, closing(0))
    assert outputs["outcome"] == outputs["head_size"] == outputs["head_root"] == UNKNOWN
    assert stage.records() == []


# --- delete


def test_a_destroy_is_an_intent_by_the_receipt_and_an_outcome_by_the_gate(stage: Scene) -> None:
    given, closed = update(stage, stage.table())
    destroy = Operation(stage)  # a destroy never calls Check
    RECEIPT.delete(destroy.receipt, "id", closed)
    for region in ("local-a", "local-b"):
        ROUTE.delete(destroy.route(region), "id", routed(stage.cell(), 0, region))
    GATE.delete(destroy.gate, "id", given)
    assert stage.kinds() == ["intent", "outcome:complete"] * 2
    assert stage.stack.routes == {}
    assert stage.records()[-1]["change"] == "withdraw"


def test_a_destroy_that_the_config_does_not_allow_is_refused_by_the_receipt(stage: Scene) -> None:
    _, closed = update(stage, stage.table())
    with pytest.raises(Denied) as caught:
        RECEIPT.delete(Operation(stage).receipt, "id", {**closed, "allow_destroy": False})
    assert caught.value.code == "destroy.not_allowed"
    with pytest.raises(Denied):
        RECEIPT.delete(
            Operation(stage).receipt, "id", {k: v for k, v in closed.items() if k != "allow_destroy"}
        )
    assert len(stage.records()) == 2


def test_the_old_half_of_a_replacement_does_nothing(stage: Scene) -> None:
    given, closed = update(stage, stage.table())
    step = Operation(stage)
    assert step.check("PromotionGate", "gate", asked(stage, stage.table())) == []
    assert step.check("PromotionReceipt", "receipt", closing(0)) == []
    GATE.delete(step.gate, "id", given)
    RECEIPT.delete(step.receipt, "id", closed)
    assert len(stage.records()) == 2


@pytest.mark.parametrize(
    ("kind", "name", "inputs"),
    [
        ("PromotionReceipt", "another", closing(0)),
        (
            "Gateway",
            "gateway-local-a",
            {
                "region": "local-a",
                "port": 1,
                "environment": "local",
                "bucket": "b",
                "retention_days": 1,
            },
        ),
    ],
)
def test_a_program_that_lost_its_gate_or_both_does_not_pass_for_a_destroy(
    stage: Scene, kind: str, name: str, inputs: Values
) -> None:
    """What it still declares is checked in that operation; a destroy checks nothing at all."""
    given, closed = update(stage, stage.table())
    step = Operation(stage)
    assert step.check(kind, name, inputs) == []
    for lost, call, outputs in ((GATE, step.gate, given), (RECEIPT, step.receipt, closed)):
        with pytest.raises(LockstepError) as caught:
            lost.delete(call, "id", outputs)
        assert caught.value.code == "gate.lost"
    assert len(stage.records()) == 2


# --- read


def test_read_answers_from_the_log(stage: Scene) -> None:
    given, closed = update(stage, stage.table())
    step = Operation(stage)
    assert GATE.read(step.gate, "lockstep/local/gate/0", {**given, "cells": {}, "intent": 99}) == {
        **given,
        "change": "first",
    }
    assert RECEIPT.read(step.receipt, "lockstep/local/receipt/0", {**closed, "outcome": 99}) == closed
    assert GATE.read(step.gate, "lockstep/local/gate/77", given) is None
    assert RECEIPT.read(step.receipt, "lockstep/local/receipt/x", closed) is None


# --- the route: the second lock


def test_a_route_refuses_a_cell_that_no_record_says(stage: Scene) -> None:
    update(stage, stage.table())
    step = Operation(stage)
    for cell, intent in ((stage.cell(stage.better, 80), 0), (stage.cell(), 1), (stage.cell(), 5)):
        with pytest.raises(LockstepError):
            ROUTE.update(step.route(), "id", {}, routed(cell, intent))
    assert stage.stack.routes[("digits", "local-a")] == stage.cell()


def test_a_route_that_was_overtaken_while_it_waited_moves_nothing(stage: Scene) -> None:
    """An update is held up before its route; another one goes ahead; then the first one has its turn."""
    update(stage, stage.table())
    update(stage, stage.table(stage.cell(stage.better)))
    first, second = stage.cell(stage.better, 5), stage.cell(stage.better, 0)
    step = Operation(stage)
    given = GATE.update(step.gate, "id", {}, asked(stage, stage.table(first)))
    index = given["cells"]["digits"]["local-a"]["intent"]
    stage.stack.locked = lambda: stage.ledger().close_interrupted()
    with pytest.raises(IntegrityError) as caught:
        ROUTE.update(step.route(), "id", {}, routed(first, index))
    assert caught.value.code == "route.no_record"
    assert stage.stack.routes[("digits", "local-a")] == second


def test_a_route_without_an_intent_is_refused(stage: Scene) -> None:
    update(stage, stage.table())
    with pytest.raises(IntegrityError) as caught:
        ROUTE.create(Operation(stage).route(), routed(stage.cell(), NO_INTENT))
    assert caught.value.code == "route.no_record"


def test_a_route_does_not_leave_before_the_record_says_so(stage: Scene) -> None:
    update(stage, stage.table())
    with pytest.raises(IntegrityError) as caught:
        ROUTE.delete(Operation(stage).route(), "id", routed(stage.cell(), 0))
    assert caught.value.code == "route.no_record"
    assert stage.stack.routes[("digits", "local-a")] == stage.cell()
    update(stage, stage.table({"withdraw": stage.plain}))
    ROUTE.delete(Operation(stage).route(), "id", routed(stage.cell(), 0))
    assert ("digits", "local-a") not in stage.stack.routes


def test_the_old_half_of_a_replaced_route_goes(stage: Scene) -> None:
    update(stage, stage.table())
    step = Operation(stage)
    assert step.check("Route", "digits-local-a", routed(stage.cell(), 0)) == []
    ROUTE.delete(step.route(), "id", routed(stage.cell(), 0))
    assert ("digits", "local-a") not in stage.stack.routes


def test_a_service_refuses_a_release_that_no_record_puts_there(stage: Scene) -> None:
    update(stage, stage.table())
    common = {**COMMON, "model": "digits", "region": "local-a", "runtime": "onnx", "store": "", "port": 1}
    call = Operation(stage).call("ModelService", "digits-local-a-blue")
    for slot, release, intent in (
        ("blue", stage.better, 0),
        ("green", stage.plain, 0),
        ("blue", stage.plain, 1),
        ("blue", stage.plain, NO_INTENT),
    ):
        inputs = {**common, "slot": slot, "release": release, "intent": intent}
        with pytest.raises(IntegrityError) as caught:
            ModelService().create(call, inputs)
        assert caught.value.code == "route.no_record"
    ModelService().authorize(call, {**common, "slot": "blue", "release": stage.plain, "intent": 0})


def test_a_preview_of_a_route_moves_nothing(stage: Scene) -> None:
    ROUTE.create(Operation(stage, preview=True).route(), routed(stage.cell(), 0))
    assert stage.stack.routes == {}


def test_a_routes_diff_asks_what_is_live(stage: Scene) -> None:
    update(stage, stage.table())
    inputs = routed(stage.cell(), 0)
    assert not ROUTE.changed(Operation(stage).route(), inputs, inputs).changed
    assert ROUTE.changed(Operation(stage).route(), inputs, routed(stage.cell(stage.better), 2)).changed
    assert ROUTE.changed(Operation(stage).route(), inputs, {**inputs, "intent": UNKNOWN}).changed
    renamed = ROUTE.changed(Operation(stage).route(), inputs, {**inputs, "region": "local-b"})
    assert renamed.replaces == ["region"]
    stage.stack.routes[("digits", "local-a")] = stage.cell(stage.better, 80)  # somebody edited the gateway
    assert ROUTE.changed(Operation(stage).route(), inputs, inputs).changed
    stage.stack.routes[("digits", "local-a")] = None  # a reboot
    assert ROUTE.changed(Operation(stage).route(), inputs, inputs).changed
    with pytest.raises(Unavailable) as caught:
        ROUTE.read(Operation(stage).route(), "id", inputs)
    assert caught.value.code == "route.gateway_silent"
    del stage.stack.routes[("digits", "local-a")]
    assert ROUTE.read(Operation(stage).route(), "id", inputs) is None


def test_a_wrong_intent_is_an_integrity_error(stage: Scene) -> None:
    update(stage, stage.table())
    with pytest.raises(IntegrityError) as caught:
        ROUTE.create(Operation(stage).route(), routed(stage.cell(stage.better, 80), 0))
    assert caught.value.code == "route.no_record"
