"""A region's gateway: Envoy Gateway's objects, behind the region's load balancer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.balancer import Balancer, balancer
from infra.aws.charts import charts
from infra.aws.controllers import MODELS
from infra.aws.endpoints import HTTPS
from infra.aws.kubernetes import Kubernetes
from infra.aws.network import Network
from infra.aws.window import bootstrap

NAME = "lockstep"
SERVICE = "lockstep-gateway"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
CONTAINER_PORT = 10000 + HTTPS
"""Envoy may not bind a port below 1024, so Envoy Gateway moves such listeners up by 10000."""

NODE_PORT = 30443
HEALTH = "healthz"
HEALTH_PATH = "/healthz"
REPLICAS = 3
DRAIN = "60s"


@dataclass(frozen=True)
class Gateway:
    """resource: who waits for it finds a gateway that the load balancer reaches, and that says so."""

    resource: pulumi.Resource
    balancer: Balancer


def proxy_spec(*, pods: bool) -> dict[str, Any]:
    """Envoy's pods, one in each zone, that drain before they end and show what they route. pods: the load
    balancer reaches them by their own addresses; otherwise by a port of the nodes."""
    service: dict[str, Any] = {"name": SERVICE, "type": "ClusterIP" if pods else "NodePort"}
    if not pods:
        ports = [{"port": HTTPS, "nodePort": NODE_PORT, "protocol": "TCP"}]
        service["patch"] = {"type": "StrategicMerge", "value": {"spec": {"ports": ports}}}
        service["externalTrafficPolicy"] = "Cluster"
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "proxy"}},
    }
    return {
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "envoyDeployment": {
                    "replicas": REPLICAS,
                    "pod": {"topologySpreadConstraints": [spread]},
                    "container": {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}},
                },
                "envoyService": service,
                "envoyPDB": {"minAvailable": REPLICAS - 1},
            },
        },
        "bootstrap": bootstrap(),
        "shutdown": {"drainTimeout": DRAIN, "minDrainDuration": "10s"},
    }


def gateway(
    inside: Kubernetes,
    net: Network,
    *,
    scaling_groups: Sequence[pulumi.Input[str]],
    after: Sequence[pulumi.Resource],
) -> Gateway:
    """The gateway and its load balancer. scaling_groups: of the nodes that stand behind the load balancer;
    none where the cluster's own controller registers pods."""
    region, pods = inside.site.region, not scaling_groups
    port = CONTAINER_PORT if pods else NODE_PORT
    front = balancer(inside.site, net, inside.cluster, target="ip" if pods else "instance", port=port)
    where = charts()["gateway"]["namespace"]
    proxy = k8s.apiextensions.CustomResource(
        f"proxy-{region}",
        api_version="gateway.envoyproxy.io/v1alpha1",
        kind="EnvoyProxy",
        metadata={"name": NAME, "namespace": where},
        spec=proxy_spec(pods=pods),
        opts=inside.options(after=after),
    )
    kind = k8s.apiextensions.CustomResource(
        f"class-{region}",
        api_version="gateway.networking.k8s.io/v1",
        kind="GatewayClass",
        metadata={"name": NAME},
        spec={
            "controllerName": CONTROLLER,
            "parametersRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "EnvoyProxy",
                "name": NAME,
                "namespace": where,
            },
        },
        opts=inside.options(after=[proxy]),
    )
    made = k8s.apiextensions.CustomResource(
        f"gateway-{region}",
        api_version="gateway.networking.k8s.io/v1",
        kind="Gateway",
        metadata={"name": NAME, "namespace": MODELS},
        spec={
            "gatewayClassName": NAME,
            "listeners": [
                {
                    "name": "https",
                    "port": HTTPS,
                    "protocol": "HTTP",
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                }
            ],
        },
        opts=inside.options(after=[kind, *front.ready]),
    )
    bound = _bind(inside, front, where, scaling_groups, made)
    return Gateway(_health(inside, [made, *bound]), front)


def _health(inside: Kubernetes, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
    """Envoy itself answers health checks: they ask whether the region can be reached, not how a model is."""
    region = inside.site.region
    answer = k8s.apiextensions.CustomResource(
        f"health-{region}",
        api_version="gateway.envoyproxy.io/v1alpha1",
        kind="HTTPRouteFilter",
        metadata={"name": HEALTH, "namespace": MODELS},
        spec={"directResponse": {"statusCode": 200}},
        opts=inside.options(after=after),
    )
    reference = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": HEALTH}
    return k8s.apiextensions.CustomResource(
        f"health-{region}-route",
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata={"name": HEALTH, "namespace": MODELS},
        spec={
            "parentRefs": [{"name": NAME}],
            "rules": [
                {
                    "matches": [{"path": {"type": "Exact", "value": HEALTH_PATH}}],
                    "filters": [{"type": "ExtensionRef", "extensionRef": reference}],
                }
            ],
        },
        opts=inside.options(after=[answer]),
    )


def _bind(
    inside: Kubernetes,
    front: Balancer,
    where: str,
    scaling_groups: Sequence[pulumi.Input[str]],
    made: pulumi.Resource,
) -> list[pulumi.Resource]:
    """What puts Envoy behind the load balancer."""
    region = inside.site.region
    if scaling_groups:
        return [
            aws.autoscaling.Attachment(
                f"gateway-{region}-nodes",
                autoscaling_group_name=group,
                lb_target_group_arn=front.targets.arn,
                region=region,
                opts=inside.site.options(after=[made]),
            )
            for group in scaling_groups
        ]
    return [
        k8s.apiextensions.CustomResource(
            f"gateway-{region}-pods",
            api_version="eks.amazonaws.com/v1",
            kind="TargetGroupBinding",
            metadata={"name": NAME, "namespace": where},
            spec={
                "targetGroupARN": front.targets.arn,
                "targetType": "ip",
                "serviceRef": {"name": SERVICE, "port": HTTPS},
            },
            opts=inside.options(after=[made, *front.ready]),
        )
    ]
