"""The Kubernetes provider of one region, built from the region's cluster.

Its kubeconfig holds no token: each run asks for one with its own credentials, so none is in the state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.aws.cluster import Cluster
from infra.aws.site import Site
from infra.config import standing_in

EXEC_API = "client.authentication.k8s.io/v1beta1"


@dataclass(frozen=True)
class Kubernetes:
    """The inside of a region's cluster."""

    site: Site
    provider: k8s.Provider
    cluster: Cluster

    def options(self, *, after: Sequence[pulumi.Resource] = (), **more: Any) -> pulumi.ResourceOptions:
        """The options of every object in the cluster: gone with the cluster, unless they say otherwise."""
        return pulumi.ResourceOptions(
            provider=self.provider,
            parent=self.site.component,
            depends_on=[*self.cluster.ready, *after],
            **{"deleted_with": self.cluster.resource, **more},
        )


def kubeconfig(name: str, region: str, endpoint: str, certificate: str) -> str:
    """One cluster, one user, and a command that gets the user's token."""
    ask = ["eks", "get-token", "--cluster-name", name, "--region", region, "--output", "json"]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {"server": endpoint, "certificate-authority-data": certificate},
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [
                {
                    "name": name,
                    "user": {
                        "exec": {
                            "apiVersion": EXEC_API,
                            "command": "aws",
                            "args": ask,
                            "interactiveMode": "Never",
                        }
                    },
                }
            ],
        }
    )


def say_unvalidated(site: Site, endpoint: pulumi.Output[str]) -> pulumi.Output[bool]:
    """In a preview: that nobody validates what is declared for a cluster that is not there. The stand-in for
    Kubernetes names each object itself. Whether it was said."""
    return pulumi.Output.from_input(unvalidated(site, endpoint))


async def unvalidated(site: Site, endpoint: pulumi.Output[str]) -> bool:
    if not pulumi.runtime.is_dry_run() or standing_in() or await endpoint.is_known():
        return False
    pulumi.log.warn(
        f"the cluster of {site.region} does not exist yet: none of the objects declared for it was validated",
        resource=site.component,
    )
    return True


def kubernetes(site: Site, made: Cluster) -> Kubernetes:
    """The provider. A cluster's identity is its ARN and when it was made: a cluster that was replaced under
    its old name is another one, whose objects are not there yet; one with a new certificate is the same.

    A region that does not answer is skipped with a warning instead of failing the whole update, so that a
    rollback reaches the healthy ones. The receipt reads the live weights, so nothing is taken for done.
    """
    cluster = made.resource
    say_unvalidated(site, cluster.endpoint)
    config = pulumi.Output.all(cluster.endpoint, cluster.certificate_authority.data).apply(
        lambda parts: kubeconfig(site.cluster, site.region, parts[0], parts[1])
    )
    provider = k8s.Provider(
        f"kubernetes-{site.region}",
        cluster_identifier=pulumi.Output.concat(cluster.arn, " of ", cluster.created_at),
        kubeconfig=config,
        enable_server_side_apply=True,
        skip_update_unreachable=True,
        opts=pulumi.ResourceOptions(parent=site.component, depends_on=list(made.ready)),
    )
    return Kubernetes(site, provider, made)
