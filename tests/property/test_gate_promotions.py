"""Random walks of tables against the real policies: what is allowed obeys the design, whatever the steps.

Each walk keeps a small model of the record beside it, written from the words of the design and not from
the policies: what stands, what was placed, which share is allowed next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.gate.decision import decide
from lockstep.gate.opa import Opa, private_opa
from lockstep.table import share
from tests.support import gate_inputs, opa
from tests.support.gate_inputs import CANDIDATE, STANDING, THIRD, cell, place

RUNGS = [5, 25, 50, 100]
weights = st.integers(0, 1000).map(lambda tenths: tenths // 10 if tenths % 10 == 0 else tenths / 10)
digests = st.sampled_from([STANDING, CANDIDATE, THIRD, None])
placed = st.builds(cell, digests, digests, weights)


@pytest.fixture(scope="module")
def running() -> Iterator[Opa]:
    with private_opa(opa.POLICIES, "local", opa.binary(), deadline_s=500) as started:
        yield started


def allows(running: Opa, question: dict[str, Any]) -> bool:
    return decide(question | {"bundle": {"revision": running.revision}}, opa=running).allow


def may_rise(before: float, after: float) -> bool:
    rung = next((one for one in RUNGS if one > before), 100)
    return after <= rung and round(after - before, 1) <= 50


@given(before=weights, after=weights)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_candidates_steps(running: Opa, before: float, after: float) -> None:
    expected = after <= before or may_rise(before, after)
    assert allows(running, gate_inputs.step(before, after)) is expected


@given(before=placed, after=placed)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_allowed_is_safe(running: Opa, before: Any, after: Any) -> None:
    question = gate_inputs.question([place("local-a", before, after)])
    if not allows(running, question):
        return
    for digest in (CANDIDATE, THIRD):
        gained = share(after, digest) > share(before, digest)
        assert not gained or may_rise(share(before, digest), share(after, digest))
        assert not gained or digest in (before["blue"], before["green"])
    if before == after:
        return
    for slot, weight in (("blue", 100 - before["green_weight"]), ("green", before["green_weight"])):
        if before[slot] is not None and weight > 0:
            assert after[slot] == before[slot]
    for slot, weight in (("blue", 100 - after["green_weight"]), ("green", after["green_weight"])):
        assert after[slot] is not None or weight == 0
    if STANDING in (before["blue"], before["green"]):
        assert STANDING in (after["blue"], after["green"])


@given(before=placed, weight=weights)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_going_back_is_always_allowed(running: Opa, before: Any, weight: float) -> None:
    """More for the standing release and not more for any other: from every state, in one step."""
    before = before | {"blue": STANDING, "green": before["green"] or CANDIDATE}
    after = before | {"green_weight": min(weight, before["green_weight"])}
    assert allows(running, gate_inputs.question([place("local-a", before, after)]))
