"""Every effect has a record before it and after it; on a real versitygw, with a real OPA."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from pathlib import Path

import pytest

from lockstep.audit.bucket import LostRace
from lockstep.audit.local import open_local
from lockstep.audit.record import draft
from lockstep.errors import Denied, IntegrityError, LockstepError, Unavailable
from lockstep.ledger.circumstances import claimed_actor, git_state
from lockstep.local.drift import Drift
from tests.support.stack import Scene

A = ("digits", "local-a")


def codes(denied: Denied) -> set[str]:
    return {violation.code for violation in denied.violations}


# --- an update


def test_a_first_placement_is_an_intent_and_an_outcome_that_marks(stage: Scene) -> None:
    stage.make(stage.table())
    assert stage.kinds() == ["intent", "outcome:complete"]
    intent, outcome = stage.records()
    assert intent["change"] == "first"
    assert intent["decision"]["allow"] is True
    assert len(intent["evidence"]) == 1
    assert outcome["intent"] == 0
    state = stage.ledger().state()
    assert state is not None
    assert state.table == stage.table()
    assert state.standing == {"digits": {"local-a": stage.plain, "local-b": stage.plain}}
    assert state.ready["digits"]["local-a"] == {"blue": True, "green": False}


def test_every_record_says_who_and_what_files(stage: Scene) -> None:
    history = stage.stack.paths.history(stage.stack.name)
    history.mkdir(parents=True)
    (history / "local-1.history.json").write_text("{}")
    stage.make(stage.table())
    intent, outcome = stage.records()
    assert intent["actor"]["claimed"] == "ann@laptop"
    assert intent["actor"]["proven"]["person"] == "local-deployer"
    assert [item["name"] for item in intent["history"]] == ["local-1.history.json"]
    assert outcome["history"] == []  # each file is listed once


def test_nothing_is_due_and_nothing_is_asked_when_nothing_changed(stage: Scene) -> None:
    stage.make(stage.table())
    looks = stage.stack.looks
    asleep = stage.ledger()
    asleep.opa_url = "http://127.0.0.1:9"
    assert asleep.due(stage.table()) is None
    assert stage.stack.looks == looks
    assert stage.ledger().record_intent(stage.table()) is None
    assert len(stage.records()) == 2


def test_a_denial_is_recorded_and_changes_nothing(stage: Scene) -> None:
    stage.make(stage.table())
    stage.make(stage.table(stage.cell(stage.better)))
    stage.make(stage.table(stage.cell(stage.better, 5)))
    ledger = stage.ledger()
    too_far = stage.table(stage.cell(stage.better, 80))
    with pytest.raises(Denied) as caught:
        ledger.due(too_far)
    assert stage.kinds()[-1] == "outcome:complete"  # Check writes nothing
    with pytest.raises(Denied) as caught:
        ledger.record_intent(too_far)
    assert {"step.size", "step.ladder"} <= codes(caught.value)
    assert stage.kinds()[-1] == "denied"
    denied = stage.records()[-1]
    assert denied["to"] == too_far
    assert {one["code"] for one in denied["decision"]["violations"]} == codes(caught.value)
    state = stage.ledger().state()
    assert state is not None
    assert state.open_intent is None


def test_a_candidate_at_100_is_marked_by_the_next_update(stage: Scene) -> None:
    stage.make(stage.table())
    stage.make(stage.table(stage.cell(stage.better)))
    for share in (5, 25, 50, 100):
        stage.make(stage.table(stage.cell(stage.better, share)))
    full = stage.table(stage.cell(stage.better, 100))
    due = stage.ledger().due(full)
    assert due is not None
    assert due.kind == "stand"
    stage.make(full)
    state = stage.ledger().state()
    assert state is not None
    assert state.standing["digits"]["local-a"] == stage.better
    assert state.former == {"digits": {"local-a": stage.plain}}
    assert stage.records()[-1]["change"] == "stand"


# --- an outcome


def test_an_intent_gets_exactly_one_outcome(stage: Scene) -> None:
    stage.make(stage.table())
    stage.ledger().record_outcome(0)
    assert stage.kinds() == ["intent", "outcome:complete"]


def test_a_receipt_for_another_intent_than_the_open_one_closes_nothing(stage: Scene) -> None:
    stage.ledger().record_intent(stage.table())
    with pytest.raises(IntegrityError) as caught:
        stage.ledger().record_outcome(7)
    assert caught.value.code == "receipt.wrong_intent"
    assert stage.kinds() == ["intent"]


def test_routes_that_move_after_somebody_has_closed_their_intent_are_no_success(stage: Scene) -> None:
    stage.make(stage.table())
    placed = stage.table(stage.cell(stage.better))
    stage.ledger().record_intent(placed)
    stage.ledger().close_interrupted()
    stage.ledger().record_outcome(2)  # nothing has moved: what the record says is so
    stage.stack.put(placed)
    with pytest.raises(LockstepError) as caught:
        stage.ledger().record_outcome(2)
    assert caught.value.code == "receipt.not_in_force"
    assert stage.kinds() == ["intent", "outcome:complete", "intent", "outcome:interrupted"]


def test_live_that_is_not_what_was_intended_is_interrupted_and_fails(stage: Scene) -> None:
    stage.make(stage.table())
    placed = stage.table(stage.cell(stage.better))
    stage.ledger().record_intent(placed)
    with pytest.raises(LockstepError) as caught:
        stage.ledger().record_outcome(2)
    assert caught.value.code == "receipt.not_in_force"
    outcome = stage.records()[-1]
    assert outcome["result"] == "interrupted"
    assert outcome["live"] == stage.table()
    state = stage.ledger().state()
    assert state is not None
    assert state.table == stage.table()


def test_a_gateway_that_does_what_nobody_told_it_is_no_success(stage: Scene) -> None:
    stage.make(stage.table())
    placed = stage.table(stage.cell(stage.better))
    stage.ledger().record_intent(placed)
    stage.stack.put(placed)
    stage.stack.drifted = [Drift("route.strange", "gateway-local-a", "gateway-local-a has a mirror")]
    with pytest.raises(LockstepError) as caught:
        stage.ledger().record_outcome(2)
    assert caught.value.code == "receipt.not_in_force"
    outcome = stage.records()[-1]
    assert outcome["result"] == "interrupted"
    assert "gateway-local-a has a mirror" in outcome["reason"]


def test_a_silent_gateway_is_not_taken_for_a_good_one(stage: Scene) -> None:
    stage.ledger().record_intent(stage.table())
    stage.stack.put(stage.table())
    stage.stack.routes[A] = None
    with pytest.raises(LockstepError) as caught:
        stage.ledger().record_outcome(0)
    assert caught.value.code == "receipt.not_in_force"


def test_the_next_writer_closes_what_a_killed_one_left_open(stage: Scene) -> None:
    stage.make(stage.table())
    placed = stage.table(stage.cell(stage.better))
    stage.ledger().record_intent(placed)
    stage.stack.put(placed)  # the routes took effect, then a power cut
    plan = stage.ledger().record_intent(placed)
    assert plan is not None
    assert plan.origin == placed
    assert stage.kinds() == ["intent", "outcome:complete", "intent", "outcome:interrupted", "intent"]
    stage.ledger().record_outcome(4)
    state = stage.ledger().state()
    assert state is not None
    assert state.table == placed
    assert state.open_intent is None


def test_closing_where_nothing_is_open_writes_nothing(stage: Scene) -> None:
    stage.make(stage.table())
    stage.ledger().close_interrupted()
    assert len(stage.records()) == 2


def test_who_decided_on_an_old_head_does_not_append(stage: Scene) -> None:
    stage.make(stage.table())
    made = draft("history", claimed="ann", history_reason="none")
    with pytest.raises(LostRace) as caught:
        stage.ledger().append(made, at=1)
    assert caught.value.code == "audit.stale_head"
    assert len(stage.records()) == 2


# --- the second lock


def test_a_route_needs_the_newest_intent_about_exactly_its_cell(stage: Scene) -> None:
    stage.make(stage.table())
    stage.make(stage.table(stage.cell(stage.better)))
    ledger = stage.ledger()
    cell = stage.cell(stage.better)
    ledger.require_intent(A, cell, 2)
    ledger.require_intent(("digits", "local-b"), stage.cell(), 0)
    for place, said, index in [
        (A, stage.cell(stage.better, 5), 2),  # another weight
        (A, stage.cell(), 0),  # an older intent
        (A, cell, 3),  # an outcome
        (A, cell, -1),  # before the first
        (("digits", "local-c"), cell, 2),  # a place that it does not name
    ]:
        with pytest.raises(IntegrityError) as caught:
            ledger.require_intent(place, said, index)
        assert caught.value.code == "route.no_record"


def test_without_a_log_no_route_is_believed(bare_stage: Scene) -> None:
    with pytest.raises(IntegrityError) as caught:
        bare_stage.ledger().require_intent(A, bare_stage.cell(), 0)
    assert caught.value.code == "route.no_record"


# --- leaving


def test_a_stack_that_does_not_allow_destroy_is_not_withdrawn(stage: Scene) -> None:
    stage.make(stage.table())
    with pytest.raises(Denied) as caught:
        stage.ledger().record_withdrawal(allowed=False)
    assert caught.value.code == "destroy.not_allowed"
    assert caught.value.exit_code == 5
    assert len(stage.records()) == 2


def test_a_destroy_withdraws_everything_by_name_and_what_stands_stays_known(stage: Scene) -> None:
    stage.make(stage.table(stage.cell(stage.better)))
    stage.ledger().record_withdrawal(allowed=True)
    stage.stack.put({})
    stage.ledger().record_withdrawn()
    assert stage.kinds() == ["intent", "outcome:complete"] * 2
    state = stage.ledger().state()
    assert state is not None
    assert state.table == stage.table({"withdraw": stage.plain}, {"withdraw": stage.plain})
    assert state.standing["digits"]["local-a"] == stage.plain
    assert state.barred == ()
    stage.ledger().record_withdrawn()
    assert len(stage.records()) == 4


def test_a_destroy_closes_an_open_intent_first(stage: Scene) -> None:
    stage.make(stage.table())
    stage.ledger().record_intent(stage.table(stage.cell(stage.better)))
    stage.ledger().record_withdrawal(allowed=True)
    assert stage.kinds() == ["intent", "outcome:complete", "intent", "outcome:interrupted", "intent"]


# --- a bucket that is not there, or does not answer


def test_no_bucket_yet_is_a_fact_and_a_first_placement(bare_stage: Scene) -> None:
    ledger = bare_stage.ledger()
    assert ledger.state() is None
    assert ledger.size() == 0
    assert not ledger.knows("0")
    due = ledger.due(bare_stage.table())
    assert due is not None
    assert due.change == "first"
    with pytest.raises(Unavailable) as caught:
        ledger.record_intent(bare_stage.table())
    assert caught.value.code == "audit.absent"


def test_when_the_server_is_down_the_folder_is_read_and_nothing_is_written(stage: Scene) -> None:
    stage.make(stage.table())
    stage.server.stop()
    ledger = stage.ledger()
    state = ledger.state()
    assert state is not None
    assert state.table == stage.table()
    assert ledger.knows("1")
    assert not ledger.knows("2")
    assert not ledger.knows("x")
    audit = open_local("local", stage.paths)
    assert audit is not None
    assert not audit.running
    with pytest.raises(Unavailable) as caught:
        ledger.record_intent(stage.table(stage.cell(stage.better)))
    assert caught.value.code == "audit.bucket_unreachable"


def test_opa_that_does_not_answer_denies_by_failing(stage: Scene) -> None:
    ledger = stage.ledger()
    ledger.opa_url = "http://127.0.0.1:9"
    with pytest.raises(Unavailable) as caught:
        ledger.record_intent(stage.table())
    assert caught.value.code.startswith("gate.opa_")
    assert stage.records() == []


# --- who and from which commit


def test_the_actor_is_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_ACTOR", "ci@runner-7")
    assert claimed_actor() == "ci@runner-7"
    monkeypatch.delenv("LOCKSTEP_ACTOR")
    assert "@" in claimed_actor()


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for variable in ("LOCKSTEP_ACTOR", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert claimed_actor() == f"uid {os.getuid()}@{socket.gethostname()}"


def test_the_commit_and_whether_the_checkout_has_changes(tmp_path: Path) -> None:
    assert git_state(str(tmp_path)) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    state = git_state(str(tmp_path))
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "new").write_text(json.dumps({}))
    assert git_state(str(tmp_path)) == {**state, "dirty": True}


# --- a crash in the middle


def test_a_step_that_a_power_cut_broke_off_is_allowed_again(stage: Scene) -> None:
    """Nothing answers then. Were that "not ready", the step would be denied for ever, and with it the start
    of the services."""
    stage.make(stage.table())
    stage.make(stage.table(stage.cell(stage.better)))
    step = stage.table(stage.cell(stage.better, 5))
    assert stage.ledger().record_intent(step) is not None
    stage.stack.routes = dict.fromkeys(stage.stack.routes)
    assert stage.ledger().record_intent(step) is not None
    assert stage.kinds()[-3:] == ["intent", "outcome:interrupted", "intent"]
    assert stage.records()[-2]["ready"]["digits"]["local-a"] == {"blue": True, "green": True}


def test_a_candidate_that_never_was_ready_does_not_become_so_by_a_crash(stage: Scene) -> None:
    stage.make(stage.table())
    assert stage.ledger().record_intent(stage.table(stage.cell(stage.better))) is not None
    stage.stack.routes = {A: stage.cell(stage.better)}
    stage.stack.silent = True
    stage.ledger().close_interrupted()
    assert stage.records()[-1]["ready"]["digits"]["local-a"] == {"blue": True, "green": False}
