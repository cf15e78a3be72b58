"""What absent controllers would say of an object, in its status.

The program's readers believe no object, only what a controller says of its newest generation. Here a Gateway,
an HTTPRoute and a Deployment get what Envoy Gateway and the Deployment controller would say, and not more: a
route is accepted only by a gateway that is there, and its references resolve only to what is there. A gateway
gets a proxy's pod, too: what answers at its address is for whoever runs the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lockstep.aws.proxies import LABELS, NAMESPACE
from lockstep.standin.kubernetes.api import MERGE, Api, Kind, Object, UnknownKind

CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
GATEWAYS = "gateway.networking.k8s.io/v1"
FILTERS = "gateway.envoyproxy.io/v1alpha1"
ADDRESS = "10.255.0.1"
"""Of the proxy's pod: the same in each cluster, whose networks have nothing to do with each other."""
MANAGER = "lockstep-standin"


def report(api: Api, kind: Kind, live: Object) -> Object:
    """The object with the status that its controller would give it; any other kind as it is."""
    say = {
        (GATEWAYS, "Gateway"): _gateway,
        (GATEWAYS, "HTTPRoute"): _route,
        ("apps/v1", "Deployment"): _deployment,
    }.get((kind.version, kind.name))
    if say is None:
        return live
    about = live["metadata"]
    path = kind.path(about["namespace"], about["name"])
    return api.request("PATCH", f"{path}/status", None, {"status": say(api, live)}, MERGE).document


def _gateway(api: Api, gateway: Object) -> Object:
    known = _is_there(api, GATEWAYS, "GatewayClass", "", gateway["spec"]["gatewayClassName"])
    about = gateway["metadata"]
    if known and _is_there(api, "v1", "Namespace", "", NAMESPACE):
        _start_proxy(api, about)
    return {"conditions": [_condition(about, kind, known) for kind in ("Accepted", "Programmed")]}


def _start_proxy(api: Api, about: Mapping[str, Any]) -> None:
    """The pod of an Envoy that is ready; without containers that anybody would start."""
    labels = dict(each.split("=") for each in LABELS.split(","))
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"envoy-{about['namespace']}-{about['name']}",
            "namespace": NAMESPACE,
            "labels": {**labels, "gateway.envoyproxy.io/owning-gateway-name": about["name"]},
        },
        "spec": {"containers": [{"name": "envoy", "image": "envoy.invalid/none"}]},
    }
    api.apply(pod, MANAGER, force=True)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _now()}
    said = {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "conditions": [ready]}
    path = api.kind("v1", "Pod").path(NAMESPACE, pod["metadata"]["name"])
    api.request("PATCH", f"{path}/status", None, {"status": said}, MERGE)


def _route(api: Api, route: Object) -> Object:
    about, spec = route["metadata"], route["spec"]
    resolved = all(_is_there(api, *reference) for reference in _references(spec, about["namespace"]))
    return {
        "parents": [
            {
                "controllerName": CONTROLLER,
                "parentRef": parent,
                "conditions": [
                    _condition(about, "Accepted", _has_gateway(api, parent, about["namespace"])),
                    _condition(about, "ResolvedRefs", resolved),
                ],
            }
            for parent in spec.get("parentRefs") or []
        ]
    }


def _has_gateway(api: Api, parent: Mapping[str, Any], namespace: str) -> bool:
    return _is_there(api, GATEWAYS, "Gateway", parent.get("namespace") or namespace, parent["name"])


def _references(spec: Mapping[str, Any], namespace: str) -> Iterator[tuple[str, str, str, str]]:
    """Version, kind, namespace and name of all that a route sends requests to, or through."""
    for rule in spec.get("rules") or []:
        backends = list(rule.get("backendRefs") or [])
        for each in rule.get("filters") or []:
            if each["type"] == "RequestMirror":
                backends.append(each["requestMirror"]["backendRef"])
            if each["type"] == "ExtensionRef":
                yield FILTERS, each["extensionRef"]["kind"], namespace, each["extensionRef"]["name"]
        for backend in backends:
            yield "v1", "Service", backend.get("namespace") or namespace, backend["name"]


def _deployment(api: Api, deployment: Object) -> Object:
    """As when all pods of the newest template have become ready; the judge has tried such a pod before."""
    wanted = deployment["spec"].get("replicas", 1)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    generation = deployment["metadata"]["generation"]
    return {"observedGeneration": generation, "conditions": [condition], **dict.fromkeys(counts, wanted)}


def _is_there(api: Api, version: str, kind: str, namespace: str, name: str) -> bool:
    try:
        return api.get(api.kind(version, kind), namespace, name) is not None
    except UnknownKind:
        return False


def _condition(about: Mapping[str, Any], kind: str, holds: bool) -> Object:
    return {
        "type": kind,
        "status": str(holds),
        "reason": kind if holds else "Invalid",
        "message": "",
        "observedGeneration": about["generation"],
        "lastTransitionTime": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
