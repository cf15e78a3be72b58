"""Whether a change is due, and which: the rules of gate/judge.py, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.audit.record import Record
from lockstep.audit.state import State
from lockstep.errors import UsageError
from lockstep.gate.judge import (
    Observed,
    Plan,
    changed_places,
    first_marks,
    full_marks,
    live_table,
    plan,
)
from lockstep.table import Table

PLAIN, BETTER, THIRD = ("sha256:" + letter * 64 for letter in "abc")
A, B = ("digits", "local-a"), ("digits", "local-b")


def cell(blue: str | None = PLAIN, green: str | None = None, weight: float = 0) -> dict[str, Any]:
    return {"blue": blue, "green": green, "green_weight": weight}


def table(a: dict[str, Any] | None = None, b: dict[str, Any] | None = None) -> Table:
    return {"digits": {"local-a": a or cell(), "local-b": b or cell()}}


STANDING = {"digits": {"local-a": PLAIN, "local-b": PLAIN}}


def state(at: Table | None = None, **more: Any) -> State:
    recorded = table() if at is None else at
    return State(size=6, table=recorded, standing=more.pop("standing", STANDING), **more)


def intent(origin: Table, target: Table) -> Record:
    return Record(6, "intent", "", "", "", {"from": origin, "to": target, "change": "step"}, b"")


def seen(live: dict[tuple[str, str], dict[str, Any] | None]) -> Observed:
    return Observed(live, {})


# --- (0) no log yet


def test_without_a_log_everything_is_a_first_placement() -> None:
    due = plan(table(), None)
    assert due == Plan("step", {}, table(), STANDING)
    assert due.change == "first"


# --- (1) an open intent


def test_an_open_intent_makes_a_change_due_even_for_an_equal_table() -> None:
    target = table(cell(green=BETTER, weight=5))
    opened = state(table(cell(green=BETTER)), open_intent=intent(table(cell(green=BETTER)), target))
    due = plan(target, opened, seen({A: target["digits"]["local-a"], B: cell()}))
    assert due is not None
    assert due.origin == target == due.target
    assert due.kind == "step"


def test_while_an_intent_is_open_the_change_starts_at_what_is_live() -> None:
    before, target = table(cell(green=BETTER)), table(cell(green=BETTER, weight=5))
    opened = state(before, open_intent=intent(before, target))
    due = plan(before, opened, seen({A: target["digits"]["local-a"], B: None}))
    assert due is not None
    assert due.origin == target  # local-a took effect; local-b does not answer and counts as recorded


def test_without_the_live_table_an_open_intent_cannot_be_judged() -> None:
    opened = state(open_intent=intent(table(), table()))
    with pytest.raises(UsageError) as caught:
        plan(table(), opened)
    assert caught.value.code == "gate.no_live_table"


def test_whoever_closed_an_intent_owes_a_new_one() -> None:
    due = plan(table(), state(), reopened=True)
    assert due == Plan("step", table(), table(), {})


# --- (2) another table


def test_another_table_is_a_step_from_the_recorded_one() -> None:
    target = table(cell(green=BETTER))
    due = plan(target, state())
    assert due == Plan("step", table(), target, {})
    assert due.change == "step"


def test_a_step_marks_nothing_where_something_stands() -> None:
    due = plan(table(cell(green=BETTER, weight=100)), state(table(cell(green=BETTER, weight=50))))
    assert due is not None
    assert due.marks == {}


def test_a_region_that_the_log_does_not_know_is_a_first_placement() -> None:
    known = {"digits": {"local-a": cell()}}
    due = plan(table(), state(known, standing={"digits": {"local-a": PLAIN}}))
    assert due is not None
    assert due.marks == {"digits": {"local-b": PLAIN}}
    assert due.change == "first"


def test_a_first_placement_beside_a_step_is_a_step() -> None:
    known = {"digits": {"local-a": cell()}}
    due = plan(table(cell(green=BETTER)), state(known, standing={"digits": {"local-a": PLAIN}}))
    assert due is not None
    assert due.marks == {"digits": {"local-b": PLAIN}}
    assert due.change == "step"


def test_a_cell_that_leaves_is_a_change() -> None:
    assert changed_places(table(), {"digits": {"local-a": cell()}}) == [B]
    assert changed_places(table(), table()) == []
    assert changed_places({}, table()) == [A, B]


def test_what_answers_a_rollback_is_one_and_marks_what_has_everything() -> None:
    now = table(cell(green=BETTER, weight=100))
    back = table(cell(green=BETTER))
    stands = {"digits": {"local-a": BETTER, "local-b": PLAIN}}
    pending = {"digest": BETTER, "target": back}
    due = plan(back, state(now, standing=stands, rollback=pending))
    assert due is not None
    assert due.change == "rollback"
    assert due.rollback == pending
    assert due.marks == {"digits": {"local-a": PLAIN}}


def test_another_table_than_the_rollbacks_is_no_rollback() -> None:
    pending = {"digest": BETTER, "target": table(cell(green=BETTER))}
    due = plan(
        table(cell(green=BETTER, weight=25)), state(table(cell(green=BETTER, weight=50)), rollback=pending)
    )
    assert due is not None
    assert due.rollback is None


# --- (3) probation


def test_a_candidate_at_100_is_a_question_of_probation() -> None:
    full = table(cell(green=BETTER, weight=100))
    due = plan(full, state(full))
    assert due == Plan("stand", full, full, {"digits": {"local-a": BETTER}})
    assert due.change == "stand"


def test_a_candidate_below_100_is_not() -> None:
    nearly = table(cell(green=BETTER, weight=99.9))
    assert plan(nearly, state(nearly)) is None


# --- (4) nothing due


def test_nothing_is_due_when_the_record_says_what_is_declared() -> None:
    assert plan(table(), state()) is None


def test_nothing_is_due_for_a_withdrawn_cell() -> None:
    left = table(b={"withdraw": PLAIN})
    assert plan(left, state(left)) is None


# --- the pieces


def test_first_marks_go_to_the_release_with_most_of_the_share() -> None:
    assert first_marks(table(cell(PLAIN, BETTER, 60)), {}) == {
        "digits": {"local-a": BETTER, "local-b": PLAIN}
    }
    assert first_marks(table(cell(PLAIN, BETTER, 40)), {})["digits"]["local-a"] == PLAIN


@pytest.mark.parametrize("empty", [{"withdraw": PLAIN}, cell(None, None, 0)])
def test_where_nothing_is_served_nothing_is_marked(empty: dict[str, Any]) -> None:
    assert first_marks({"digits": {"local-a": empty}}, {}) == {}
    assert full_marks({"digits": {"local-a": empty}}, {}, [A]) == {}


def test_full_marks_are_asked_for_some_places_only() -> None:
    both = table(cell(green=BETTER, weight=100), cell(green=BETTER, weight=100))
    assert full_marks(both, STANDING, [B]) == {"digits": {"local-b": BETTER}}
    assert full_marks(both, {"digits": {"local-a": BETTER}}, [A, B]) == {"digits": {"local-b": BETTER}}
    assert full_marks(both, STANDING, [("faces", "local-a")]) == {}


def test_the_live_table_has_every_place_of_record_and_intent() -> None:
    target: Table = {"digits": {"local-a": cell(), "local-c": cell()}}
    opened = state(table(), open_intent=intent(table(), target))
    live = live_table(opened, seen({A: cell(THIRD), B: None, ("digits", "local-c"): cell(BETTER)}))
    assert live == {"digits": {"local-a": cell(THIRD), "local-b": cell(), "local-c": cell(BETTER)}}


def test_a_place_that_was_never_there_and_does_not_answer_is_not_live() -> None:
    target: Table = {"digits": {"local-c": cell()}}
    opened = state({}, open_intent=intent({}, target))
    assert live_table(opened, seen({})) == {}
