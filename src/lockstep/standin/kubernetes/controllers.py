"""The part of absent controllers that an order of deletion depends on.

A real cluster's controllers put finalizers on what they look after, and take them away again. If the
controller goes first, its objects never end, and neither does the update. Here nothing puts finalizers, so
the removal of a controller is refused while its objects are there; what garbage collection and the
namespace controller would finish is finished here; and a load balancer has a name that nothing answers to.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from lockstep.errors import DeadlineExceeded, LockstepError
from lockstep.standin.kubernetes.api import MERGE, Api, Kind, Object, Refused, UnknownKind

LOOKED_AFTER = {
    "gateway-helm": (
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("gateway.networking.k8s.io/v1", "GatewayClass"),
    ),
    "karpenter": (
        ("karpenter.sh/v1", "NodeClaim"),
        ("karpenter.sh/v1", "NodePool"),
        ("karpenter.k8s.aws/v1", "EC2NodeClass"),
    ),
    "keda": (("keda.sh/v1alpha1", "ScaledObject"), ("keda.sh/v1alpha1", "ScaledJob")),
    "aws-load-balancer-controller": (("elbv2.k8s.aws/v1beta1", "TargetGroupBinding"),),
}
"""Chart -> the kinds whose objects its controller must still be there to end."""
NEEDED_BY = {
    "GatewayClass": ("gateway.networking.k8s.io/v1", "Gateway", ("spec", "gatewayClassName")),
    "EC2NodeClass": ("karpenter.sh/v1", "NodePool", ("spec", "template", "spec", "nodeClassRef", "name")),
    "NodeClass": ("karpenter.sh/v1", "NodePool", ("spec", "template", "spec", "nodeClassRef", "name")),
}
"""Kind -> who may still name an object of it: its controller keeps it until nobody does."""
SERVERS_OWN = ("customresourcecleanup.apiextensions.k8s.io",)
"""Finalizers that the API server itself takes away."""
OURS_TO_TAKE = ("foregroundDeletion", "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection")
GONE_S = 30.0


WAITS = "pulumi.com/waitFor"
MANAGER = "pulumi-kubernetes-"
"""How the name of each resource's field manager begins; see objects.field_manager."""


def give_address(api: Api, kind: Kind, live: Object, region: str) -> Object:
    """A load balancer's name in the status of what gets one, where the provider waits for it: a Service of
    that type, and a Gateway whose annotation says to wait. Anything else as it is."""
    about, spec = live["metadata"], live.get("spec") or {}
    if kind.name == "Service" and spec.get("type") == "LoadBalancer":
        host = _host(about, region)
        status: Object = {"loadBalancer": {"ingress": [{"hostname": host}]}}
    elif kind.name == "Gateway" and WAITS in (about.get("annotations") or {}):
        status = {"addresses": [{"type": "Hostname", "value": _host(about, region)}]}
    else:
        return live
    path = kind.path(about["namespace"], about["name"])
    return api.request("PATCH", f"{path}/status", None, {"status": status}, MERGE).document


def _host(about: Mapping[str, Any], region: str) -> str:
    """The form of a network load balancer's name in AWS; the same for the same object."""
    digest = hashlib.sha256(f"{region}/{about['namespace']}/{about['name']}".encode()).hexdigest()
    short = f"{about['namespace'][:8]}-{about['name'][:8]}".replace(".", "-")
    return f"k8s-{short}-{digest[:10]}-{digest[10:26]}.elb.{region}.amazonaws.com"


def require_no_orphans(api: Api, chart: str, release: str) -> None:
    """Raises LockstepError `kubernetes.orphans` where a chart goes before what its controller looks after."""
    left = []
    for version, kind in LOOKED_AFTER.get(chart, ()):
        try:
            found = api.all(api.kind(version, kind))
        except UnknownKind:
            continue
        left += [f"{kind} {_shown(each)}" for each in found]
    if left:
        raise LockstepError(
            f"release {release} of {chart} cannot go: without it these never end: {', '.join(left)}",
            code="kubernetes.orphans",
            remedy="let these depend on the release, so that they are deleted before it",
        )


def require_unused(api: Api, kind: str, name: str) -> None:
    """Raises LockstepError `kubernetes.in_use` for an object that another one still names."""
    if kind not in NEEDED_BY:
        return
    version, user, path = NEEDED_BY[kind]
    try:
        users = [each for each in api.all(api.kind(version, user)) if _at(each, path) == name]
    except UnknownKind:
        return
    if users:
        shown = ", ".join(f"{user} {_shown(each)}" for each in users)
        raise LockstepError(
            f"{kind} {name} cannot go while it is named by {shown}",
            code="kubernetes.in_use",
            remedy=f"let the {user} depend on the {kind}, so that it is deleted before it",
        )


def remove(api: Api, kind: Kind, namespace: str, name: str) -> None:
    """Delete an object in the foreground, as the provider does, and wait until it is gone.

    Raises LockstepError `kubernetes.kept` for one with a finalizer that nobody here takes away,
    DeadlineExceeded `kubernetes.not_gone` where the server does not get on.
    """
    require_unused(api, kind.name, name)
    path = kind.path(namespace, name)
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
    try:
        api.request("DELETE", path, body=body)
    except Refused as refusal:
        if refusal.status == 404:
            return
        raise
    deadline = time.monotonic() + GONE_S
    while (live := api.get(kind, namespace, name)) is not None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"{kind.name} {name} is still there after {GONE_S:.0f} s",
                code="kubernetes.not_gone",
                remedy="look into the API server's log",
            )
        _play_controllers(api, kind, path, live)
        time.sleep(0.02)


def clear(api: Api) -> None:
    """Remove every object that a provider has applied, as if their control plane had gone."""
    namespaces = api.kind("v1", "Namespace")
    for each in api.all(namespaces):
        if _is_applied(each):
            remove(api, namespaces, "", each["metadata"]["name"])
    for version in api.groups():
        for kind in api.kinds(version).values():
            for thing in filter(_is_applied, api.all(kind) if kind.kept else ()):
                about = thing["metadata"]
                _unless_gone(api, "DELETE", kind.path(about.get("namespace", ""), about["name"]))


def _is_applied(thing: Mapping[str, Any]) -> bool:
    managers = thing["metadata"].get("managedFields") or ()
    return any(str(each.get("manager")).startswith(MANAGER) for each in managers)


def _play_controllers(api: Api, kind: Kind, path: str, live: Mapping[str, Any]) -> None:
    if (kind.version, kind.name) == ("v1", "Namespace"):
        _empty(api, live["metadata"]["name"])
        body = {**live, "spec": {**live.get("spec", {}), "finalizers": []}}
        _unless_gone(api, "PUT", f"{path}/finalize", body)
    finalizers = live["metadata"].get("finalizers") or []
    kept = [each for each in finalizers if each not in OURS_TO_TAKE]
    if strange := [each for each in kept if each not in SERVERS_OWN]:
        raise LockstepError(
            f"{kind.name} {live['metadata']['name']} would never end: nobody takes away {', '.join(strange)}",
            code="kubernetes.kept",
            remedy="let what takes this finalizer away be deleted after it",
        )
    if kept != finalizers:
        _unless_gone(api, "PATCH", path, {"metadata": {"finalizers": kept}}, MERGE)


def _empty(api: Api, namespace: str) -> None:
    """Delete what a namespace holds; the namespace controller would."""
    for version in api.groups():
        for kind in api.kinds(version).values():
            if kind.namespaced and kind.kept:
                for thing in api.all(kind, namespace):
                    _unless_gone(api, "DELETE", kind.path(namespace, thing["metadata"]["name"]))


def _unless_gone(api: Api, method: str, path: str, body: object = None, content_type: str = "") -> None:
    try:
        api.request(method, path, None, body, content_type or "application/json")
    except Refused as refusal:
        if refusal.status not in (404, 409):  # gone, or changed by somebody in between: the next look sees
            raise


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _shown(thing: Mapping[str, Any]) -> str:
    about = thing["metadata"]
    return f"{about['namespace']}/{about['name']}" if about.get("namespace") else str(about["name"])
