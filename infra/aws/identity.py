"""The roles of CI. A workflow becomes one by a token that it gets for a single run; nobody holds a key.

Declared only for a stack that names its repository. No role can change these: the person does who may, by an
update of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.aws import texts
from infra.aws.audit import Records
from infra.aws.ground import Ground
from infra.aws.policies import roles, trust
from infra.aws.policies.names import APPLY, CI_ROLES, PREVIEW, REVIEW, ROLLBACK, Names
from infra.aws.policies.statements import IDENTITY, TRUST, Statement

SESSION_S = 3600
RIGHTS: Final = {PREVIEW: roles.preview, APPLY: roles.apply, ROLLBACK: roles.rollback, REVIEW: roles.review}


def identity(ground: Ground, records: Records) -> Mapping[str, pulumi.Output[str]]:
    """The role's noun -> its ARN; empty without a repository."""
    who, tree = ground.cloud.identity, ground.people
    if tree is None:
        return {}
    issuer = aws.iam.OpenIdConnectProvider(
        "issuer",
        url=f"https://{who.issuer}",
        client_id_lists=[trust.AUDIENCE],
        opts=ground.options(parent=tree),
    )
    arns = {noun: _role(ground, records, tree, noun, issuer) for noun in CI_ROLES}
    tree.register_outputs({})
    return arns


def _role(
    ground: Ground, records: Records, tree: pulumi.Resource, noun: str, issuer: pulumi.Resource
) -> pulumi.Output[str]:
    environment, who = ground.settings.environment, ground.cloud.identity
    subs = trust.subjects(noun, environment, who.repository, who.branch)

    def trusts(names: Names) -> list[Statement]:
        return trust.workflow(names.account, who.issuer, subs)

    role = aws.iam.Role(
        f"{noun}-role",
        name=ground.name(noun),
        assume_role_policy=texts.of_names(ground, trusts, TRUST),
        permissions_boundary=ground.boundary,
        max_session_duration=SESSION_S,
        opts=ground.options(after=[issuer], parent=tree),
    )
    aws.iam.RolePolicy(
        f"{noun}-rights",
        name=noun,
        role=role.name,
        policy=texts.of_keys(ground, RIGHTS[noun], records.keys, IDENTITY),
        opts=ground.options(parent=tree),
    )
    return role.arn
