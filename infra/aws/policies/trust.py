"""Who may become a role. A workflow proves itself by a token of its own, which lives for minutes."""

from __future__ import annotations

from collections.abc import Mapping

from infra.aws.policies.names import APPLY, PREVIEW, REVIEW, ROLLBACK, Account, Names
from infra.aws.policies.statements import Conditions, Statement, allow

AUDIENCE = "sts.amazonaws.com"


def subjects(noun: str, environment: str, repository: str, branch: str) -> list[str]:
    """The `sub` claims that may become a role, each whole: a pattern would let other branches in.

    A pull request may look; only the branch applies. Rollback and review are jobs in environments of their
    own, so that whoever is on call can be let in without being able to apply.
    """
    on_branch = f"repo:{repository}:ref:refs/heads/{branch}"
    known = {
        PREVIEW: [f"repo:{repository}:pull_request", on_branch],
        APPLY: [on_branch],
        ROLLBACK: [f"repo:{repository}:environment:{environment}-{ROLLBACK}"],
        REVIEW: [f"repo:{repository}:environment:{environment}-{REVIEW}"],
    }
    return known[noun]


def workflow(account: Account, issuer: str, subs: list[str]) -> list[Statement]:
    """For tokens of one issuer, made for AWS, by exactly these workflows."""
    provider = {"Federated": account.iam(f"oidc-provider/{issuer}")}
    claims: dict[str, str | list[str]] = {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subs}
    return [_trust("Workflow", ["sts:AssumeRoleWithWebIdentity"], provider, {"StringEquals": claims})]


def replication(names: Names) -> list[Statement]:
    """S3 itself, on behalf of the audit bucket and of no other: else any bucket could borrow the role."""
    source = {
        "StringEquals": {"aws:SourceAccount": names.account.number},
        "ArnEquals": {"aws:SourceArn": names.account.bucket(names.audit)},
    }
    return [_trust("Replication", ["sts:AssumeRole"], {"Service": "s3.amazonaws.com"}, source)]


def copying(stack: Account) -> list[Statement]:
    """Whoever the stack's account lets: its own policies name this role, or do not."""
    return [_trust("Stacks", ["sts:AssumeRole"], {"AWS": stack.root}, None)]


def _trust(sid: str, actions: list[str], to: Mapping[str, str], when: Conditions | None) -> Statement:
    statement = allow(sid, actions, to=to, when=when)
    del statement["Resource"]  # a trust policy is about its own role, and may name no resource
    return statement
