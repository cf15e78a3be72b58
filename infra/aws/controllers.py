"""The controllers of a cluster, by Helm: Envoy Gateway, KEDA, and what the capacity needs.

Charts, versions and namespaces stand in charts.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.aws.charts import charts
from infra.aws.kubernetes import Kubernetes

MODELS = "models"
"""The namespace of the models' services and routes."""

POD_SECURITY = "pod-security.kubernetes.io"


def namespace(
    inside: Kubernetes, name: str, level: str, *, after: Sequence[pulumi.Resource] = ()
) -> k8s.core.v1.Namespace:
    """A namespace whose pods must keep to a level of the Pod Security Standards."""
    return k8s.core.v1.Namespace(
        f"namespace-{inside.site.region}-{name}",
        metadata={
            "name": name,
            "labels": {
                f"{POD_SECURITY}/enforce": level,
                f"{POD_SECURITY}/warn": "restricted",
                f"{POD_SECURITY}/audit": "restricted",
            },
        },
        opts=inside.options(after=after),
    )


def models_namespace(inside: Kubernetes) -> list[pulumi.Resource]:
    """Where models run: restricted pods, and no traffic in or out but what another policy allows."""
    made = namespace(inside, MODELS, "restricted")
    closed = k8s.networking.v1.NetworkPolicy(
        f"closed-{inside.site.region}-{MODELS}",
        metadata={"name": "closed", "namespace": MODELS},
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
        opts=inside.options(after=[made]),
    )
    return [made, closed]


def release(
    inside: Kubernetes,
    name: str,
    values: Mapping[str, Any],
    *,
    after: Sequence[pulumi.Resource] = (),
    **more: Any,
) -> k8s.helm.v3.Release:
    """One chart, without its CRDs. It is up when this returns, or it is taken back and the update fails."""
    chart = charts()[name]
    repository = chart.get("repository")
    return k8s.helm.v3.Release(
        f"{name}-{inside.site.region}",
        name=name,
        chart=chart["chart"],
        version=chart["version"],
        namespace=chart["namespace"],
        repository_opts={"repo": repository} if repository else None,
        values=dict(values),
        skip_crds=True,
        atomic=True,
        timeout=chart["wait"],
        opts=inside.options(after=after, **more),
    )


def controllers(inside: Kubernetes, *, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
    """Envoy Gateway and KEDA, each in a namespace of its own."""
    made: list[pulumi.Resource] = []
    values: dict[str, dict[str, Any]] = {
        "gateway": {"crds": {"enabled": False}, "deployment": {"replicas": 2}},
        "keda": {
            "crds": {"install": False},
            "operator": {"replicaCount": 2},
            "metricsServer": {"replicaCount": 2},
        },
    }
    for name, value in values.items():
        home = namespace(inside, charts()[name]["namespace"], "baseline", after=after)
        made += [home, release(inside, name, value, after=[home, *after])]
    return made
