"""What everything of a cloud stack stands on: one provider for all regions, names and tags.

Default providers are disabled by the project, so a resource made without these options fails instead of
landing wherever somebody's profile points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws

from infra.aws.outliving import tags_of
from infra.aws.policies.names import Account, partition_of
from infra.cloud import Cloud
from infra.config import Settings
from lockstep.paths import PROJECT


@dataclass(frozen=True)
class Ground:
    """account: of the credentials, known in preview; deployer: the ARN of the role or user behind them; home:
    the first region, where the audit bucket, the registry and what is global live; people: what the roles of
    CI hang under (see identity.py), None where no CI may assume one."""

    settings: Settings
    cloud: Cloud
    provider: pulumi_aws.Provider
    account: pulumi.Output[str]
    deployer: pulumi.Output[str]
    people: pulumi.ComponentResource | None

    @property
    def home(self) -> str:
        return self.settings.home

    def name(self, *parts: str) -> str:
        """A physical name: project, environment and the parts."""
        return "-".join((PROJECT, self.settings.environment, *parts))

    @property
    def tags(self) -> dict[str, str]:
        return tags_of(self.settings)

    @property
    def boundary(self) -> pulumi.Output[str] | None:
        """The ARN of the boundary that every role carries; None where no CI may assume one."""
        if not self.cloud.identity.repository:
            return None
        partition, home = partition_of(self.home), self.home
        return self.account.apply(lambda number: Account(partition, number, home).boundary)

    def options(self, *, after: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """The options of every AWS resource: this provider, and what it waits for."""
        return pulumi.ResourceOptions(provider=self.provider, depends_on=list(after), **more)


def ground(settings: Settings) -> Ground:
    """The provider, held to the declared account and tagging all it makes."""
    cloud = settings.cloud
    if cloud is None:
        raise ValueError("a stack in the cloud is loaded with its cloud settings")
    provider = pulumi_aws.Provider(
        "aws",
        region=settings.home,
        allowed_account_ids=[cloud.account] if cloud.account else None,
        default_tags={"tags": tags_of(settings)},
    )
    asked = pulumi.InvokeOptions(provider=provider)
    identity = pulumi_aws.get_caller_identity_output(opts=asked)
    session = pulumi_aws.iam.get_session_context_output(arn=identity.arn, opts=asked)
    people = (
        pulumi.ComponentResource("lockstep:infra:Identity", "identity") if cloud.identity.repository else None
    )
    return Ground(settings, cloud, provider, identity.account_id, session.issuer_arn, people)
