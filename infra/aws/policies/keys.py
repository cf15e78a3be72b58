"""What the keys enforce. A key that is gone takes all with it that it encrypted, locked or not.

A key's policy hands its use to the account's own policies, and keeps three things back: nobody deletes or
disables the key, nobody hands out grants past those policies, and only root changes the policy.
"""

from __future__ import annotations

from infra.aws.policies.buckets import CLOUDTRAIL
from infra.aws.policies.names import Account, Names
from infra.aws.policies.statements import EVERYBODY, Statement, allow, deny

RECORDS, HEADS, DATA, COPY = "records", "heads", "data", "copy"
"""The keys that sign records and heads, the one that encrypts the log, and the one that encrypts its copy."""
ALGORITHMS = {RECORDS: "ECDSA_SHA_256", HEADS: "ED25519_SHA_512"}
LOSES = (
    "kms:DeleteImportedKeyMaterial",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:ScheduleKeyDeletion",
)


def kept(account: Account) -> list[Statement]:
    """The statements of every key that must outlive the stack."""
    return [
        allow("TheAccountDecides", ["kms:*"], to={"AWS": account.root}),
        deny("NobodyDeletes", LOSES, to=EVERYBODY),
        deny("NoGrants", ["kms:CreateGrant"], to=EVERYBODY),
        deny(
            "OnlyRootUnseals",
            ["kms:PutKeyPolicy"],
            to=EVERYBODY,
            when={"ArnNotEquals": {"aws:PrincipalArn": account.root}},
        ),
    ]


def signing(account: Account, noun: str) -> list[Statement]:
    """One algorithm a key, so that no signature of another kind can be passed off."""
    other = {"StringNotEquals": {"kms:SigningAlgorithm": ALGORITHMS[noun]}}
    return [*kept(account), deny("OneAlgorithm", ["kms:Sign"], to=EVERYBODY, when=other)]


def data(names: Names) -> list[Statement]:
    """Encrypts the audit bucket, and for CloudTrail the trail."""
    own = {"StringEquals": {"aws:SourceArn": names.trail_arns()}}
    return [
        *kept(names.account),
        allow("EncryptTheTrail", ["kms:GenerateDataKey*"], to={"Service": CLOUDTRAIL}, when=own),
        allow("FindTheKey", ["kms:DescribeKey"], to={"Service": CLOUDTRAIL}, when=own),
    ]


def copy(names: Names) -> list[Statement]:
    """Encrypts the copy; the stack's account writes by replication and reads, whichever account holds it."""
    stack, where = {"AWS": names.account.root}, {"kms:ViaService": f"s3.{names.copy_region}.amazonaws.com"}
    role = {"aws:PrincipalArn": names.role("replication")}
    return [
        *kept(names.copy_account),
        allow(
            "Replicate",
            ["kms:Encrypt", "kms:GenerateDataKey"],
            to=stack,
            when={"StringEquals": where, "ArnEquals": role},
        ),
        allow("Read", ["kms:Decrypt", "kms:DescribeKey"], to=stack, when={"StringEquals": where}),
    ]
