"""The policies pass OPA's own checks, and the checks notice what they are for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lockstep.errors import IntegrityError, Unavailable
from lockstep.gate import policy_checks
from lockstep.gate.bundle import Policies, probation_seconds
from tests.support import opa


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, copy, ignore=shutil.ignore_patterns("local.json"))
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def failed(policies: Path) -> dict[str, str]:
    results = policy_checks.run(opa.binary(), policies)
    assert [one.name for one in results] == ["fmt", "check", "test", "coverage", "annotations"]
    return {one.name: one.output for one in results if not one.ok}


def test_the_policies_pass_every_check() -> None:
    assert failed(opa.POLICIES) == {}


def test_a_field_that_the_schema_does_not_have_fails_the_check(policies: Path) -> None:
    rule = policies / "region_one_at_a_time" / "region_one_at_a_time.rego"
    edit(
        rule,
        "rising_regions(model) :=",
        "typo := {each.regoin | some each in input.cells}\n\nrising_regions(model) :=",
    )
    found = failed(policies)
    assert "regoin" in found["check"]
    assert "region_one_at_a_time.rego" in found["coverage"]


def test_a_loosened_comparison_fails_a_test(policies: Path) -> None:
    edit(policies / "step_size" / "step_size.rego", "not after - before <=", "not after - before < 10 *")
    assert "FAIL" in failed(policies)["test"]


def test_a_rule_without_its_words_fails(policies: Path) -> None:
    rule = policies / "step_size" / "step_size.rego"
    edit(rule, "code: step.size", "code: step.sise")
    edit(rule, 'review_date: "2027-05-01"', "review_date: soon")
    edit(rule, "# title: A share rises by no more than the largest step\n", "")
    said = failed(policies)["annotations"]
    assert "code step.sise, but the package is step.size" in said
    assert "no review_date" in said
    assert "no title" in said


def test_a_removed_rule_fails(policies: Path) -> None:
    shutil.rmtree(policies / "release_barred")
    assert "release.barred" not in failed(policies)["annotations"]


def test_a_rule_without_a_test_fails(policies: Path) -> None:
    (policies / "step_size" / "step_size_test.rego").unlink()
    assert "no test step_size_test.rego" in failed(policies)["annotations"]


def test_the_revision_follows_what_judges_and_nothing_else(policies: Path) -> None:
    before = Policies.read(policies).revision
    assert before == Policies.read(opa.POLICIES).revision
    (policies / "data" / "local.json").write_text("{}")
    (policies / "step_size" / "step_size_test.rego").unlink()
    assert Policies.read(policies).revision == before
    edit(policies / "data" / "rules.json", '"max_step": 50', '"max_step": 51')
    assert Policies.read(policies).revision != before


def test_a_bundle_knows_only_its_environment(tmp_path: Path) -> None:
    Policies.read(opa.POLICIES).stage(tmp_path, environment="staging")
    settings = json.loads((tmp_path / "data.json").read_text())["settings"]
    assert list(settings["environments"]) == ["staging"]
    assert not list(tmp_path.rglob("*_test.rego"))


def test_the_probation_is_read_where_the_policies_read_it() -> None:
    assert probation_seconds(opa.POLICIES, "local") == 60
    assert probation_seconds(opa.POLICIES, "moon") is None


def test_missing_and_malformed_files_are_named(policies: Path) -> None:
    (policies / "data" / "rules.json").write_text('{"local": 1, "local": 2}')
    with pytest.raises(IntegrityError, match=r"policies/data/rules.json") as malformed:
        Policies.read(policies).settings("local")
    assert malformed.value.code == "gate.policies_malformed"
    (policies / "data" / "rules.json").unlink()
    with pytest.raises(Unavailable, match=r"rules.json") as missing:
        Policies.read(policies)
    assert missing.value.code == "gate.policies_missing"
