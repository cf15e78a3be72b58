"""OPA's answer is read strictly: whatever is not plainly a decision is none."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lockstep import canonical
from lockstep.errors import Denied, Unavailable
from lockstep.gate.decision import decide
from lockstep.gate.opa import Opa
from tests.support import gate_inputs

REVISION = "checkout:0123456789abcdef"
REFUSAL = {"code": "step.size", "cell": "digits/local-a", "message": "too far", "remedy": "go less far"}
ALLOWED: dict[str, Any] = {"allow": True, "violations": [], "looked": {"step.size": 1}, "revision": REVISION}
DENIED: dict[str, Any] = ALLOWED | {"allow": False, "violations": [REFUSAL]}


class Said(Opa):
    """An OPA that always says the same."""

    def __init__(self, answer: Any) -> None:
        super().__init__("unix:///nowhere", "token", REVISION)
        object.__setattr__(self, "answer", answer)

    def query(self, question: dict[str, Any], rule: str) -> Any:
        assert rule == "decision"
        return copy.deepcopy(self.answer)  # type: ignore[attr-defined]


def test_an_allowance() -> None:
    question = gate_inputs.example()
    decision = decide(question, opa=Said(ALLOWED))
    decision.require()
    assert decision.allow is True
    assert decision.to_record() == {
        "allow": True,
        "by": "checkout",
        "revision": REVISION,
        "input_digest": canonical.digest_of(question),
        "looked": {"step.size": 1},
        "violations": [],
    }
    assert decision.evidence == (gate_inputs.EVIDENCE,)


def test_a_denial() -> None:
    decision = decide(gate_inputs.example(), opa=Said(DENIED))
    assert decision.only("step.size")
    assert not decision.only("step.ladder")
    assert decision.to_record()["violations"] == [REFUSAL]
    canonical.canonical(decision.to_record())
    with pytest.raises(Denied, match="too far"):
        decision.require()


def test_a_published_bundle_is_named_as_such() -> None:
    question = gate_inputs.example() | {"bundle": {"revision": "v12"}}
    assert decide(question, opa=Said(ALLOWED | {"revision": "v12"})).by == "bundle"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ALLOWED.items() if key != name}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        {},
        [],
        "true",
        {"allow": True},
        *(without(name) for name in ALLOWED),
        ALLOWED | {"extra": 1},
        ALLOWED | {"allow": "true"},
        ALLOWED | {"allow": 1},
        ALLOWED | {"allow": None},
        ALLOWED | {"allow": [True]},
        ALLOWED | {"violations": [REFUSAL]},
        ALLOWED | {"violations": {}},
        ALLOWED | {"violations": None},
        ALLOWED | {"looked": {"step.size": "1"}},
        ALLOWED | {"looked": {"step.size": True}},
        ALLOWED | {"looked": 1},
        DENIED | {"violations": []},
        DENIED | {"allow": 0},
        DENIED | {"violations": ["no"]},
        DENIED | {"violations": [REFUSAL | {"message": None}]},
        DENIED | {"violations": [{"code": "step.size"}]},
    ],
    ids=repr,
)
def test_nonsense_is_no_answer(answer: Any) -> None:
    with pytest.raises(Unavailable) as refused:
        decide(gate_inputs.example(), opa=Said(answer))
    assert refused.value.code == "gate.opa_nonsense"


@pytest.mark.parametrize("looked", [{}, {"step.size": 0}, {"step.size": 1, "step.ladder": 0}])
def test_an_allowance_of_a_change_that_some_rule_did_not_look_at_is_none(looked: dict[str, int]) -> None:
    with pytest.raises(Unavailable) as refused:
        decide(gate_inputs.example(), opa=Said(ALLOWED | {"looked": looked}))
    assert refused.value.code == "gate.opa_blind"


def test_every_cell_that_changes_must_have_been_looked_at() -> None:
    resting = gate_inputs.cell(gate_inputs.STANDING, gate_inputs.CANDIDATE, 0)
    risen = gate_inputs.cell(gate_inputs.STANDING, gate_inputs.CANDIDATE, 5)
    two = gate_inputs.question([gate_inputs.place(region, resting, risen) for region in ("a", "b")])
    with pytest.raises(Unavailable):
        decide(two, opa=Said(ALLOWED | {"looked": {"step.size": 1}}))
    assert decide(two, opa=Said(ALLOWED | {"looked": {"step.size": 2}})).allow


def test_where_nothing_changes_there_is_nothing_to_look_at() -> None:
    resting = gate_inputs.cell(gate_inputs.STANDING, None, 0)
    question = gate_inputs.question([gate_inputs.place("local-a", resting, resting)])
    assert decide(question, opa=Said(ALLOWED | {"looked": {"step.size": 0}})).allow


@pytest.mark.parametrize("revision", ["checkout:feedfeedfeedfeed", None, 1, ""])
def test_another_bundle_is_no_answer(revision: Any) -> None:
    with pytest.raises(Unavailable) as refused:
        decide(gate_inputs.example(), opa=Said(ALLOWED | {"revision": revision}))
    assert refused.value.code == "gate.opa_wrong_bundle"
