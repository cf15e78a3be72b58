"""The routes against a real Envoy: what is written is what happens, and what happens is what is read."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from typing import Any

import psutil
import pytest

from lockstep.errors import LockstepError
from lockstep.local import envoy, gateway, live
from lockstep.local.httproute import backend_name, http_route
from tests.support.fleet import MODEL, PATH, A, Fleet, Load, both, free_port


def test_five_percent_is_five_percent(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(5))
    connection = http.client.HTTPConnection("127.0.0.1", fleet.ports[region], timeout=20)
    slots: Counter[str] = Counter()
    with contextlib.closing(connection):
        for _ in range(2000):
            connection.request("GET", PATH)
            response = connection.getresponse()
            response.read()
            slots[str(response.getheader("x-lockstep-slot"))] += 1
    five_sigma = 5 * (2000 * 0.05 * 0.95) ** 0.5
    assert abs(slots["local-a-green"] - 100) < five_sigma
    assert sum(slots.values()) == 2000


@pytest.mark.parametrize("weight", [0, 0.1, 5, 12.5, 33.3, 99.9, 100])
def test_the_weight_in_force_is_read_back(fleet: Fleet, region: str, weight: float) -> None:
    version = fleet.route(region, both(weight), intent=7)
    now = live.read_live(fleet.admins[region])
    found = now.cells[MODEL][region]
    assert (now.version, now.others) == (version, ())
    assert found.cell == both(weight)
    assert type(found.cell["green_weight"]) is type(weight)
    assert found.agrees and found.intent == 7
    assert set(found.addresses) == {"blue", "green"}


def test_an_answer_names_the_intent_that_let_it_serve(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(0), intent=41)
    status, headers, body = fleet.ask(region, PATH + "?top=3")
    assert (status, headers["x-lockstep-intent"], headers["x-lockstep-slot"]) == (200, "41", "local-a-blue")
    assert json.loads(body)["path"] == "/predict?top=3"
    assert headers["x-request-id"] == json.loads(body)["headers"]["x-request-id"]


def test_a_weight_edited_behind_our_back_is_seen(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(5))
    rds = fleet.folder(region) / "rds" / "rds.json"
    edited = json.loads(rds.read_text())
    host = edited["resources"][0]["virtual_hosts"][0]
    for cluster, weight in zip(
        host["routes"][0]["route"]["weighted_clusters"]["clusters"], (1, 2), strict=True
    ):
        cluster["weight"] = weight
    host["routes"].insert(0, {"name": "thief", "match": {"path": "/x"}, "route": {"cluster": "nowhere"}})
    edited["version_info"] = "edited"
    gateway.write_atomic(rds, json.dumps(edited).encode())
    live.wait_in_force(fleet.admins[region], "edited", deadline_s=10, rejected_before=0)
    now = live.read_live(fleet.admins[region])
    found = now.cells[MODEL][region]
    assert not found.agrees
    assert found.declared == both(5)
    assert found.cell["green_weight"] == pytest.approx(200 / 3)
    assert now.others == ("thief",)


def test_withdrawn_answers_404_and_says_why(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(0))
    assert fleet.ask(region, "/healthz")[0] == 200
    fleet.route(region, {"withdraw": A}, intent=9)
    status, headers, body = fleet.ask(region)
    assert (status, headers["x-lockstep-unrouted"]) == (404, "route.withdrawn")
    assert json.loads(body)["error"]["code"] == "route.withdrawn"
    assert fleet.live(region).cell == {"withdraw": A}
    assert fleet.ask(region, "/healthz")[0] == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/v1/models/digitsx/predict", 404),
        ("/v1/models/other/predict", 404),
        ("/v1/models/digits/../other/predict", 404),
        ("/v1/models/digits/..%2fother", 400),
        ("/v1/models//digits/predict", 200),
        ("/v1/models/digits", 200),
    ],
)
def test_only_the_models_own_paths_reach_it(fleet: Fleet, region: str, path: str, status: int) -> None:
    fleet.route(region, both(0))
    assert fleet.ask(region, path)[0] == status


def test_no_request_fails_and_no_connection_closes_over_twenty_weight_changes(
    fleet: Fleet, region: str
) -> None:
    fleet.route(region, both(0))
    with Load(fleet.ports[region]) as load:
        for number in range(20):
            fleet.route(region, both(number * 5), intent=number)
            time.sleep(0.02)
    assert load.failures == []
    assert load.reconnects == 0
    assert load.answers["local-a-green"] > 0 and load.answers["local-a-blue"] > 0


def test_a_request_under_way_outlives_the_change(fleet: Fleet) -> None:
    fleet.gateway("local-a")
    fleet.slots("local-a", delay_s=0.5)
    fleet.route("local-a", both(0))
    answers: list[tuple[int, dict[str, str], bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(fleet.ask("local-a")))
    asking.start()
    time.sleep(0.2)
    fleet.route("local-a", both(100))
    asking.join(10)
    assert (answers[0][0], answers[0][1]["x-lockstep-slot"]) == (200, "local-a-blue")


def test_a_service_moves_to_another_port_without_a_failed_request(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(0))
    with Load(fleet.ports[region]) as load:
        time.sleep(0.2)
        moved = fleet.backend("moved")
        gateway.set_backend(
            fleet.folder(region), fleet.admins[region], backend_name(MODEL, region, "blue"), moved
        )
        time.sleep(0.3)
    assert load.failures == []
    assert load.answers["moved"] > 0
    assert fleet.live(region).addresses["blue"] == ("127.0.0.1", moved)


def test_a_refused_route_is_reported_with_envoys_words_and_taken_back(fleet: Fleet, region: str) -> None:
    version = fleet.route(region, both(5))
    written = gateway.read_routes(fleet.folder(region))
    route = http_route(MODEL, region, both(50), intent=2)
    header = {"type": "RegularExpression", "name": "x-who", "value": "(unclosed"}
    route["spec"]["rules"][0]["matches"][0]["headers"] = [header]
    with pytest.raises(LockstepError) as refused:
        gateway.set_route(fleet.folder(region), fleet.admins[region], route)
    assert refused.value.code == "route.rejected"
    assert "missing )" in refused.value.message
    assert live.read_live(fleet.admins[region]).version == version
    assert gateway.read_routes(fleet.folder(region)) == written
    assert version in (fleet.folder(region) / "rds" / "rds.json").read_text()
    assert fleet.live(region).cell == both(5)
    assert fleet.route(region, both(10)) != version  # the gateway takes the next change as if nothing was
    assert fleet.live(region).cell == both(10)


def test_a_silent_gateway_is_not_written_to(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(5))
    before = (fleet.folder(region) / "rds" / "rds.json").read_bytes()
    fleet.kill(region)
    with pytest.raises(LockstepError) as silent:
        fleet.route(region, both(10))
    assert silent.value.code == "route.gateway_silent"
    assert (fleet.folder(region) / "rds" / "rds.json").read_bytes() == before


def test_a_gateway_comes_back_with_its_routes(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(12.5), intent=3)
    fleet.kill(region)
    # A writer killed half-way leaves the routes' source ahead of what Envoy reads.
    gateway.write_atomic(fleet.folder(region) / "rds" / "rds.json", b"{}")
    (fleet.folder(region) / "rds" / ".rds.json.0badc0de").write_bytes(b"half")
    fleet.gateway(region)
    assert (fleet.live(region).cell, fleet.live(region).intent) == (both(12.5), 3)
    assert fleet.ask(region)[0] == 200
    assert [path.name for path in (fleet.folder(region) / "rds").iterdir()] == ["rds.json"]


def test_a_slot_with_weight_needs_its_service_and_one_without_does_not(fleet: Fleet) -> None:
    fleet.gateway("local-a")
    blue, green = (backend_name(MODEL, "local-a", slot) for slot in ("blue", "green"))
    gateway.set_backend(fleet.folder("local-a"), fleet.admins["local-a"], blue, fleet.backend("blue"))
    fleet.route("local-a", both(0))
    assert fleet.live("local-a").cell == both(0)
    with pytest.raises(LockstepError, match=green) as missing:
        fleet.route("local-a", both(5))
    assert missing.value.code == "route.no_backend"
    with pytest.raises(LockstepError) as used:
        gateway.remove_backend(fleet.folder("local-a"), blue)
    assert used.value.code == "route.backend_in_use"
    assert fleet.ask("local-a")[0] == 200


def test_a_mirrored_slot_sees_requests_and_answers_none(fleet: Fleet, region: str) -> None:
    fleet.route(region, both(0), mirror="green")
    for _ in range(10):
        assert fleet.ask(region)[1]["x-lockstep-slot"] == "local-a-blue"
    until = time.monotonic() + 5
    while len(fleet.seen["local-a-green"]) < 10 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(fleet.seen["local-a-green"]) == 10


def test_a_segment_goes_where_its_header_says(fleet: Fleet, region: str) -> None:
    route = http_route(MODEL, region, both(0), intent=1)
    rule = route["spec"]["rules"][0]
    segment = json.loads(json.dumps(rule))
    segment["matches"][0]["headers"] = [{"name": "x-segment", "value": "beta"}]
    segment["backendRefs"] = [{"name": backend_name(MODEL, region, "green"), "port": 80}]
    route["spec"]["rules"] = [rule, segment]
    gateway.set_route(fleet.folder(region), fleet.admins[region], route)
    assert fleet.ask(region)[1]["x-lockstep-slot"] == "local-a-blue"
    assert fleet.ask(region, headers={"x-segment": "beta"})[1]["x-lockstep-slot"] == "local-a-green"
    now = live.read_live(fleet.admins[region])
    assert now.cells[MODEL][region].cell == both(0)
    assert now.others == ("digits-local-a/1/0",)


def test_a_slow_service_is_cut_off(fleet: Fleet) -> None:
    fleet.gateway("local-a")
    fleet.slots("local-a", delay_s=3)
    fleet.route("local-a", both(0), timeout_s=0.3)
    assert fleet.ask("local-a")[0] == 504


def test_the_entry_point_spreads_evenly_and_passes_headers_on(fleet: Fleet, two: tuple[str, str]) -> None:
    slots = Counter(fleet.ask("entry")[1]["x-lockstep-slot"] for _ in range(40))
    assert slots == {"local-a-blue": 20, "local-b-blue": 20}
    sent = {"x-request-id": "mine", "x-who": "me", "x-envoy-max-retries": "9"}
    status, headers, body = fleet.ask("entry", headers=sent)
    got = json.loads(body)["headers"]
    assert (status, headers["x-request-id"], got["x-request-id"], got["x-who"]) == (200, "mine", "mine", "me")
    assert not [name for name in {**got, **headers} if name.startswith("x-envoy")]
    assert headers["x-lockstep-intent"] == "1"


def test_a_client_cannot_steer_the_entry_point(fleet: Fleet) -> None:
    fleet.gateway("local-a")
    fleet.slots("local-a", delay_s=0.3)
    fleet.route("local-a", both(0))
    fleet.entry("local-a")
    assert fleet.ask("entry", headers={"x-envoy-upstream-rq-timeout-ms": "50"})[0] == 200


def test_the_entry_point_says_who_really_asked(fleet: Fleet, two: tuple[str, str]) -> None:
    """A client may claim to come from anywhere; the entry point adds where it really came from."""
    _, _, body = fleet.ask("entry", headers={"x-forwarded-for": "203.0.113.9"})
    claimed, _, added = json.loads(body)["headers"]["x-forwarded-for"].partition(",")
    assert (claimed, bool(added)) == ("203.0.113.9", True)  # of a peer on loopback Envoy adds its own address


def test_nobody_can_listen_beside_envoy(fleet: Fleet, two: tuple[str, str]) -> None:
    """With SO_REUSEPORT another process of this user would be given a part of the connections."""
    for ports in (fleet.ports, fleet.admins):
        for port in ports.values():
            with socket.socket() as beside:
                beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                with pytest.raises(OSError, match="in use"):
                    beside.bind(("127.0.0.1", port))


def test_killed_gateways_cost_no_request(fleet: Fleet, two: tuple[str, str]) -> None:
    everyone = {"local-a": True, "local-b": True}
    with Load(fleet.ports["entry"], connections=8) as load:
        for name in ("local-a", "local-b", "local-a"):
            time.sleep(0.3)
            fleet.kill(name)
            wait_for(lambda dead=name: admin_regions(fleet) == everyone | {dead: False})
            fleet.gateway(name)
            # The other one dies as soon as this one counts as healthy: it must carry traffic by then.
            wait_for(lambda: admin_regions(fleet) == everyone)
    assert load.failures == []
    assert load.answers["local-a-blue"] > 0 and load.answers["local-b-blue"] > 0


def test_a_withdrawn_region_gets_no_request_answered_404(fleet: Fleet, two: tuple[str, str]) -> None:
    body = b"x" * (5 * 1024 * 1024)  # larger than Envoy's default buffers: a repeat needs it whole
    with Load(fleet.ports["entry"]) as load:
        fleet.route("local-a", {"withdraw": A})
        answers = [fleet.ask("entry", body=body) for _ in range(6)]
    assert [answer[1].get("x-lockstep-slot") for answer in answers] == ["local-b-blue"] * 6
    assert {json.loads(answer[2])["bytes"] for answer in answers} == {len(body)}
    assert load.failures == []
    fleet.route("local-b", {"withdraw": A})
    status, headers, _ = fleet.ask("entry")
    assert (status, headers["x-lockstep-unrouted"]) == (404, "route.withdrawn")


def test_a_service_that_is_down_in_one_region_costs_no_request(fleet: Fleet, two: tuple[str, str]) -> None:
    name = backend_name(MODEL, "local-a", "blue")
    gateway.set_backend(fleet.folder("local-a"), fleet.admins["local-a"], name, free_port())
    answers = [fleet.ask("entry", body=b"image") for _ in range(20)]
    assert {(status, headers["x-lockstep-slot"]) for status, headers, _ in answers} == {(200, "local-b-blue")}


def test_the_entry_point_refuses_what_is_too_large_or_elsewhere(fleet: Fleet, two: tuple[str, str]) -> None:
    assert fleet.ask("entry", "/other")[0] == 404
    assert fleet.ask("entry", "/healthz")[0] == 200
    assert fleet.ask("entry", body=b"x" * (16 * 1024 * 1024 + 1))[0] == 413
    assert not [line for line in fleet.seen["local-a-blue"] + fleet.seen["local-b-blue"] if "POST" in line]


def test_a_region_joins_and_leaves_without_a_restart(fleet: Fleet, two: tuple[str, str]) -> None:
    first, second = two
    everyone = {name: ("127.0.0.1", fleet.ports[name]) for name in two}
    with Load(fleet.ports["entry"]) as load:
        gateway.set_gateways(fleet.folder("entry"), {first: everyone[first]})
        wait_for(lambda: admin_regions(fleet) == {first: True})
        gateway.set_gateways(fleet.folder("entry"), everyone)
        wait_for(lambda: admin_regions(fleet) == {first: True, second: True})
    assert load.failures == []
    assert load.reconnects == 0


def test_every_socket_is_on_loopback(fleet: Fleet, two: tuple[str, str]) -> None:
    listening = {
        (name, connection.laddr.ip, connection.laddr.port)
        for name, process in fleet.processes.items()
        for connection in psutil.Process(process.pid).net_connections(kind="inet")
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
    }
    wanted = {(name, "127.0.0.1", ports[name]) for ports in (fleet.ports, fleet.admins) for name in ports}
    assert listening == wanted


def test_envoy_itself_judges_a_bootstrap(fleet: Fleet, two: tuple[str, str]) -> None:
    for name in (*two, "entry"):
        envoy.validate(envoy.binary(), fleet.folder(name) / "bootstrap.json")
    broken = fleet.folder("entry") / "broken.json"
    broken.write_text(json.dumps({"admin": {"adress": 1}}))
    with pytest.raises(LockstepError, match="adress") as refused:
        envoy.validate(envoy.binary(), broken)
    assert refused.value.code == "route.bad_bootstrap"


def test_a_quiet_log(fleet: Fleet, two: tuple[str, str]) -> None:
    assert [(fleet.root / f"{name}.log").read_text() for name in (*two, "entry")] == ["", "", ""]


def admin_regions(fleet: Fleet) -> dict[str, bool]:
    return live.read_regions(fleet.admins["entry"])


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.05)
