"""A key that outlives the stack, and the alias that it is found by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.keeping import Keeping
from infra.aws.policies import keys

SPECS = {keys.RECORDS: "ECC_NIST_P256", keys.HEADS: "ECC_NIST_EDWARDS25519"}
"""What a signing key is; any other key encrypts."""
LONGEST_WAIT_DAYS = 30


@dataclass(frozen=True)
class Key:
    arn: pulumi.Output[str]
    alias: aws.kms.Alias


def key(
    keeping: Keeping,
    noun: str,
    policy: pulumi.Input[str],
    purpose: str,
    *,
    after: Sequence[pulumi.Resource] = (),
) -> Key:
    """A key under a policy that only root may change.

    AWS asks back before it takes such a policy, because an administrator could not mend a mistake in it:
    hence `bypass_policy_lockout_safety_check`.
    """
    alias = keeping.alias(noun)
    found = keeping.found_key(noun).rsplit("/", 1)[-1] if keeping.adopt else ""
    spec = SPECS.get(noun)
    made = aws.kms.Key(
        f"{noun}-key",
        region=keeping.region,
        description=purpose,
        key_usage="SIGN_VERIFY" if spec else "ENCRYPT_DECRYPT",
        customer_master_key_spec=spec or "SYMMETRIC_DEFAULT",
        enable_key_rotation=not spec,
        deletion_window_in_days=LONGEST_WAIT_DAYS,
        bypass_policy_lockout_safety_check=True,
        policy=policy,
        opts=keeping.options(
            found, after=after, unreadable=("bypass_policy_lockout_safety_check", "deletion_window_in_days")
        ),
    )
    named = aws.kms.Alias(
        f"{noun}-alias",
        region=keeping.region,
        name=alias,
        target_key_id=made.key_id,
        opts=keeping.options(alias),
    )
    return Key(made.arn, named)
