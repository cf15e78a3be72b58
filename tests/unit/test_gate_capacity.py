"""The rules about GPU nodes: asked of the real OPA, and no answer is never a consent."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import Unavailable
from lockstep.gate.bundle import CAPACITY, CAPACITY_SCHEMA, Policies
from lockstep.gate.capacity import refusals
from tests.support import opa

GOOD: dict[str, Any] = {
    "capacity": {
        "by": "karpenter",
        "instance_types": ["g6.xlarge"],
        "min": 1,
        "max": 4,
        "spot_percent": 0,
        "reservation": None,
        "sharing": "none",
        "slices": 1,
    },
    "types": [{"name": "g6.xlarge", "family": "g6", "gpus": 1, "mig": False, "cpu": 3.5, "room_gib": 14.4}],
    "services": {"digits": {"gpus": 1, "cpu": 2.0, "memory_gib": 8}},
    "nat": "region",
}


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, copy, ignore=shutil.ignore_patterns("local.json"))
    return copy


def program(tmp_path: Path, body: str) -> Path:
    """A program in OPA's place."""
    path = tmp_path / "opa"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_what_can_work_is_refused_nothing() -> None:
    assert refusals(GOOD, opa.POLICIES, opa.binary()) == []


def test_refusals_come_by_code_with_the_next_step() -> None:
    wrong = {**GOOD, "nat": "none", "services": {"digits": {"gpus": 2, "cpu": 4.0, "memory_gib": 8}}}
    found = refusals(wrong, opa.POLICIES, opa.binary())
    assert [each.code for each in found] == ["capacity.pod_gpus", "capacity.pod_size", "network.no_images"]
    assert found[1].message == "a pod of digits (4 CPUs, 8 GiB) does not fit on g6.xlarge"
    assert all(each.remedy for each in found)


@pytest.mark.parametrize("part", list(GOOD))
def test_half_a_question_is_refused(part: str) -> None:
    half = {name: value for name, value in GOOD.items() if name != part}
    assert {each.code for each in refusals(half, opa.POLICIES, opa.binary())} == {"capacity.input_invalid"}


def unjudged(policies: Path, binary: Path) -> str:
    with pytest.raises(Unavailable) as refused:
        refusals(GOOD, policies, binary)
    assert refused.value.code == "capacity.unjudged"
    assert "doctor" in refused.value.remedy
    return refused.value.message


def test_an_opa_that_is_not_there_does_not_consent(tmp_path: Path) -> None:
    assert "cannot be started" in unjudged(opa.POLICIES, tmp_path / "none")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "no list of refusals"),  # what `opa eval` prints of an undefined value
        ("{}", "no list of refusals"),
        ("true", "no list of refusals"),
        ("[", "no list of refusals"),
        ('[{"code": "capacity.x", "message": "no"}]', "without code, message and remedy"),
        ('[{"code": "capacity.x", "message": "no", "remedy": ""}]', "without code, message and remedy"),
        ('["capacity.x"]', "without code, message and remedy"),
    ],
)
def test_an_answer_that_is_none_does_not_consent(tmp_path: Path, answer: str, said: str) -> None:
    assert said in unjudged(opa.POLICIES, program(tmp_path, f"cat > /dev/null; printf '%s' '{answer}'"))


def test_a_failure_does_not_consent_whatever_it_prints(tmp_path: Path) -> None:
    failing = program(tmp_path, "echo '[]'; echo out of luck >&2; exit 2")
    assert "out of luck" in unjudged(opa.POLICIES, failing)


def test_opa_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="in time"):
        refusals(GOOD, opa.POLICIES, program(tmp_path, "exec sleep 600"), answer_s=0.2)


def test_rules_that_are_missing_or_broken_do_not_consent(policies: Path) -> None:
    (policies / CAPACITY).write_text("package lockstep.capacity\n")
    assert "no list of refusals" in unjudged(policies, opa.binary())
    (policies / CAPACITY).write_text("package lockstep.capacity\n\nrefusals contains nobody\n")
    assert "nobody" in unjudged(policies, opa.binary())
    (policies / CAPACITY).unlink()
    assert "OPA failed" in unjudged(policies, opa.binary())


def test_without_its_schema_nothing_is_judged(policies: Path) -> None:
    (policies / CAPACITY_SCHEMA).write_text('{"type": "nothing that there is"}')
    with pytest.raises(Unavailable):
        refusals(GOOD, policies, opa.binary())


def test_the_gate_s_bundle_does_not_follow_these_rules(policies: Path, tmp_path: Path) -> None:
    before = Policies.read(policies).revision
    for name in (CAPACITY, CAPACITY_SCHEMA):
        (policies / name).write_text((policies / name).read_text() + "\n")
    assert Policies.read(policies).revision == before
    staged = tmp_path / "staged"
    staged.mkdir()
    Policies.read(policies).stage(staged, environment="staging")
    assert not list(staged.rglob("capacity*"))
    assert "capacity_schema" not in (staged / "data.json").read_text()


def test_each_refusal_is_described_under_its_code() -> None:
    """METADATA as the gate's rules have it, with the code that the refusal carries."""
    inspected = subprocess.run(
        [str(opa.binary()), "inspect", "--annotations", "--format", "json", str(opa.POLICIES / "capacity")],
        capture_output=True,
        check=True,
        timeout=60,
    )
    described = {
        each["annotations"]["custom"]["code"]: each["annotations"]
        for each in json.loads(inspected.stdout)["annotations"]
        if each["annotations"]["scope"] == "rule"
    }
    text = (opa.POLICIES / CAPACITY).read_text()
    carried = {line.split('"')[3] for line in text.splitlines() if line.startswith('\t"code": ')}
    assert set(described) == carried
    for about in described.values():
        assert about["title"] and about["description"]
        assert about["custom"]["severity"] == "error"
        assert {"remediation", "review_date", "controls"} <= set(about["custom"])
