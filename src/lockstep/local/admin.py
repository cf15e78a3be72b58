"""An Envoy's admin port: the questions asked there, and what is wrong when it does not answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lockstep.errors import Unavailable
from lockstep.jsontext import from_json
from lockstep.local.envoy import LOOPBACK

Json = dict[str, Any]
Address = tuple[str, int]
_TIMEOUT_S = 5.0
MAX_ANSWER = 64 << 20
"""Bytes. What a gateway of hundreds of models says of itself is a hundredth of it."""
_REJECTED = r"^(http\.gateway\.rds\.lockstep|cluster_manager\.cds)\.update_(rejected|failure)$"


def is_ready(admin_port: int) -> bool:
    """Whether an Envoy answers on this admin port and takes requests."""
    try:
        return get(admin_port, "/ready")[0] == 200
    except Unavailable:
        return False


def read_clusters(admin_port: int) -> dict[str, Address]:
    """Cluster name -> address of the clusters that a gateway has in force, file-given ones only."""
    found = {}
    clusters = dump(admin_port, "dynamic_active_clusters")
    with making_sense(whose(admin_port)):
        for cluster in (config["cluster"] for config in clusters):
            for group in cluster.get("load_assignment", {}).get("endpoints", []):
                for each in group.get("lb_endpoints", []):
                    found[str(cluster["name"])] = address_of(each.get("endpoint", {}))
    return found


def address_of(endpoint: Json) -> Address:
    """Where Envoy sends what is for an endpoint. What is no address and port, such as a pipe, is given in its
    own words, with port 0: it is equal to no address of ours."""
    address = endpoint.get("address", {})
    at = address.get("socket_address", {})
    if "address" in at and "port_value" in at:
        return str(at["address"]), int(at["port_value"])
    return json.dumps(address, sort_keys=True), 0


def rejections(admin_port: int) -> int:
    """How many file updates this gateway has refused since it started."""
    stats = ask(admin_port, f"/stats?format=json&filter={_REJECTED}", "stats")
    with making_sense(whose(admin_port)):
        return sum(int(stat["value"]) for stat in stats if "value" in stat)


def dump(admin_port: int, resource: str) -> list[Json]:
    """One kind of resource from Envoy's /config_dump; empty when it has none."""
    return ask(admin_port, f"/config_dump?resource={resource}", "configs")


def ask(admin_port: int, path: str, key: str) -> list[Json]:
    """The list under `key` of a JSON answer; empty for a 404, which is Envoy's "there is none".

    Raises Unavailable `route.gateway_silent` or `route.gateway_odd`.
    """
    status, body = get(admin_port, path)
    if status == 404:
        return []
    try:
        answer = from_json(body) if status == 200 else None
    except ValueError:
        answer = None
    found = answer.get(key, []) if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        text = body[:200].decode(errors="replace")
        raise odd(whose(admin_port), f"it answers {status} {text!r}")
    return found


def get(admin_port: int, path: str) -> tuple[int, bytes]:
    """Status and body. Raises Unavailable `route.gateway_silent`, `route.gateway_odd` for one without end."""
    connection = http.client.HTTPConnection(LOOPBACK, admin_port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        status, body = response.status, response.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"{whose(admin_port)} does not answer: {error}",
            code="route.gateway_silent",
            remedy="run `./lockstep up`, which starts what is down",
        ) from None
    finally:
        connection.close()
    if len(body) > MAX_ANSWER:
        raise odd(whose(admin_port), f"it answers more than {MAX_ANSWER} bytes to {path}")
    return status, body


def whose(admin_port: int) -> str:
    return f"the gateway on admin port {admin_port}"


@contextmanager
def making_sense(gateway: str, what: str = "its answer") -> Iterator[None]:
    """What does not have the shape that Lockstep and Envoy give it leaves the block as Unavailable
    `route.gateway_odd`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise odd(gateway, f"{what} is none that we know: {type(error).__name__} {error}") from None


def odd(gateway: str, what: str) -> Unavailable:
    return Unavailable(
        f"{gateway} is not as Lockstep made it: {what}",
        code="route.gateway_odd",
        remedy="see who edited its files, then run `./lockstep up` with the recorded table",
    )
