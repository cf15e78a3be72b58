"""What outlives a stack, by the names that it is found by when the stack is gone. Pure.

A destroy forgets buckets and keys and leaves them as they are. The next stack of the same name must find all
of them and take them over, part by part; what is not listed here would be made a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.aws.policies import keys
from infra.aws.policies.names import bounded_name
from infra.config import Settings
from lockstep.paths import PROJECT

RECORDS, REGISTRY = "records", "registry"
"""Parts that are taken over whole: the log with its copy, trail and keys; the bucket of releases."""
BUCKET, ALIAS = "aws:s3/bucket:Bucket", "aws:kms/alias:Alias"
AUDIT = f"{BUCKET}::audit-bucket"
"""The log itself, as the engine's state knows it."""


@dataclass(frozen=True)
class Outliving:
    """One bucket, or the alias of one key. part: what it is taken over with; kind, noun: its type and its
    name in the program; name: in AWS; key: of the config that has a bucket's name, for whoever must choose
    another; account: whose it is, where that is not the stack's own."""

    part: str
    kind: str
    noun: str
    region: str
    name: str
    key: str = ""
    account: str = ""

    @property
    def declared(self) -> str:
        """As the engine's state knows it."""
        return f"{self.kind}::{self.noun}"


def key_part(region: str) -> str:
    """The part that is one region's own key; its noun is the region."""
    return f"key-{region}"


def tags_of(settings: Settings) -> dict[str, str]:
    """The tags of everything that a stack makes: by them it is known again."""
    return {"lockstep:project": PROJECT, "lockstep:environment": settings.environment}


def outliving(settings: Settings) -> tuple[Outliving, ...]:
    """All of it, the audit bucket first."""
    return tuple([*_buckets(settings), *_keys(settings)])


def _buckets(settings: Settings) -> Iterator[Outliving]:
    cloud = settings.cloud
    if cloud is None:
        return
    replica, home, log = cloud.replica, settings.home, "lockstep:audit.bucket"
    account = "" if replica.account == cloud.account else replica.account
    trail = bounded_name(settings.bucket, "-trail")
    yield Outliving(RECORDS, BUCKET, "audit-bucket", home, settings.bucket, log)
    yield Outliving(RECORDS, BUCKET, "trail-bucket", home, trail, log)
    copy = "lockstep:audit.replica.bucket"
    yield Outliving(RECORDS, BUCKET, "copy-bucket", replica.region, replica.bucket, copy, account)
    registry = "lockstep:registry.bucket"
    yield Outliving(REGISTRY, BUCKET, "registry-bucket", home, cloud.registry, registry)


def _keys(settings: Settings) -> Iterator[Outliving]:
    cloud = settings.cloud
    if cloud is None:
        return
    from lockstep.aws.kms import alias_of  # not for a program that only wants a word

    replica, environment = cloud.replica, settings.environment
    where = {keys.RECORDS: settings.home, keys.HEADS: settings.home, keys.DATA: settings.home}
    if replica.account in ("", cloud.account):
        where[keys.COPY] = replica.region  # another account's aliases are not to be seen from here
    for noun, region in where.items():
        yield Outliving(RECORDS, ALIAS, f"{noun}-alias", region, alias_of(environment, noun))
    for region in settings.regions:
        yield Outliving(key_part(region), ALIAS, f"key-{region}", region, alias_of(environment, region))
