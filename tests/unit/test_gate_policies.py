"""The policies pass OPA's own checks, and the checks notice what they are for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lockstep.errors import IntegrityError, Unavailable
from lockstep.gate import policy_checks
from lockstep.gate.bundle import Policies
from tests.support import opa

CHECKS = ["fmt", "check", "test", "coverage", "annotations", "packages"]
RULE = """# METADATA
# title: No rule for us
# description: It allows whatever comes.
# custom:
#   code: tide.high
#   severity: error
#   remediation: Wait.
#   review_date: "2027-05-01"
#   controls: [SOC2-CC8.1]
package lockstep.rules.tide.high

import data.lockstep.lib

looked := lib.looked
"""
RULE_TEST = """package lockstep_test.tide_high

test_it_looked if {
	count(data.lockstep.rules.tide.high.looked) == 0
}
"""


def add_rule(policies: Path, code: str = "tide.high", *, test: bool = True, metadata: bool = True) -> None:
    name = code.replace(".", "_")
    (policies / name).mkdir()
    rule = RULE.replace("tide.high", code)
    (policies / name / f"{name}.rego").write_text(rule if metadata else rule[rule.index("package") :])
    if test:
        text = RULE_TEST.replace("tide.high", code).replace("tide_high", name)
        (policies / name / f"{name}_test.rego").write_text(text)


def expect(policies: Path, *codes: str) -> None:
    path = policies / "data" / "expected.json"
    path.write_text(json.dumps(sorted([*json.loads(path.read_text()), *codes])))


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
    assert [one.name for one in results] == CHECKS
    return {one.name: one.output for one in results if not one.ok}


def test_the_policies_pass_every_check() -> None:
    assert failed(opa.POLICIES) == {}


def test_each_check_notices_what_it_is_for(policies: Path) -> None:
    """One fault for each check, in one run because a run takes seconds."""
    edit(
        policies / "region_one_at_a_time" / "region_one_at_a_time.rego",
        "rising_regions(model) :=",
        "typo   :=   {each.regoin | some each in input.cells}\n\nrising_regions(model) :=",
    )
    edit(policies / "step_size" / "step_size.rego", "not after - before <=", "not after - before <= 10 *")
    rule = policies / "release_exists" / "release_exists.rego"
    edit(rule, "code: release.exists", "code: release.exist")
    edit(rule, 'review_date: "2027-05-01"', "review_date: soon")
    edit(rule, "# title: A release is in the store\n", "")
    (policies / "slot_empty_weight" / "slot_empty_weight_test.rego").unlink()
    shutil.rmtree(policies / "release_barred")
    found = failed(policies)
    assert "unexpected diff" in found["fmt"]
    assert "regoin" in found["check"]
    assert "test_a_tenth_too_large_is_denied: FAIL" in found["test"]
    assert found["coverage"]
    said = found["annotations"]
    assert "code release.exist, but the package is release.exists" in said
    assert "no review_date" in said
    assert "no title" in said
    assert "no test slot_empty_weight_test.rego" in said
    assert "data/expected.json: does not list exactly these rules" in said


def test_a_line_that_no_test_runs_is_named(policies: Path) -> None:
    rule = policies / "step_size" / "step_size.rego"
    rule.write_text(rule.read_text() + "\nunused if input.version == 2\n")
    assert "step_size/step_size.rego:" in failed(policies)["coverage"]


def test_a_whole_rule_is_welcome(policies: Path) -> None:
    add_rule(policies)
    expect(policies, "tide.high")
    assert failed(policies) == {}


def test_half_a_rule_is_refused(policies: Path) -> None:
    add_rule(policies, "tide.untested", test=False)
    add_rule(policies, "tide.unsaid", metadata=False)
    add_rule(policies, "tide.unexpected")
    expect(policies, "tide.untested", "tide.unsaid")
    found = failed(policies)
    assert "test_the_whole_answer: FAIL" in found["test"]  # nor would such a bundle allow anything
    said = found["annotations"]
    assert "tide_untested/tide_untested.rego: the rule has no test tide_untested_test.rego" in said
    for part in ("title", "description", "custom.code", "custom.severity", "custom.remediation"):
        assert f"tide_unsaid/tide_unsaid.rego: METADATA has no {part}" in said
    assert "tide_unsaid/tide_unsaid.rego: METADATA names no controls" in said
    assert "tide_unexpected/" not in said
    assert "data/expected.json: does not list exactly these rules" in said


@pytest.mark.parametrize(
    ("name", "text", "package"),
    [
        ("log/log.rego", "package system.log\n\ndrop := true\n", "system.log"),
        ("log/log.rego", 'package system.log\n\nmask contains "/input"\n', "system.log"),
        ("log/log.rego", 'package system["log"] # no rule\n\ndrop := true\n', "system"),
        ("system/more.rego", "package system.authz\n\nallow := true\n", "system.authz"),
        ("system/main.rego", "package system\n\nmain := true\n", "system"),
        ("decision/more.rego", "package lockstep\n\nallow := true\n", "lockstep"),
        ("step_size/x_test.rego", "package system.log\n\ndrop := true\n", "system.log"),
        ("step_size/nothing.rego", "drop := true\n", "(none)"),
    ],
)
def test_what_means_something_to_opa_itself_is_refused(
    policies: Path, name: str, text: str, package: str
) -> None:
    path = policies / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    ok, said = policy_checks.packages(Policies.read(policies))
    assert not ok
    assert said.startswith(f"{name}: the package")
    assert package in said


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


def test_missing_and_malformed_files_are_named(policies: Path) -> None:
    (policies / "data" / "rules.json").write_text('{"local": 1, "local": 2}')
    with pytest.raises(IntegrityError, match=r"policies/data/rules.json") as malformed:
        Policies.read(policies).settings("local")
    assert malformed.value.code == "gate.policies_malformed"
    (policies / "data" / "rules.json").unlink()
    with pytest.raises(Unavailable, match=r"rules.json") as missing:
        Policies.read(policies)
    assert missing.value.code == "gate.policies_missing"
