"""The fold: one test a rule, and the promise that an outcome carries all that a reader needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.audit.drafts import draft_intent, draft_outcome, draft_retry, draft_rollback
from lockstep.audit.record import Record
from lockstep.audit.state import CARRIED, State, carried, fold
from lockstep.errors import UsageError
from lockstep.table import Table
from tests.support.audit import BETTER, PLAIN, WHO, Writer, cell, decision, table
from tests.support.memory import MemoryBucket

THIRD = "sha256:" + "3c" * 32
ALL = {"digits": {"local-a": PLAIN, "local-b": PLAIN}}
FIRST = table(cell(PLAIN), cell(PLAIN))
PLACED = table(cell(PLAIN, BETTER), cell(PLAIN))
FIVE = table(cell(PLAIN, BETTER, 5), cell(PLAIN))
FULL = table(cell(PLAIN, BETTER, 100), cell(PLAIN))


@pytest.fixture
def writer() -> Writer:
    return Writer(MemoryBucket())


def state(writer: Writer) -> State:
    """The state as a reader gets it; the fold over everything must say the same."""
    log = writer.open()
    flat = log.state()
    whole = fold(log.tail(0))
    assert flat == whole
    assert writer.verify().ok, writer.verify().problems
    return flat


def up(writer: Writer) -> None:
    writer.change(FIRST, "first", ALL)


def open_intent(writer: Writer, to: Table, change: str = "step", marked: Any = None) -> Record:
    return writer.append(
        draft_intent(
            claimed=WHO,
            from_=writer.log.state().table,
            to=to,
            change=change,
            decision=decision(),
            marked=marked or {},
        )
    )


def close(writer: Writer, intent: Record, live: Table, result: str) -> None:
    made = draft_outcome(writer.log.state(), intent, live=live, ready={}, result=result, claimed=WHO)
    writer.append(made)


def test_an_empty_log_has_an_empty_state(writer: Writer) -> None:
    assert writer.log.state() == State()
    assert not State().known("digits", "local-a")


def test_a_first_placement_stands_at_once(writer: Writer) -> None:
    up(writer)
    now = state(writer)
    assert (now.table, now.standing, now.promotion, now.barred) == (FIRST, ALL, {}, ())
    assert now.cell_intent == {"digits": {"local-a": 0, "local-b": 0}}
    assert now.known("digits", "local-a") and not now.known("digits", "local-c")


def test_an_intent_is_open_until_its_outcome(writer: Writer) -> None:
    up(writer)
    intent = open_intent(writer, PLACED)
    now = state(writer)
    assert now.open_intent is not None and now.open_intent.index == intent.index
    assert (now.table, now.cell_intent["digits"]) == (FIRST, {"local-a": 2, "local-b": 0})
    close(writer, intent, PLACED, "complete")
    assert state(writer).open_intent is None
    assert writer.log.outcome_of(intent.index) is not None


def test_a_promotion_begins_with_the_first_share(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    assert state(writer).promotion == {}
    writer.change(FIVE)
    writer.change(table(cell(PLAIN, BETTER, 25), cell(PLAIN)))
    base = {"since": 4, "base": cell(PLAIN, BETTER)}
    assert state(writer).promotion == {"digits": {"local-a": base}}


def test_a_mark_ends_the_promotion_and_makes_a_former_release(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    writer.change(FULL)
    writer.change(FULL, "stand", {"digits": {"local-a": BETTER}})
    now = state(writer)
    assert now.standing["digits"] == {"local-a": BETTER, "local-b": PLAIN}
    assert (now.former, now.promotion, now.barred) == ({"digits": {"local-a": PLAIN}}, {}, ())
    assert now.cell_intent["digits"]["local-a"] == 4, "a mark changes no cell"


def test_a_former_release_is_forgotten_when_its_slot_is_reused(writer: Writer) -> None:
    test_a_mark_ends_the_promotion_and_makes_a_former_release(writer)
    writer.change(table(cell(THIRD, BETTER, 100), cell(PLAIN)))
    assert state(writer).former == {}


def test_falling_to_nothing_bars_a_candidate(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    writer.change(FIVE)
    writer.change(PLACED)
    now = state(writer)
    assert (now.barred, now.promotion) == ((BETTER,), {})
    made = draft_retry(now, digest=BETTER, reason="fixed its data", claimed=WHO)
    writer.append(made)
    assert state(writer).barred == ()


def test_falling_in_a_withdrawal_bars_nothing(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    writer.change(FIVE)
    writer.change(table({"withdraw": PLAIN}, cell(PLAIN)), "withdraw")
    now = state(writer)
    assert (now.barred, now.standing, now.promotion) == ((), ALL, {})


def test_standing_survives_a_destroy(writer: Writer) -> None:
    up(writer)
    writer.change({}, "withdraw")
    now = state(writer)
    assert (now.table, now.standing, now.former, now.cell_intent) == ({}, ALL, {}, {})
    assert now.known("digits", "local-b")


def test_a_rollback_record_bars_its_release_and_waits_for_its_outcome(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    writer.change(FIVE)
    made = draft_rollback(writer.log.state(), digest=BETTER, target=PLACED, reason="errors", claimed=WHO)
    writer.append(made)
    now = state(writer)
    assert (now.barred, now.rollback) == ((BETTER,), {"digest": BETTER, "target": PLACED})
    close(writer, open_intent(writer, PLACED, "rollback"), FIVE, "interrupted")
    assert state(writer).rollback == {"digest": BETTER, "target": PLACED}, "still to be done"
    writer.change(PLACED, "rollback", ALL)
    assert state(writer).rollback is None


def test_a_barred_release_is_no_former_release(writer: Writer) -> None:
    test_a_mark_ends_the_promotion_and_makes_a_former_release(writer)
    target = table(cell(PLAIN, BETTER, 0), cell(PLAIN))
    writer.append(draft_rollback(writer.log.state(), digest=BETTER, target=target, reason="bad", claimed=WHO))
    writer.change(target, "rollback", {"digits": {"local-a": PLAIN}})
    now = state(writer)
    assert (now.standing["digits"]["local-a"], now.former, now.barred) == (PLAIN, {}, (BETTER,))


def test_an_interruption_takes_the_live_table(writer: Writer) -> None:
    up(writer)
    writer.change(PLACED)
    close(writer, open_intent(writer, FIVE), PLACED, "interrupted")
    now = state(writer)
    assert (now.table, now.promotion) == (PLACED, {})
    assert now.cell_intent["digits"]["local-a"] == 2, "nothing moved: the old intent is in force"
    close(writer, open_intent(writer, FIVE), FIVE, "failed")
    now = state(writer)
    assert (now.table, now.cell_intent["digits"]["local-a"]) == (FIVE, 6)
    assert now.promotion["digits"]["local-a"]["since"] == 6


def test_an_interruption_makes_no_marks(writer: Writer) -> None:
    intent = open_intent(writer, FIRST, "first", ALL)
    close(writer, intent, FIRST, "interrupted")
    now = state(writer)
    assert (now.standing, now.table) == ({}, FIRST)


def test_a_closed_intent_gets_no_second_outcome(writer: Writer) -> None:
    up(writer)
    intent = writer.log.read(0)
    with pytest.raises(UsageError) as refused:
        draft_outcome(writer.log.state(), intent, live=FIRST, ready={}, result="complete", claimed=WHO)
    assert refused.value.code == "audit.no_open_intent"


def test_an_outcome_carries_what_the_fold_says(writer: Writer) -> None:
    up(writer)
    outcome = writer.log.read(1)
    assert {name: outcome[name] for name in CARRIED} == carried(writer.log.state())


def test_a_state_costs_the_same_however_long_the_log_is(writer: Writer) -> None:
    def reads(action: Callable[[], object]) -> int:
        bucket = writer.bucket
        assert isinstance(bucket, MemoryBucket)
        before = bucket.gets
        action()
        return bucket.gets - before

    up(writer)
    short = reads(lambda: writer.open().state())
    writer.note(40)
    writer.change(PLACED)
    assert reads(lambda: writer.open().state()) == short
