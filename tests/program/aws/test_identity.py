"""The roles of CI as they are declared."""

from __future__ import annotations

import json

import pytest

from infra.aws.audit import audit_bucket
from infra.aws.ground import ground
from infra.aws.identity import identity
from infra.aws.policies.names import CI_ROLES, role_name
from infra.aws.region import region
from infra.config import Settings
from tests.support.clouds import ACCOUNT, Recorder, declare, quiet_engine, stack

ISSUER = "token.actions.githubusercontent.com"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/lockstep-boundary"
__all__ = ["quiet_engine"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.usefixtures("quiet_engine")


def declared(settings: Settings) -> Recorder:
    def build() -> None:
        base = ground(settings)
        identity(base, audit_bucket(base))

    return declare(build)


def with_ci() -> Recorder:
    return declared(stack(identity={"repository": "acme/vision", "branch": "main"}))


def test_without_a_repository_there_is_no_role_for_anybody_to_become() -> None:
    made = declared(stack())
    assert made.of(":OpenIdConnectProvider") == []
    assert [each.name for each in made.of(":Role")] == ["replication-role"]
    assert "permissionsBoundary" not in made.named("replication-role").inputs


def test_every_role_has_the_boundary_and_an_end() -> None:
    made = with_ci()
    assert {each.name for each in made.of(":Role")} == {
        *(f"{role}-role" for role in CI_ROLES),
        "replication-role",
    }
    for each in made.of(":Role"):
        assert each.inputs["permissionsBoundary"] == BOUNDARY
    for role in CI_ROLES:
        assert made.named(f"{role}-role").inputs["maxSessionDuration"] == 3600


def test_a_cluster_lets_a_role_in_when_it_is_there() -> None:
    """EKS refuses an entry for a principal that does not exist; both are new when a stack gets its CI."""
    settings = stack(identity={"repository": "acme/vision", "branch": "main"})

    def build() -> None:
        base = ground(settings)
        identity(base, audit_bucket(base))
        region(base, "eu-central-1", after=[])

    made = declare(build)
    for role in ("apply", "preview", "rollback"):
        entry = made.named(f"access-eu-central-1-{role}", "accessEntry:AccessEntry")
        assert made.named(f"{role}-role").key in entry.after, sorted(entry.after)


def test_nobody_holds_a_key_that_lives_long() -> None:
    kinds = {each.type.rsplit(":", 1)[1] for each in with_ci().registered.values()}
    assert not kinds & {"User", "AccessKey", "UserLoginProfile", "ServiceSpecificCredential"}


@pytest.mark.parametrize("role", CI_ROLES)
def test_a_role_trusts_tokens_of_one_issuer_one_audience_and_whole_subjects(role: str) -> None:
    made = with_ci()
    (statement,) = json.loads(made.named(f"{role}-role").inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"}
    (operator,) = statement["Condition"]
    assert operator == "StringEquals", "a pattern would let other branches in"
    assert statement["Condition"][operator][f"{ISSUER}:aud"] == "sts.amazonaws.com"
    subjects = statement["Condition"][operator][f"{ISSUER}:sub"]
    assert subjects and all(each.startswith("repo:acme/vision:") and "*" not in each for each in subjects)
    assert made.named("issuer").inputs["clientIdLists"] == ["sts.amazonaws.com"]


def test_a_name_that_iam_would_not_take_ends_in_a_digest_of_the_whole() -> None:
    short, long = "lockstep-staging-digits-eu-central-1-blue", "lockstep-staging-" + "m" * 60 + "-blue"
    assert role_name(short) == short
    assert role_name("r" * 64) == "r" * 64
    assert len(role_name(long)) == 64 and role_name(long).startswith("lockstep-staging-")
    assert role_name(long) != role_name(long.replace("-blue", "-green"))
