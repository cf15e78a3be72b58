"""Our gateway and every form of a route, as the program declares them, as plain objects for any judge."""

from __future__ import annotations

from typing import Any

from infra.aws import gateway
from infra.aws.route import answering
from lockstep.aws.proxies import NAMESPACE
from lockstep.local.httproute import http_route
from lockstep.table import SLOTS, Cell

Json = dict[str, Any]
REGION, MODELS = "eu-central-1", "models"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CELLS: dict[str, Cell] = {
    "blue-only": {"blue": A, "green": None, "green_weight": 0},
    "green-only": {"blue": None, "green": B, "green_weight": 100},
    "split": {"blue": A, "green": B, "green_weight": 10},
    "tenths": {"blue": A, "green": B, "green_weight": 12.5},
    "waiting": {"blue": A, "green": B, "green_weight": 0},
    "whole": {"blue": A, "green": B, "green_weight": 100},
    "withdrawn": {"withdraw": A},
    "vacant": {"blue": None, "green": None, "green_weight": 0},
}
"""Model -> its cell: every form of a route."""
HALF = "half"
"""A model whose green has no service."""


def written(model: str, cell: Cell, **options: Any) -> Json:
    route = answering(http_route(model, REGION, cell, intent=7, record="sha256:" + "e" * 64, **options))
    route["metadata"]["namespace"] = MODELS
    return route


def all_routes() -> dict[str, Json]:
    found = {model: written(model, cell) for model, cell in CELLS.items()}
    found["shadow"] = written("shadow", CELLS["waiting"], mirror="green")
    return found


def health() -> Json:
    reference = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "healthz"}
    rule = {
        "matches": [{"path": {"type": "Exact", "value": "/healthz"}}],
        "filters": [{"type": "ExtensionRef", "extensionRef": reference}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "healthz", "namespace": MODELS},
        "spec": {"parentRefs": [{"name": gateway.NAME}], "rules": [rule]},
    }


def direct(name: str, status: int) -> Json:
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "HTTPRouteFilter",
        "metadata": {"name": name, "namespace": MODELS},
        "spec": {"directResponse": {"statusCode": status}},
    }


def front() -> list[Json]:
    """Proxy, class and gateway as the program declares them."""
    proxy = {
        "group": "gateway.envoyproxy.io",
        "kind": "EnvoyProxy",
        "name": gateway.NAME,
        "namespace": NAMESPACE,
    }
    listener = {"name": "https", "port": 443, "protocol": "HTTP"}
    return [
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in (MODELS, NAMESPACE)
        ),
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": {"name": gateway.NAME, "namespace": NAMESPACE},
            "spec": gateway.proxy_spec(pods=True),
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": gateway.NAME},
            "spec": {"controllerName": gateway.CONTROLLER, "parametersRef": proxy},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": gateway.NAME, "namespace": MODELS},
            "spec": {"gatewayClassName": gateway.NAME, "listeners": [listener]},
        },
    ]


def services() -> list[Json]:
    names = [f"{model}-{REGION}-{slot}" for model in [*CELLS, "shadow"] for slot in SLOTS]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": MODELS},
            "spec": {
                "clusterIP": f"10.96.0.{number}",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            },
        }
        for number, name in enumerate([*names, f"{HALF}-{REGION}-blue"], 1)
    ]
