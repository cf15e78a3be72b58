"""IAM and KMS."""

from __future__ import annotations

from lockstep.standin.aws.moto_requests.asked import Ask, Request

BEHIND = {"ECC_NIST_EDWARDS25519": "ECC_NIST_P256"}
"""What AWS takes and moto has not heard of -> the nearest thing that it has."""


def _role(ask: Ask) -> None:
    ask(
        "iam",
        "create_role",
        RoleName=ask.get("name"),
        Path=ask.get("path"),
        AssumeRolePolicyDocument=ask.text("assumeRolePolicy"),
        MaxSessionDuration=ask.get("maxSessionDuration"),
        PermissionsBoundary=ask.get("permissionsBoundary"),
        Tags=ask.tag_list,
    )


def _trusted(ask: Ask) -> None:
    document = ask.text("assumeRolePolicy")
    ask("iam", "update_assume_role_policy", RoleName=ask.get("name"), PolicyDocument=document)


def _policy(ask: Ask) -> None:
    ask(
        "iam",
        "create_policy",
        PolicyName=ask.get("name"),
        Path=ask.get("path"),
        Description=ask.get("description"),
        PolicyDocument=ask.text("policy"),
        Tags=ask.tag_list,
    )


def _role_policy(ask: Ask) -> None:
    named = {"RoleName": ask.get("role"), "PolicyName": ask.get("name")}
    ask("iam", "put_role_policy", **named, PolicyDocument=ask.text("policy"))


def _no_role_policy(ask: Ask) -> None:
    ask("iam", "delete_role_policy", RoleName=ask.get("role"), PolicyName=ask.get("name"))


def _attached(ask: Ask) -> None:
    ask("iam", "attach_role_policy", RoleName=ask.get("role"), PolicyArn=ask.get("policyArn"))


def _detached(ask: Ask) -> None:
    ask("iam", "detach_role_policy", RoleName=ask.get("role"), PolicyArn=ask.get("policyArn"))


def _issuer(ask: Ask) -> None:
    ask(
        "iam",
        "create_open_id_connect_provider",
        Url=ask.get("url"),
        ClientIDList=ask.get("clientIdLists"),
        ThumbprintList=ask.get("thumbprintLists"),
        Tags=ask.tag_list,
    )


def _key(ask: Ask) -> str:
    spec = ask.values["customerMasterKeySpec"]
    made = ask(
        "kms",
        "create_key",
        Policy=ask.text("policy"),
        Description=ask.get("description"),
        KeySpec=BEHIND.get(spec, spec),
        KeyUsage=ask.get("keyUsage"),
        MultiRegion=ask.get("multiRegion"),
        BypassPolicyLockoutSafetyCheck=ask.get("bypassPolicyLockoutSafetyCheck"),
        Tags=[{"TagKey": key, "TagValue": value} for key, value in (ask.tags or {}).items()] or None,
    )["KeyMetadata"]
    if ask.get("enableKeyRotation"):
        ask("kms", "enable_key_rotation", KeyId=made["KeyId"])
    ask.note("arn", made["Arn"])
    return str(made["KeyId"])


def _key_policy(ask: Ask) -> None:
    if ask.get("policy"):
        ask("kms", "put_key_policy", KeyId=ask.id, PolicyName="default", Policy=ask.text("policy"))


def _no_key(ask: Ask) -> None:
    days = ask.get("deletionWindowInDays")
    ask("kms", "schedule_key_deletion", KeyId=ask.id, PendingWindowInDays=days)


def _alias(ask: Ask) -> None:
    ask("kms", "create_alias", AliasName=ask.get("name"), TargetKeyId=ask.get("targetKeyId"))


CREATES: dict[str, Request] = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _issuer,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attached,
    "aws:kms/alias:Alias": _alias,
    "aws:kms/key:Key": _key,
}
UPDATES: dict[str, Request] = {
    "aws:iam/role:Role": _trusted,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:kms/key:Key": _key_policy,
}
DELETES: dict[str, Request] = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda ask: ask(
        "iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=ask.id
    ),
    "aws:iam/policy:Policy": lambda ask: ask("iam", "delete_policy", PolicyArn=ask.id),
    "aws:iam/role:Role": lambda ask: ask("iam", "delete_role", RoleName=ask.get("name")),
    "aws:iam/rolePolicy:RolePolicy": _no_role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _detached,
    "aws:kms/alias:Alias": lambda ask: ask("kms", "delete_alias", AliasName=ask.get("name")),
    "aws:kms/key:Key": _no_key,
}
