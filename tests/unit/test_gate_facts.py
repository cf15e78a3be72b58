"""Facts as they are put to the gate: what is known, what is not and why, and where a change starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockstep import canonical
from lockstep.audit.state import State
from lockstep.errors import IntegrityError, Unavailable
from lockstep.gate.facts import LogState, build_input, checked, places
from lockstep.release.store import Store
from tests.support import gate_inputs, releases
from tests.support.gate_inputs import CANDIDATE, STANDING, THIRD, cell

NOW = gate_inputs.NOW


@dataclass(frozen=True)
class Log:
    """What a log says, written down instead of folded."""

    table: dict[str, Any] = field(default_factory=dict)
    size: int = 7
    standing: dict[str, Any] = field(default_factory=dict)
    former: dict[str, Any] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    ready: dict[str, Any] = field(default_factory=dict)
    promotion: dict[str, Any] = field(default_factory=dict)
    open_intent: dict[str, Any] | None = None
    newest_outcome: dict[str, Any] | None = None


def at_a(value: Any) -> dict[str, Any]:
    return {"digits": {"local-a": value}}


@pytest.fixture
def keys(tmp_path: Path) -> releases.Keys:
    return releases.local_keys(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return releases.store_in(tmp_path)


def build(store: Store, keys: releases.Keys, **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": "step",
        "stack": "local",
        "environment": "local",
        "now": NOW,
        "log_state": None,
        "origin": {},
        "declared": {},
        "live": {},
        "serving": {},
        "store": store,
        "trust": keys.trust,
        "rollback": None,
        "marks": {},
        "revision": "checkout:0",
    }
    return build_input(**(facts | changes))


def test_the_audit_rooms_state_is_what_is_asked_for() -> None:
    state: LogState = State()
    assert places(state, {}, {}, {}) == []


def test_the_first_placement(store: Any, keys: releases.Keys) -> None:
    digest = releases.put(store)
    evidence = releases.evaluate(store, digest, keys.signer("builder"))
    question = build(store, keys, declared=at_a(cell(digest, None, 0)), marks=at_a(digest))
    assert question["log"] == {"state": "absent", "size": 0}
    assert question["cells"] == [
        gate_inputs.place("local-a", None, cell(digest, None, 0), first=True, standing=None)
    ]
    known = question["releases"][digest]
    assert (known["exists"], known["verified"], known["model"]) == (True, True, "digits")
    assert known["evaluation"]["digest"] == evidence
    assert known["evaluation"]["person"] == "local-builder"
    assert question["reasons"] == {}
    assert question["marks"] == [{"model": "digits", "region": "local-a", "digest": digest}]
    canonical.canonical(question)


def test_everything_that_the_log_says(store: Any, keys: releases.Keys) -> None:
    table = at_a(cell(STANDING, CANDIDATE, 100))
    log = Log(
        table,
        standing=at_a(STANDING),
        former=at_a(THIRD),
        barred=(THIRD, CANDIDATE),
        ready=at_a({"blue": True, "green": None}),
        promotion=at_a({"since": 3, "base": cell(STANDING, None, 0)}),
        newest_outcome={"time": "2026-11-21T09:59:00.000000Z"},
    )
    place = ("digits", "local-a")
    question = build(
        store,
        keys,
        log_state=log,
        origin=table,
        declared=table,
        live={place: cell(STANDING, CANDIDATE, 99)},
        serving={place: {"blue": STANDING, "green": None}},
    )
    expected = gate_inputs.place("local-a", cell(STANDING, CANDIDATE, 100), cell(STANDING, CANDIDATE, 100))
    assert question["cells"] == [
        expected
        | {
            "live": cell(STANDING, CANDIDATE, 99),
            "serving": {"blue": STANDING, "green": None},
            "ready": {"blue": True, "green": None},
            "former": THIRD,
            "base": cell(STANDING, None, 0),
            "at_full_since": "2026-11-21T09:59:00.000000Z",
        }
    ]
    assert question["barred"] == [CANDIDATE, THIRD]
    assert question["releases"] == {}  # nothing moves, so nothing needs to be read


def test_since_when_counts_only_for_a_candidate_with_all_of_the_traffic(
    store: Any, keys: releases.Keys
) -> None:
    since = {("digits", "local-a"): "2026-11-21T08:00:00.000000Z"}

    def found(at: dict[str, Any], **changes: Any) -> Any:
        log = Log(at_a(at), standing=at_a(STANDING), newest_outcome={"time": NOW})
        return build(store, keys, log_state=log, origin=at_a(at), declared=at_a(at), **changes)["cells"][0]

    assert found(cell(STANDING, CANDIDATE, 99.9))["at_full_since"] is None
    assert found(cell(STANDING, CANDIDATE, 0))["at_full_since"] is None
    assert found(cell(STANDING, CANDIDATE, 100))["at_full_since"] == NOW
    assert (
        found(cell(STANDING, CANDIDATE, 100), full_since=since)["at_full_since"] == since["digits", "local-a"]
    )


def test_a_place_that_only_one_side_knows_is_asked_about(store: Any, keys: releases.Keys) -> None:
    log = Log(at_a(cell(STANDING, None, 0)), standing=at_a(STANDING))
    stray = {("digits", "local-z"): cell(THIRD, None, 0), ("digits", "local-y"): None}
    question = build(store, keys, log_state=log, origin=log.table, live=stray)
    assert [(one["region"], one["to"], one["live"]) for one in question["cells"]] == [
        ("local-a", None, None),
        ("local-z", None, cell(THIRD, None, 0)),
    ]


def test_a_release_that_is_not_in_the_store(store: Any, keys: releases.Keys) -> None:
    question = build(store, keys, declared=at_a(cell(THIRD, None, 0)))
    assert question["releases"] == {
        THIRD: {"model": None, "exists": False, "verified": None, "evaluation": None}
    }
    assert set(question["reasons"].values()) == {"not in the store"}
    assert f"/releases/{THIRD}/verified" in question["reasons"]


def test_a_flipped_byte_is_a_fact_that_names_the_blob(store: Any, keys: releases.Keys) -> None:
    digest = releases.put(store)
    releases.evaluate(store, digest, keys.signer("builder"))
    releases.flip_byte(store, digest, "model.onnx")
    question = build(store, keys, declared=at_a(cell(digest, None, 0)))
    assert question["releases"][digest]["exists"] is True
    assert question["releases"][digest]["verified"] is False
    assert "model.onnx" in question["reasons"][f"/releases/{digest}/verified"]


def test_no_evidence_and_evidence_of_nobody_we_know(store: Any, keys: releases.Keys, tmp_path: Path) -> None:
    digest = releases.put(store)
    pointer = f"/releases/{digest}/evaluation"
    table = at_a(cell(digest, None, 0))
    question = build(store, keys, declared=table)
    assert question["releases"][digest]["evaluation"] is None
    assert "no evaluation" in question["reasons"][pointer]
    releases.evaluate(store, digest, releases.local_keys(tmp_path / "stranger").signer("builder"))
    question = build(store, keys, declared=table)
    assert question["releases"][digest]["evaluation"] is None
    assert "evidence." in question["reasons"][pointer]


class SilentStore:
    """A store that does not answer."""

    def manifest(self, digest: str) -> Any:
        raise Unavailable("the store does not answer", code="release.store_failed")

    verify = manifest


def test_a_store_that_does_not_answer_is_a_missing_fact(keys: releases.Keys) -> None:
    silent: Any = SilentStore()
    question = build(silent, keys, declared=at_a(cell(THIRD, None, 0)))
    assert set(question["releases"][THIRD].values()) == {None}
    assert set(question["reasons"].values()) == {"the store does not answer"}


def test_the_open_intent_is_told_for_each_place(store: Any, keys: releases.Keys) -> None:
    before, after = cell(STANDING, CANDIDATE, 0), cell(STANDING, CANDIDATE, 5)
    log = Log(at_a(before), standing=at_a(STANDING), open_intent={"from": at_a(before), "to": at_a(after)})
    question = build(store, keys, log_state=log, origin=at_a(before), declared=at_a(before))
    assert question["cells"][0]["intent"] == {"from": before, "to": after}


@pytest.mark.parametrize(
    "wrong",
    [
        {"now": "yesterday"},
        {"kind": "leap"},
        {"environment": ""},
        {"declared": at_a({"blue": STANDING, "green": None, "green_weight": "0"})},
        {"declared": at_a({"blue": "latest", "green": None, "green_weight": 0})},
        {"marks": at_a("latest")},
    ],
)
def test_facts_of_the_wrong_form_are_refused(store: Any, keys: releases.Keys, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError) as refused:
        build(store, keys, **wrong)
    assert refused.value.code == "gate.facts"


def test_the_example_is_a_question() -> None:
    assert checked(gate_inputs.example()) == gate_inputs.example()
