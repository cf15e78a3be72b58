"""The Rego tests notice when a policy is changed in one place: a sample here, every mutant under --soak."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.conftest import Soak
from tests.mutation import trial
from tests.mutation.mutants import Mutant
from tests.support import opa

SAMPLE = 12


@pytest.fixture(scope="module")
def every() -> list[Mutant]:
    return trial.of(opa.binary(), opa.POLICIES)


def test_a_sample_of_mutants_is_noticed(every: list[Mutant]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    score = trial.run(opa.binary(), opa.POLICIES, random.Random(seed).sample(every, SAMPLE))
    assert not score.survivors, f"seed {seed}\n{score}"


@pytest.mark.soak
def test_every_mutant_is_noticed(every: list[Mutant], soak: Soak) -> None:
    score = trial.run(opa.binary(), opa.POLICIES, every)
    soak.tally(str(score).splitlines()[-1])
    assert not score.survivors, str(score)
    assert not score.stale, str(score)
    assert score.percent == 100
    assert score.tried > 600


def test_each_kind_of_change_is_made(every: list[Mutant]) -> None:
    changes = {(mutant.old, mutant.new) for mutant in every}
    assert {("==", "!="), ("<=", "<"), ("<=", ">"), (">=", ">"), (">", ">="), ("<", "<=")} <= changes
    assert {("+", "-"), ("-", "+"), ("*", "/"), ("|", "&"), ("min", "max")} <= changes
    assert {("true", "false"), ("false", "true"), ("0", "1"), ("10", "9")} <= changes
    assert ("not was_ready(cell, slot, digest)", "was_ready(cell, slot, digest)") in changes
    assert ("not was_ready(cell, slot, digest)", "true") in changes
    assert (
        "count(input.marks) > 0",
        "true",
    ) not in changes  # it stands under a `not`, which is one condition
    assert {mutant.path for mutant in every} == {
        str(path.relative_to(opa.POLICIES))
        for path in opa.POLICIES.rglob("*.rego")
        if not path.name.endswith("_test.rego")
    }


def test_a_change_that_no_test_notices_is_printed_with_its_place(tmp_path: Path, every: list[Mutant]) -> None:
    """Tests that assert nothing: mutants survive, and the score says where."""
    copy = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, copy, ignore=shutil.ignore_patterns("local.json"))
    for test in copy.rglob("*_test.rego"):
        if test.parent.name != "lib":
            test.write_text(f"package lockstep_test.{test.parent.name}\n\ntest_nothing if true\n")
    (mutant,) = [each for each in every if each.path.startswith("step_size") and each.new == "<"]
    score = trial.run(opa.binary(), copy, [mutant])
    assert score.survivors == [mutant]
    assert str(score).startswith("survived: policies/step_size/step_size.rego:31: '<=' -> '<'")
    assert "0 of 1 noticed" in str(score)
