"""Envoy's own configuration: a region's gateway, what the entry point shares with it, how both start.

A gateway's routes and clusters come from files in watched folders, so that weights and
service ports change without a restart and without closing a connection.

Everything listens on 127.0.0.1 only. Hot restart is off (it would share memory between stacks).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.errors import DeadlineExceeded, LockstepError
from lockstep.local.translate import ROUTES

Json = dict[str, Any]
LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 10_000
"""Connections that one Envoy accepts; more are closed."""
MAX_HEAP = 1 << 30
"""Bytes that one Envoy may hold: near it the requests that hold most are reset, not the newest refused."""
HEADERS_SECONDS = 10
REQUEST_SECONDS = 30
"""Time for a client to send its request, so that slow ones do not keep their connections for ever."""
CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

HTTP_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_HEAP = "envoy.resource_monitors.fixed_heap"
_UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def gateway_argv(envoy: Path, bootstrap: Path) -> list[str]:
    """The command of a gateway or entry point: one worker, quiet, strict about unknown fields."""
    options = ["--concurrency", "1", "--log-level", "warn", "--disable-hot-restart"]
    return [str(envoy), "-c", str(bootstrap), *options, "--reject-unknown-dynamic-fields"]


def binary() -> Path:
    """The Envoy of this Python environment."""
    return Path(sys.executable).with_name("envoy")


def validate(envoy: Path, bootstrap: Path, *, deadline_s: float = 30) -> None:
    """Let Envoy itself judge a bootstrap file, without starting anything.

    Raises LockstepError `route.bad_bootstrap` with Envoy's words; DeadlineExceeded `route.validate_slow`.
    """
    words = _judge(envoy, bootstrap, deadline_s)
    if words:
        raise LockstepError(
            f"Envoy refuses {bootstrap.name}: {words}",
            code="route.bad_bootstrap",
            remedy="this is a fault in Lockstep: report it with the message above",
        )


def objection(envoy: Path, routes: Json, clusters: Sequence[Json], *, deadline_s: float = 30) -> str:
    """Why Envoy refuses a route configuration, in its own words; "" when it would take it.

    A running Envoy only counts what it refuses and puts the reason in its log; the same routes in a
    static bootstrap make it say the reason to us.
    """
    bootstrap = base("objection", 0, listener(0, {**manager("gateway", []), "route_config": routes}))
    bootstrap["static_resources"]["clusters"] = list(clusters)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        path = Path(folder) / "bootstrap.json"
        path.write_text(json.dumps(bootstrap))
        return _judge(envoy, path, deadline_s)


def _judge(envoy: Path, bootstrap: Path, deadline_s: float) -> str:
    """What Envoy says against a bootstrap; "" when it takes it."""
    argv = [*gateway_argv(envoy, bootstrap), "--mode", "validate"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(
            f"Envoy did not judge its configuration within {deadline_s:.0f} s",
            code="route.validate_slow",
            remedy="run the command again when the machine is less busy",
        ) from None
    return _last_words(done.stderr) if done.returncode else ""


def _last_words(log: str) -> str:
    """What Envoy's log ends with, without times, source lines and file names."""
    lines = [line for line in log.splitlines() if line and "[warning]" not in line]
    prefix = r"^(\[[^]]*\] ?|error initializing configuration '[^']*': )+"
    return "\n".join(re.sub(prefix, "", line) for line in lines[-5:]) or "it gave no reason"


def gateway_bootstrap(name: str, port: int, admin_port: int, folder: Path) -> Json:
    """Bootstrap of a region's gateway; `folder` holds rds/rds.json and cds/cds.json."""
    http = manager("gateway", [])
    http["rds"] = {"route_config_name": ROUTES, "config_source": watched(folder / "rds" / "rds.json")}
    bootstrap = base(name, admin_port, listener(port, http))
    bootstrap["dynamic_resources"] = {"cds_config": watched(folder / "cds" / "cds.json")}
    return bootstrap


def service_cluster(name: str, host: str, port: int) -> Json:
    """The cluster of one slot's service: one address, no look-up of names."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint_at(host, port)]}],
        },
        "circuit_breakers": breakers(),
        # Shorter than the minute after which a service drops an idle connection: Envoy must drop it first,
        # or a request meets a connection that is just being closed.
        **keep_alive("3s"),
    }


def manager(prefix: str, filters: list[Json]) -> Json:
    """An HTTP connection manager that normalises paths and gives each request an id."""
    return {
        "@type": _MANAGER,
        "stat_prefix": prefix,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": f"{HEADERS_SECONDS}s",
        "request_timeout": f"{REQUEST_SECONDS}s",
        "http_filters": [
            *filters,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{HTTP_FILTERS}.router.v3.Router", "suppress_envoy_headers": True},
            },
        ],
    }


def listener(port: int, http: Json) -> Json:
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": "http",
        "address": _address(LOOPBACK, port),
        # With it, any process of this user could listen beside Envoy and be given some of its connections.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [{"name": name, "typed_config": http}]}],
    }


def base(name: str, admin_port: int, front: Json) -> Json:
    return {
        "node": {"id": name, "cluster": "lockstep"},
        "admin": {"address": _address(LOOPBACK, admin_port)},
        "static_resources": {"listeners": [front]},
        "overload_manager": _overload(),
    }


def _overload() -> Json:
    """What Envoy does before it runs out: gives back what it can, then drops the largest requests."""

    def near(action: str, **threshold: Any) -> Json:
        trigger = {"name": _HEAP, **threshold}
        return {"name": f"envoy.overload_actions.{action}", "triggers": [trigger]}

    return {
        "refresh_interval": "0.1s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
        "resource_monitors": [_heap_limit(), _connection_limit()],
        "actions": [
            near("shrink_heap", threshold={"value": 0.6}),
            near("reset_high_memory_stream", scaled={"scaling_threshold": 0.7, "saturation_threshold": 0.9}),
            near("stop_accepting_requests", threshold={"value": 0.95}),
        ],
    }


def _heap_limit() -> Json:
    kind = "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    return {"name": _HEAP, "typed_config": {"@type": kind, "max_heap_size_bytes": MAX_HEAP}}


def _connection_limit() -> Json:
    name = "envoy.resource_monitors.global_downstream_max_connections"
    kind = "downstream_connections.v3.DownstreamConnectionsConfig"
    config = {
        "@type": f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}",
        "max_active_downstream_connections": MAX_CONNECTIONS,
    }
    return {"name": name, "typed_config": config}


def watched(path: Path) -> Json:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def endpoint_at(host: str, port: int) -> Json:
    return {"endpoint": {"address": _address(host, port)}}


def breakers() -> Json:
    # Envoy allows 3 repeats at a time by default: a region that dies under load needs more.
    return {
        "thresholds": [
            {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096, "max_retries": 1024}
        ]
    }


def keep_alive(idle: str) -> Json:
    options = {
        "@type": f"type.googleapis.com/{_UPSTREAM}",
        "common_http_protocol_options": {"idle_timeout": idle},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {_UPSTREAM: options}}
