"""The names that policies speak of: an account, its buckets, its roles, and the ARNs of all of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from infra.config import Settings
from lockstep.paths import PROJECT

PREVIEW, APPLY, ROLLBACK, REVIEW = "preview", "apply", "rollback", "review"
CI_ROLES = (PREVIEW, APPLY, ROLLBACK, REVIEW)
REPLICATION = "replication"
BOUNDARY = "boundary"
COPYING = "copy"
STATE, SECRETS = "state", "secrets"
LONGEST_BUCKET, LONGEST_ROLE = 63, 64


def partition_of(region: str) -> str:
    """The part of the cloud that a region belongs to, as ARNs name it."""
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for prefix, name in prefixes.items() if region.startswith(prefix)), "aws")


def bounded_name(name: str, suffix: str) -> str:
    """A bucket's name made of another's."""
    return f"{name[: LONGEST_BUCKET - len(suffix)]}{suffix}"


def role_name(name: str) -> str:
    """A role's name as IAM takes it; one that is too long ends in a digest of the whole."""
    if len(name) <= LONGEST_ROLE:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_ROLE - len(digest) - 1]}-{digest}"


@dataclass(frozen=True)
class Account:
    """One account and what stands in it once, whatever its stacks are called."""

    partition: str
    number: str
    home: str

    def iam(self, what: str) -> str:
        return f"arn:{self.partition}:iam::{self.number}:{what}"

    @property
    def root(self) -> str:
        return self.iam("root")

    @property
    def boundary(self) -> str:
        return self.iam(f"policy/{PROJECT}-{BOUNDARY}")

    @property
    def state_bucket(self) -> str:
        return f"{PROJECT}-{STATE}-{self.number}-{self.home}"

    def bucket(self, name: str) -> str:
        return f"arn:{self.partition}:s3:::{name}"

    @property
    def copying(self) -> str:
        """The role by which another account's stacks see to their copy in this one."""
        return self.iam(f"role/{PROJECT}-{COPYING}")

    def keys(self, region: str) -> str:
        return f"arn:{self.partition}:kms:{region}:{self.number}:key/*"


@dataclass(frozen=True)
class Names:
    """One stack in its account. regions: where it serves; copy_account: the account of the copy's bucket;
    retention_days: for how long the log locks what it writes."""

    account: Account
    environment: str
    regions: tuple[str, ...]
    audit: str
    copy: str
    copy_region: str
    copy_account: Account
    registry: str
    retention_days: int

    @property
    def prefix(self) -> str:
        return f"{PROJECT}-{self.environment}"

    @property
    def trail(self) -> str:
        """The bucket that says who touched the audit bucket and its copy."""
        return bounded_name(self.audit, "-trail")

    def role(self, noun: str) -> str:
        return self.account.iam(f"role/{self.prefix}-{noun}")

    def trail_arns(self) -> list[str]:
        """One trail in each account that has one of the buckets."""
        accounts = dict.fromkeys((self.account, self.copy_account))
        return [
            f"arn:{one.partition}:cloudtrail:{one.home}:{one.number}:trail/{self.prefix}" for one in accounts
        ]

    def objects(self, bucket: str, *keys: str) -> list[str]:
        return [f"{self.account.bucket(bucket)}/{key}" for key in keys or ("*",)]


def names_of(settings: Settings, account: str) -> Names:
    """A stack's names in the account that its credentials are for."""
    cloud = settings.cloud
    if cloud is None:
        raise ValueError("a stack in the cloud is loaded with its cloud settings")
    home, replica = settings.regions[0], cloud.replica
    own = Account(partition_of(home), account, home)
    elsewhere = replica.account not in ("", account)
    return Names(
        account=own,
        environment=settings.environment,
        regions=settings.regions,
        audit=settings.bucket,
        copy=replica.bucket,
        copy_region=replica.region,
        copy_account=Account(own.partition, replica.account, replica.region) if elsewhere else own,
        registry=cloud.registry,
        retention_days=settings.retention_days,
    )
