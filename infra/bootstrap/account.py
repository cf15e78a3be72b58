"""What stacks need before there is one: where their state lies, what seals it, the boundary of all roles.

Everything outlives its own stack of Pulumi, whose state nobody needs to keep: a run with LOCKSTEP_ADOPT=1
takes over what is there.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws import bucket as buckets
from infra.aws.keeping import Keeping
from infra.aws.key import key
from infra.aws.policies import buckets as seals
from infra.aws.policies import keys, trust
from infra.aws.policies.boundary import boundary
from infra.aws.policies.copying import copying
from infra.aws.policies.names import BOUNDARY, COPYING, SECRETS, STATE, Account, partition_of
from infra.aws.policies.statements import BOUNDARY as BOUNDARY_LIMIT
from infra.aws.policies.statements import BUCKET, IDENTITY, KEY, TRUST, document
from infra.config import adopting
from lockstep.paths import PROJECT


def account(region: str, copies_for: str, copy_bucket: str) -> dict[str, pulumi.Input[str]]:
    """region: the home region of the stacks. copies_for: the account whose stacks keep a copy of their log in
    this one, in copy_bucket; such an account gets a role for that, and nothing else."""
    provider = aws.Provider("aws", region=region, default_tags={"tags": {"lockstep:project": PROJECT}})
    caller = aws.get_caller_identity(opts=pulumi.InvokeOptions(provider=provider))
    own = Account(partition_of(region), caller.account_id, region)
    tree = pulumi.ComponentResource("lockstep:infra:Account", "account")
    command = f"LOCKSTEP_ADOPT=1 pulumi -C infra/bootstrap -s {pulumi.get_stack()} up"
    here = Keeping(tree, provider, region, PROJECT, adopting("account"), command)
    if copies_for:
        return {"role": _copying(here, own, copies_for, copy_bucket)}
    _boundary(here, own)
    return {"backend": _state(here, own), "secrets_provider": _secrets(here, own), "boundary": own.boundary}


def _boundary(here: Keeping, own: Account) -> None:
    aws.iam.Policy(
        BOUNDARY,
        name=f"{PROJECT}-{BOUNDARY}",
        description="What no role of a Lockstep stack can do, whatever its policies say",
        policy=document(boundary(own), BOUNDARY_LIMIT),
        opts=here.options(own.boundary, regional=False),
    )


def _state(here: Keeping, own: Account) -> str:
    """The URL of the backend."""
    name = own.state_bucket
    sealed_by = key(here, STATE, document(keys.kept(own), KEY), "Encrypts the state of Lockstep stacks")
    made = buckets.bucket(here, STATE, name, locked=False)
    parts = buckets.settings(here, STATE, name, made, sealed_by.arn)
    buckets.policy(here, STATE, name, document(seals.state(own.bucket(name)), BUCKET), parts)
    return f"s3://{name}?region={own.home}"


def _secrets(here: Keeping, own: Account) -> str:
    """The URL of the secrets provider."""
    key(here, SECRETS, document(keys.kept(own), KEY), "Opens the secrets in the state of Lockstep stacks")
    return f"awskms://{here.alias(SECRETS)}?region={own.home}"


def _copying(here: Keeping, own: Account, stack: str, bucket: str) -> pulumi.Output[str]:
    """The role by which another account's stacks make and see to the copy of their log in this one."""
    name = f"{PROJECT}-{COPYING}"
    role = aws.iam.Role(
        "copying-role",
        name=name,
        assume_role_policy=document(trust.copying(Account(own.partition, stack, own.home)), TRUST),
        opts=here.options(name, regional=False),
    )
    aws.iam.RolePolicy(
        "copying-rights",
        name=COPYING,
        role=name,
        policy=document(copying(own, bucket), IDENTITY),
        opts=here.options(f"{name}:{COPYING}", after=[role], regional=False),
    )
    return role.arn
