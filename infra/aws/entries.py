"""Who is let into a cluster: whoever deploys, and the roles of CI. What their groups may do, `access` says.

A reviewer reads the log, and needs no cluster.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi
import pulumi_aws as aws

from infra.aws.policies.names import APPLY, PREVIEW, ROLLBACK, names_of
from infra.aws.site import Site

ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
DEPLOYER = "deployer"
LOOK, MOVE = "lockstep:look", "lockstep:move"
GROUPS: Final = {PREVIEW: [LOOK], ROLLBACK: [LOOK, MOVE]}


def entries(site: Site, made: aws.eks.Cluster) -> list[pulumi.Resource]:
    """Who is let in. The first deployer stays named when somebody else runs an update: otherwise each would
    take the other's rights away in the middle of a change."""
    deployer = _entry(site, made, DEPLOYER, site.ground.deployer, ignore_changes=["principalArn"])
    found: list[pulumi.Resource] = [deployer, _admin(site, made, DEPLOYER, deployer)]
    people = site.ground.people
    if people is None:
        return found
    for noun in (APPLY, *GROUPS):  # EKS lets nobody in who is not there yet
        entry = _entry(site, made, noun, _arn(site, noun), groups=GROUPS.get(noun), after=[people])
        found += [entry] if noun in GROUPS else [entry, _admin(site, made, noun, entry)]
    return found


def _arn(site: Site, noun: str) -> pulumi.Output[str]:
    settings = site.ground.settings
    return site.ground.account.apply(lambda account: names_of(settings, account).role(noun))


def _entry(
    site: Site,
    made: aws.eks.Cluster,
    name: str,
    principal: pulumi.Output[str],
    *,
    groups: list[str] | None = None,
    **more: Any,
) -> aws.eks.AccessEntry:
    return aws.eks.AccessEntry(
        f"access-{site.region}-{name}",
        cluster_name=made.name,
        principal_arn=principal,
        kubernetes_groups=groups,
        type="STANDARD",
        region=site.region,
        tags=site.tags(name),
        opts=site.options(**more),
    )


def _admin(
    site: Site, made: aws.eks.Cluster, name: str, entry: aws.eks.AccessEntry
) -> aws.eks.AccessPolicyAssociation:
    return aws.eks.AccessPolicyAssociation(
        f"access-{site.region}-{name}-admin",
        cluster_name=made.name,
        principal_arn=entry.principal_arn,
        policy_arn=ADMIN,
        access_scope={"type": "cluster"},
        region=site.region,
        opts=site.options(after=[entry]),
    )
