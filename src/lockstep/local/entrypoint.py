"""The entry point: one Envoy in front of every region's gateway, going round them evenly.

Nothing is configured per model; three mechanisms keep a request from being lost:
1. A gateway is asked `/healthz` each second and gets no traffic while it does not answer 200: it is
   down, or serves no model at all.
2. A request that a gateway refused, dropped or answered 503 is sent to another gateway, never the same
   one again (`previous_hosts`). A prediction changes nothing outside its answer, so a repeat is safe;
   once an answer has begun, Envoy does not repeat the request.
3. A gateway that does not serve the model (withdrawn, or not declared there) says so in the header
   `x-lockstep-unrouted`; that too is asked elsewhere. So a withdrawal holds at once, without waiting for
   a health check, and a model that no region serves gets the gateways' 404.
For a repeat the request must be whole, so the entry point buffers bodies, up to MAX_BODY bytes.
After a connection failure a gateway is set aside until it passes a health check, so that the following
requests do not each pay for a repeat. With no gateway healthy all are tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.local.envoy import (
    HTTP_FILTERS,
    base,
    breakers,
    endpoint_at,
    keep_alive,
    listener,
    manager,
    watched,
)
from lockstep.local.translate import HEALTH_PATH, UNROUTED_HEADER

Json = dict[str, Any]
MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request body that the entry point takes; more is answered 413."""
ENTRY_CLUSTER = "gateways"
ENTRY_TIMEOUT_S = 75


def entry_bootstrap(name: str, port: int, admin_port: int, folder: Path) -> Json:
    """Bootstrap of the entry point; `folder` holds eds/eds.json, the regions' gateways."""
    buffer = {
        "name": "envoy.filters.http.buffer",
        "typed_config": {"@type": f"{HTTP_FILTERS}.buffer.v3.Buffer", "max_request_bytes": MAX_BODY},
    }
    http = manager("entry", [buffer])
    # The edge: what a client says in x-envoy-* headers is dropped, what it says in x-request-id is kept.
    http |= {"use_remote_address": True, "preserve_external_request_id": True}
    http["route_config"] = {
        "name": "entry",
        "virtual_hosts": [{"name": "entry", "domains": ["*"], "routes": _entry_routes()}],
    }
    bootstrap = base(name, admin_port, listener(port, http))
    bootstrap["static_resources"]["clusters"] = [_entry_cluster(folder)]
    return bootstrap


def gateway_endpoints(gateways: Mapping[str, tuple[str, int]]) -> Json:
    """The entry point's load assignment: region -> (host, port) of its gateway."""
    endpoints = []
    for region, (host, port) in sorted(gateways.items()):
        endpoint = endpoint_at(host, port)
        endpoint["endpoint"]["hostname"] = region
        endpoints.append(endpoint)
    return {"cluster_name": ENTRY_CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]}


def _entry_routes() -> list[Json]:
    retry = {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes,retriable-headers",
        "retriable_status_codes": [503],
        "retriable_headers": [{"name": UNROUTED_HEADER, "present_match": True}],
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
    }
    forward = {"cluster": ENTRY_CLUSTER, "timeout": f"{ENTRY_TIMEOUT_S}s", "retry_policy": retry}
    body = '{"error": {"code": "route.unknown", "message": "models are served under /v1/models/<model>/"}}'
    return [
        {"match": {"path": HEALTH_PATH}, "direct_response": {"status": 200}},
        {
            "match": {"prefix": "/v1/models/"},
            "route": forward,
            "request_body_buffer_limit": MAX_BODY,
            "request_headers_to_remove": ["x-envoy-external-address"],
        },
        {"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": body}}},
    ]


def _entry_cluster(folder: Path) -> Json:
    return {
        "name": ENTRY_CLUSTER,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": watched(folder / "eds" / "eds.json")},
        "connect_timeout": "0.5s",
        "lb_policy": "ROUND_ROBIN",
        # Panic (send to all) only when not one gateway is healthy. By default Envoy may also sit on a
        # gateway's recovery for a second; if the other one dies in it, requests are lost (tried).
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "http_health_check": {"path": HEALTH_PATH},
            }
        ],
        # Only what this side sees (refused, reset) sets a gateway aside; a 5xx is about one model.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 1,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "base_ejection_time": "2s",
            "max_ejection_percent": 50,
        },
        "circuit_breakers": breakers(),
        **keep_alive("60s"),
    }
