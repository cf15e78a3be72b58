"""What a running gateway really does, asked from its admin port; never from the files it was given.

Weights are rebuilt from the weighted clusters in force. The routes' metadata says only which release
each slot holds and which intent record changed the cell; where its weight differs from the one in
force, both are in the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.errors import DeadlineExceeded, LockstepError
from lockstep.local.admin import (
    Address,
    address_of,
    ask,
    dump,
    making_sense,
    odd,
    read_clusters,
    rejections,
    whose,
)
from lockstep.local.httproute import FULL, backend_name, cell_in_force, cell_of, http_route, route_name
from lockstep.local.translate import ROUTES
from lockstep.table import SLOTS, Cell, Table

Json = dict[str, Any]
OWN_ROUTES = ("health", "unknown")
_POLL_S = 0.002


@dataclass(frozen=True)
class LiveCell:
    """One model's cell as a gateway has it.

    cell: with the weight in force; declared: the cell as the route was written (equal to `cell` unless
    somebody edited the gateway's files); intent: index of the record behind it; addresses: where each
    slot's requests go.
    """

    cell: Cell
    declared: Cell
    intent: int
    addresses: dict[str, Address] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return self.cell == self.declared


@dataclass(frozen=True)
class Live:
    """A gateway's routes in force.

    version: of the route configuration; since: when it came into force (RFC 3339); others: names of
    routes in force that stand for no cell (a segment of requests, or somebody's edit of the files).
    """

    version: str
    since: str
    cells: dict[str, dict[str, LiveCell]]
    others: tuple[str, ...] = ()

    def table(self) -> Table:
        return {
            model: {region: live.cell for region, live in row.items()} for model, row in self.cells.items()
        }

    def as_routes(self) -> dict[str, Json]:
        """Name -> the HTTPRoute that says what is in force. Raises UsageError `route.weight` for weights
        that no table can hold."""
        return {
            route_name(model, region): http_route(model, region, live.cell, intent=live.intent)
            for model, row in self.cells.items()
            for region, live in row.items()
        }


def read_live(admin_port: int) -> Live:
    """The cells that a gateway has in force.

    Raises Unavailable `route.gateway_silent` when it does not answer, `route.gateway_odd` when what it
    answers is not a configuration that Lockstep could have made.
    """
    configs = dump(admin_port, "dynamic_route_configs")
    gateway = whose(admin_port)
    with making_sense(gateway):
        if len(configs) != 1 or configs[0].get("route_config", {}).get("name") != ROUTES:
            raise odd(gateway, f"it has {len(configs)} route configurations in force")
    cells, others = cells_of(configs[0]["route_config"], read_clusters(admin_port), gateway)
    return Live(
        version=str(configs[0].get("version_info", "")),
        since=str(configs[0].get("last_updated", "")),
        cells=cells,
        others=others,
    )


def cells_of(
    config: Json, addresses: Mapping[str, Address], gateway: str = "the gateway"
) -> tuple[dict[str, dict[str, LiveCell]], tuple[str, ...]]:
    """Model -> region -> cell of a RouteConfiguration, and the routes that stand for no cell. Pure.

    addresses: of the clusters in force; gateway: whose, for the message. Raises Unavailable
    `route.gateway_odd`.
    """
    cells: dict[str, dict[str, LiveCell]] = {}
    others = []
    with making_sense(gateway):
        for route in (route for host in config.get("virtual_hosts", []) for route in host.get("routes", [])):
            name = str(route.get("name", "(unnamed)"))
            note = route.get("metadata", {}).get("filter_metadata", {}).get(ROUTES, {})
            if note.get("role") != "cell":
                others += [name] if name not in OWN_ROUTES or "route" in route else []
                continue
            with making_sense(gateway, f"route {name}"):
                model, region, cell = _cell(route, note, addresses)
            if region in cells.setdefault(model, {}):
                raise odd(gateway, f"two routes claim {model}/{region}")
            cells[model][region] = cell
    return cells, tuple(others)


def read_regions(admin_port: int) -> dict[str, bool]:
    """Region -> whether the entry point sends it traffic now."""
    regions = {}
    for host in _hosts(admin_port):
        with making_sense(whose(admin_port)):
            health = host.get("health_status", {})
            bad = health.get("failed_active_health_check") or health.get("failed_outlier_check")
            regions[str(host.get("hostname", ""))] = not bad
    return regions


def read_gateways(admin_port: int) -> dict[str, Address]:
    """Region -> address that an entry point sends its traffic to."""
    found = {}
    for host in _hosts(admin_port):
        with making_sense(whose(admin_port)):
            found[str(host.get("hostname", ""))] = address_of(host)
    return found


def _hosts(admin_port: int) -> list[Json]:
    clusters = ask(admin_port, "/clusters?format=json", "cluster_statuses")
    with making_sense(whose(admin_port)):
        return [host for cluster in clusters for host in cluster.get("host_statuses", [])]


def wait_in_force(admin_port: int, version: str, *, deadline_s: float, rejected_before: int) -> None:
    """Wait until the gateway routes by `version`.

    rejected_before: `rejections()` before the file was written. Raises LockstepError `route.rejected`
    at once when the gateway refuses the change, DeadlineExceeded `route.not_in_force` after
    `deadline_s` seconds, Unavailable `route.gateway_silent`.
    """

    def in_force() -> bool:
        return any(
            config.get("version_info") == version for config in dump(admin_port, "dynamic_route_configs")
        )

    wait_until(admin_port, in_force, f"routes {version}", deadline_s, rejected_before)


def wait_clusters(
    admin_port: int, wanted: dict[str, Address], *, deadline_s: float, rejected_before: int
) -> None:
    """Wait until every wanted cluster is in force at its address. Raises as `wait_in_force` does."""

    def in_force() -> bool:
        return wanted.items() <= read_clusters(admin_port).items()

    what = f"services {', '.join(sorted(wanted))}"
    wait_until(admin_port, in_force, what, deadline_s, rejected_before)


def wait_until(
    admin_port: int, in_force: Callable[[], bool], what: str, deadline_s: float, rejected_before: int
) -> None:
    """Wait until a question about the gateway is answered with yes. Raises as `wait_in_force` does."""
    until = time.monotonic() + deadline_s
    while not in_force():
        if rejections(admin_port) > rejected_before:
            raise LockstepError(
                f"{whose(admin_port)} refused {what}",
                code="route.rejected",
                remedy="mend the route by what the gateway says; the former routes stay in force",
            )
        if time.monotonic() > until:
            raise DeadlineExceeded(
                f"{what}: not in force after {deadline_s:.0f} s on admin port {admin_port}",
                code="route.not_in_force",
                remedy="look at the gateway's log and run `./lockstep up` again",
            )
        time.sleep(_POLL_S)


def _cell(route: Json, note: Json, addresses: Mapping[str, Address]) -> tuple[str, str, LiveCell]:
    """Model, region and live cell of one Envoy route; for `making_sense`, where it is none of ours."""
    model, region = str(note["model"]), str(note["region"])
    names = {backend_name(model, region, slot): slot for slot in SLOTS}
    weights = {names[name]: weight for name, weight in _weights(route).items()}
    said = [str(note[key]) for key in ("blue", "green", "withdraw")]
    declared = cell_of(said[0], said[1], said[2], int(note["weight"]))
    cell = LiveCell(
        cell=cell_in_force(declared, weights),
        declared=declared,
        intent=int(note["intent"]),
        addresses={slot: addresses[name] for name, slot in names.items() if name in addresses},
    )
    return model, region, cell


def _weights(route: Json) -> dict[str, int]:
    """Cluster -> weight of a route. Envoy takes their sum as the whole and ignores `total_weight`."""
    action = route.get("route", {})
    if "cluster" in action:
        return {str(action["cluster"]): FULL}
    clusters = action.get("weighted_clusters", {}).get("clusters", [])
    return {str(cluster["name"]): int(cluster.get("weight", 0)) for cluster in clusters}
