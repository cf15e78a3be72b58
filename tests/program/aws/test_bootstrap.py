"""What an account gets once, as it is declared."""

from __future__ import annotations

import json

import pulumi
import pytest

from infra.bootstrap.account import account
from tests.support.clouds import ACCOUNT, declare, quiet_engine

__all__ = ["quiet_engine"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.usefixtures("quiet_engine")
STACKS = "444455556666"


def test_no_version_of_the_state_and_no_key_to_it_can_be_lost() -> None:
    made = declare(lambda: account("eu-central-1", "", ""))
    for each in made.registered.values():
        assert each.retained or not each.type.startswith("aws:"), f"{each.key} would be deleted"
    bucket = made.named("state-bucket").inputs["bucket"]
    assert bucket == f"lockstep-state-{ACCOUNT}-eu-central-1"
    assert made.named("state-versioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    policy = json.loads(made.named("state-policy").inputs["policy"])["Statement"]
    assert {"NobodyDeletesVersions", "OnlyTls", "OnlyTls12"} == {each["Sid"] for each in policy}
    aliases = {each.inputs["name"] for each in made.of(":Alias")}
    assert aliases == {"alias/lockstep-state", "alias/lockstep-secrets"}, "as the policies name them"


def test_the_boundary_has_the_name_that_roles_carry() -> None:
    made = declare(lambda: account("eu-central-1", "", ""))
    assert made.named("boundary").inputs["name"] == "lockstep-boundary"
    assert made.of(":Role") == []


def test_an_account_that_keeps_a_copy_gets_one_role_for_one_bucket() -> None:
    made = declare(lambda: account("eu-west-1", STACKS, "log-copy"))
    assert {each.name for each in made.registered.values() if each.type.startswith("aws:")} == {
        "copying-role",
        "copying-rights",
    }
    role = made.named("copying-role").inputs
    assert role["name"] == "lockstep-copy"
    (trusted,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trusted["Principal"] == {"AWS": f"arn:aws:iam::{STACKS}:root"}
    rights = json.loads(made.named("copying-rights").inputs["policy"])["Statement"]
    (buckets,) = [each["Resource"] for each in rights if each["Sid"] == "MakeBucket"]
    assert buckets == ["arn:aws:s3:::log-copy"]


def test_a_bucket_that_was_left_names_the_command_that_takes_it_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", said.append)
    hook = declare(lambda: account("eu-central-1", "", "")).hooks.registered["state-left-over"]
    for error in ("AccessDenied", "BucketAlreadyOwnedByYou: it is there"):
        assert hook(pulumi.ErrorHookArgs("", "", "", "", errors=[error])) is False, "another try is no use"
    (one,) = said
    assert "next: LOCKSTEP_ADOPT=1 pulumi -C infra/bootstrap -s staging up takes it over" in one
