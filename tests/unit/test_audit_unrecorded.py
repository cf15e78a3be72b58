"""audit/unrecorded.py: live weights without a record are a problem; silence is not."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.audit.record import Record
from lockstep.audit.state import State
from lockstep.audit.unrecorded import unrecorded

PLAIN, BETTER = ("sha256:" + letter * 64 for letter in "ab")
PLACE = ("digits", "local-a")


def cell(weight: float) -> dict[str, Any]:
    return {"blue": PLAIN, "green": BETTER, "green_weight": weight}


def state(weight: float, intended: float | None = None) -> State:
    table = {"digits": {"local-a": cell(weight)}}
    if intended is None:
        return State(table=table)
    fields = {"from": table, "to": {"digits": {"local-a": cell(intended)}}}
    return State(table=table, open_intent=Record(0, "intent", "", "", "", fields, b""))


def test_what_the_record_says_is_no_problem() -> None:
    assert unrecorded({PLACE: cell(5)}, state(5)) == []


@pytest.mark.parametrize(
    "live", [None, {"withdraw": PLAIN}, {"blue": None, "green": None, "green_weight": 0}]
)
def test_no_traffic_is_no_problem(live: dict[str, Any] | None) -> None:
    assert unrecorded({PLACE: live}, state(5)) == []


def test_an_open_intent_explains_both_sides() -> None:
    assert unrecorded({PLACE: cell(10)}, state(5, intended=10)) == []
    assert unrecorded({PLACE: cell(5)}, state(5, intended=10)) == []


def test_live_weights_without_a_record_are_named() -> None:
    (problem,) = unrecorded({PLACE: cell(60)}, state(5, intended=10))
    assert problem.code == "audit.live_unrecorded"
    assert "digits in local-a" in problem.message
    assert "60 %" in problem.message


def test_a_place_that_the_record_does_not_know_is_named() -> None:
    (problem,) = unrecorded({("faces", "local-a"): cell(0)}, state(5))
    assert "faces in local-a" in problem.message
