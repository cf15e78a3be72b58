"""What an Envoy does beyond its weights: each edit of its files that sends a request elsewhere is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.files import write_atomic
from lockstep.local import entrypoint, envoy, gateway, inforce, live
from lockstep.local.httproute import http_route
from lockstep.table import Cell
from tests.support.fleet import MODEL, A, Fleet, both, free_port

Json = dict[str, Any]


def strays(fleet: Fleet, region: str) -> list[str]:
    port, admin = fleet.ports[region], fleet.admins[region]
    return inforce.gateway_strays(
        admin, fleet.folder(region), name=region, port=port, services=fleet.services
    )


def entry_strays(fleet: Fleet, *regions: str) -> list[str]:
    gateways = {region: ("127.0.0.1", fleet.ports[region]) for region in regions}
    port, admin = fleet.ports["entry"], fleet.admins["entry"]
    return inforce.entry_strays(admin, fleet.folder("entry"), name="entry", port=port, gateways=gateways)


def edit(fleet: Fleet, region: str, part: str, change: Callable[[Json], None]) -> None:
    """Put an edited file in force, as somebody would who renames his own over ours."""
    path = fleet.folder(region) / part / f"{part}.json"
    document = json.loads(path.read_text())
    change(document["resources"][0])
    document["version_info"] = "edited"
    write_atomic(path, json.dumps(document).encode())
    if part == "rds":
        live.wait_in_force(fleet.admins[region], "edited", deadline_s=10, rejected_before=0)


@pytest.mark.parametrize(
    "cell", [both(0), both(12.5), both(100), {"blue": A, "green": None, "green_weight": 0}, {"withdraw": A}]
)
def test_what_lockstep_wrote_is_as_it_should_be(fleet: Fleet, region: str, cell: Cell) -> None:
    assert strays(fleet, region) == []
    fleet.route(region, cell, intent=7)
    assert strays(fleet, region) == []
    assert strays(fleet, region) == []


def test_a_weight_alone_is_for_the_reader_of_weights(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(5))

    def half(config: Json) -> None:
        for cluster in config["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]["clusters"]:
            cluster["weight"] = 500

    edit(fleet, region, "rds", half)
    assert strays(fleet, region) == []
    assert not fleet.live(region).agrees


def first(config: Json) -> Json:
    route: Json = config["virtual_hosts"][0]["routes"][0]
    return route


EDITS: dict[str, Callable[[Json], Any]] = {
    "a mirror": lambda config: first(config)["route"].update(
        request_mirror_policies=[{"cluster": f"{MODEL}-local-a-green"}]
    ),
    "a header": lambda config: first(config).update(
        request_headers_to_add=[{"header": {"key": "x-stolen", "value": "1"}}]
    ),
    "another path": lambda config: first(config)["match"].update(path_separated_prefix="/v1"),
    "no rewrite": lambda config: first(config)["route"].pop("regex_rewrite"),
    "another timeout": lambda config: first(config)["route"].update(timeout="3600s"),
    "another record": lambda config: first(config)["response_headers_to_add"][0]["header"].update(value="9"),
    "a second host": lambda config: config["virtual_hosts"].append(
        {"name": "thief", "domains": ["thief.example"], "routes": []}
    ),
    "another order": lambda config: config["virtual_hosts"][0]["routes"].reverse(),
    "no unknown path": lambda config: config["virtual_hosts"][0]["routes"].pop(),
    "a header for all": lambda config: config.update(request_headers_to_remove=["x-request-id"]),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edited_route_is_named_and_the_next_route_mends_it(
    fleet: Fleet, region: str, change: Callable[[Json], Any]
) -> None:
    fleet.route(region, both(5))
    edit(fleet, region, "rds", change)
    assert strays(fleet, region)
    fleet.route(region, both(5))
    assert strays(fleet, region) == []


def test_a_strangers_address_behind_a_slot_is_seen_and_the_next_route_mends_it(
    fleet: Fleet, region: str
) -> None:
    fleet.route(region, both(0))
    ours, stranger = fleet.live(region).addresses["blue"], fleet.backend("stranger")

    def elsewhere(cluster: Json) -> None:
        group = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        group[0]["endpoint"]["address"]["socket_address"]["port_value"] = stranger

    edit(fleet, region, "cds", elsewhere)
    name = f"{MODEL}-local-a-blue"
    live.wait_clusters(
        fleet.admins[region], {name: ("127.0.0.1", stranger)}, deadline_s=10, rejected_before=0
    )
    assert fleet.live(region).addresses["blue"] == ("127.0.0.1", stranger)
    assert strays(fleet, region) == [f"service {name} goes to 127.0.0.1:{stranger}"]
    fleet.route(region, both(0))
    assert fleet.live(region).addresses["blue"] == ours


def test_a_second_address_in_a_slot_is_named(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(0))
    stranger = fleet.backend("stranger")

    def both_of_them(cluster: Json) -> None:
        group = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        group.append(envoy.endpoint_at("127.0.0.1", stranger))

    edit(fleet, region, "cds", both_of_them)
    name = f"{MODEL}-local-a-blue"
    live.wait_clusters(
        fleet.admins[region], {name: ("127.0.0.1", stranger)}, deadline_s=10, rejected_before=0
    )
    assert strays(fleet, region) == [f"service {name} goes to 127.0.0.1:{stranger}"]
    fleet.route(region, both(0))
    assert strays(fleet, region) == []


def test_another_listener_is_named(fleet: Fleet) -> None:
    fleet.ports["local-a"], fleet.admins["local-a"] = free_port(), free_port()
    bootstrap = fleet.render("local-a")
    document = json.loads(bootstrap.read_text())
    document["static_resources"]["listeners"].append(
        {**envoy.listener(free_port(), envoy.manager("gateway", []) | {"route_config": {}}), "name": "thief"}
    )
    bootstrap.write_text(json.dumps(document))
    fleet.start("local-a", bootstrap)
    assert "its listener" in strays(fleet, "local-a")


def test_an_entry_point_as_it_should_be(fleet: Fleet, two: tuple[str, str]) -> None:
    assert entry_strays(fleet, *two) == []
    assert entry_strays(fleet, "local-a") == [f"region local-b goes to 127.0.0.1:{fleet.ports['local-b']}"]


def test_an_entry_point_that_trusts_its_clients_is_named(fleet: Fleet) -> None:
    fleet.ports["entry"], fleet.admins["entry"] = free_port(), free_port()
    folder = fleet.folder("entry")
    bootstrap = gateway.render_entry(
        folder, name="entry", port=fleet.ports["entry"], admin_port=fleet.admins["entry"], gateways={}
    )
    document = json.loads(bootstrap.read_text())
    http = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    http["use_remote_address"] = False
    bootstrap.write_text(json.dumps(document))
    fleet.start("entry", bootstrap)
    assert entry_strays(fleet) == ["its listener"]


def test_a_region_that_leads_elsewhere_is_named(fleet: Fleet, two: tuple[str, str]) -> None:
    stranger = fleet.backend("stranger")
    endpoints = entrypoint.gateway_endpoints(
        {"local-a": ("127.0.0.1", stranger), "local-b": ("127.0.0.1", fleet.ports["local-b"])}
    )
    document = gateway.discovery(envoy.ENDPOINTS_TYPE, [endpoints])
    write_atomic(fleet.folder("entry") / "eds" / "eds.json", json.dumps(document).encode())
    wanted = [f"region local-a goes to 127.0.0.1:{stranger}"]
    assert fleet.eventually(lambda: entry_strays(fleet, *two), wanted)


def test_a_second_address_of_a_region_is_named(fleet: Fleet, two: tuple[str, str]) -> None:
    stranger = fleet.backend("stranger")
    endpoints = entrypoint.gateway_endpoints({each: ("127.0.0.1", fleet.ports[each]) for each in two})
    more = envoy.endpoint_at("127.0.0.1", stranger)
    more["endpoint"]["hostname"] = "local-a"
    endpoints["endpoints"][0]["lb_endpoints"].append(more)
    document = gateway.discovery(envoy.ENDPOINTS_TYPE, [endpoints])
    write_atomic(fleet.folder("entry") / "eds" / "eds.json", json.dumps(document).encode())
    wanted = [f"region local-a goes to 127.0.0.1:{fleet.ports['local-a']} and 127.0.0.1:{stranger}"]
    assert fleet.eventually(lambda: entry_strays(fleet, *two), wanted)


def test_a_cell_that_no_table_can_hold_is_named(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(5))
    edit(
        fleet,
        region,
        "rds",
        lambda config: first(config)["metadata"]["filter_metadata"]["lockstep"].update(blue="latest"),
    )
    assert any("no cell" in found for found in strays(fleet, region))


def test_routes_are_compared_with_the_route_of_the_cell() -> None:
    route = http_route(MODEL, "local-a", both(5), intent=3)
    assert inforce.same({"a": "5s", "n": "12"}, {"a": "5.000s", "n": 12})
    assert not inforce.same({"a": "5s"}, {"a": "6s"})
    assert inforce.same(route, json.loads(json.dumps(route)))
