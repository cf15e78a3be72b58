"""A gateway's folder, without a gateway: files stay whole, and what Envoy answers is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import DeadlineExceeded, LockstepError, Unavailable
from lockstep.local import admin, gateway, inforce, live, look, vouched
from lockstep.local.httproute import http_route
from lockstep.local.translate import translate
from tests.support.loopback import served

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CELL = {"blue": A, "green": B, "green_weight": 5}


def config() -> dict[str, Any]:
    backends = {f"digits-local-a-{slot}": ("127.0.0.1", 1) for slot in ("blue", "green")}
    return translate([http_route("digits", "local-a", CELL, intent=3)], backends)


class Admin:
    """An admin port that answers what it is told to."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = next((a for p, a in answers.items() if p in self.path), (404, b""))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def dump(self, *route_configs: dict[str, Any]) -> None:
        found = [{"version_info": "v", "route_config": one} for one in route_configs]
        self.answers["dynamic_route_configs"] = (200, json.dumps({"configs": found}).encode())


@pytest.fixture
def answering() -> Iterator[Admin]:
    made = Admin()
    with served(made.server):
        yield made


def test_live_cells_come_from_the_dump(answering: Admin) -> None:
    answering.dump(config())
    found = live.read_live(answering.port)
    assert found.table() == {"digits": {"local-a": CELL}}
    assert found.cells["digits"]["local-a"].intent == 3


def test_weights_come_from_the_clusters_even_where_total_weight_says_otherwise(answering: Admin) -> None:
    edited = config()
    clusters = edited["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]
    clusters["clusters"][0]["weight"], clusters["clusters"][1]["weight"] = 1, 1
    clusters["total_weight"] = 1000
    answering.dump(edited)
    found = live.read_live(answering.port).cells["digits"]["local-a"]
    assert (found.cell["green_weight"], found.declared["green_weight"], found.agrees) == (50, 5, False)


def test_a_single_cluster_is_the_whole(answering: Admin) -> None:
    edited = config()
    edited["virtual_hosts"][0]["routes"][0]["route"] = {"cluster": "digits-local-a-green"}
    answering.dump(edited)
    assert live.read_live(answering.port).cells["digits"]["local-a"].cell["green_weight"] == 100


def test_a_route_that_forwards_nowhere_serves_no_release(answering: Admin) -> None:
    edited = config()
    del edited["virtual_hosts"][0]["routes"][0]["route"]
    answering.dump(edited)
    found = live.read_live(answering.port).cells["digits"]["local-a"]
    assert found.cell == {"blue": None, "green": None, "green_weight": 0}
    assert found.declared == CELL


def _stranger(route: dict[str, Any]) -> None:
    route["route"]["weighted_clusters"]["clusters"][0]["name"] = "elsewhere"


def _no_intent(route: dict[str, Any]) -> None:
    del route["metadata"]["filter_metadata"]["lockstep"]["intent"]


def _bad_weight(route: dict[str, Any]) -> None:
    route["metadata"]["filter_metadata"]["lockstep"]["weight"] = "much"


def _no_weight(route: dict[str, Any]) -> None:
    route["metadata"]["filter_metadata"]["lockstep"]["weight"] = [1]


def _endless_weight(route: dict[str, Any]) -> None:
    route["metadata"]["filter_metadata"]["lockstep"]["weight"] = "9" * 400


def _no_note(route: dict[str, Any]) -> None:
    route["metadata"]["filter_metadata"]["lockstep"] = ["cell"]


@pytest.mark.parametrize("edit", [_stranger, _no_intent, _bad_weight, _no_weight, _endless_weight, _no_note])
def test_a_configuration_we_never_wrote_is_odd(answering: Admin, edit: Any) -> None:
    edited = config()
    edit(edited["virtual_hosts"][0]["routes"][0])
    answering.dump(edited)
    with pytest.raises(Unavailable) as odd:
        live.read_live(answering.port)
    assert odd.value.code == "route.gateway_odd"


def test_a_stranger_is_seen_even_under_the_name_of_our_own_route(answering: Admin) -> None:
    edited = config()
    thief = {"name": "health", "match": {"prefix": "/"}, "route": {"cluster": "digits-local-a-green"}}
    edited["virtual_hosts"][0]["routes"].insert(0, thief)
    answering.dump(edited)
    assert live.read_live(answering.port).others == ("health",)


def test_where_a_cluster_leads_is_said_also_where_that_is_no_port(answering: Admin) -> None:
    """Whoever edits a gateway's files must not stop the commands that find it out and mend it."""
    answering.dump(config())
    pipe = {"pipe": {"path": "/tmp/x"}}
    groups = {
        "a": [{"lb_endpoints": [{"endpoint": {"address": pipe}}]}],
        "b": [{}],
        "c": [{"lb_endpoints": [{}]}],
        "d": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "::1"}}}}]}],
    }
    clusters = [
        {"cluster": {"name": name, "load_assignment": {"endpoints": each}}} for name, each in groups.items()
    ]
    answering.answers["dynamic_active_clusters"] = (200, json.dumps({"configs": clusters}).encode())
    assert admin.read_clusters(answering.port) == {
        "a": ('{"pipe": {"path": "/tmp/x"}}', 0),
        "c": ("{}", 0),
        "d": ('{"socket_address": {"address": "::1"}}', 0),
    }
    live.read_live(answering.port)
    hosts = {"cluster_statuses": [{"host_statuses": [{"hostname": "local-a", "address": pipe}]}]}
    answering.answers["/clusters"] = (200, json.dumps(hosts).encode())
    assert live.read_gateways(answering.port) == {"local-a": ('{"pipe": {"path": "/tmp/x"}}', 0)}


@pytest.mark.parametrize("said", [[1], [[]], [{"cluster": 1}], [{}], [{"cluster": {"load_assignment": []}}]])
def test_clusters_that_make_no_sense_are_odd(answering: Admin, said: Any) -> None:
    answering.dump(config())
    answering.answers["dynamic_active_clusters"] = (200, json.dumps({"configs": said}).encode())
    for ask in (admin.read_clusters, live.read_live, lambda port: inforce.has_clusters(port, [])):
        with pytest.raises(Unavailable) as odd:
            ask(answering.port)
        assert odd.value.code == "route.gateway_odd"


def test_an_answer_without_end_is_odd_and_not_kept(answering: Admin) -> None:
    answering.answers["dynamic_route_configs"] = (200, b" " * (admin.MAX_ANSWER + 2))
    with pytest.raises(Unavailable, match="answers more than") as odd:
        live.read_live(answering.port)
    assert odd.value.code == "route.gateway_odd"


def test_a_gateway_with_the_route_of_another_region_is_odd(answering: Admin, tmp_path: Path) -> None:
    answering.dump(config())
    ports = {"gateway-local-b.admin": answering.port}
    with pytest.raises(Unavailable) as odd:
        look.live(tmp_path, ports)
    assert odd.value.code == "route.gateway_odd"
    assert look.live(tmp_path, ports, strict=False) == {}


def test_two_claims_on_one_cell_are_odd(answering: Admin) -> None:
    edited = config()
    routes = edited["virtual_hosts"][0]["routes"]
    routes.insert(0, routes[0])
    answering.dump(edited)
    with pytest.raises(Unavailable, match="two routes claim digits/local-a"):
        live.read_live(answering.port)


@pytest.mark.parametrize(
    "answer",
    [
        (404, b""),
        (500, b"no"),
        (200, b"not json"),
        (200, b"[]"),
        (200, b'{"configs": [{}]}'),
        (200, b"[" * 200_000),
    ],
)
def test_an_answer_that_makes_no_sense_is_odd(answering: Admin, answer: tuple[int, bytes]) -> None:
    answering.answers["dynamic_route_configs"] = answer
    with pytest.raises(Unavailable) as odd:
        live.read_live(answering.port)
    assert odd.value.code == "route.gateway_odd"


def test_silence_is_silent() -> None:
    server = Admin()
    server.server.server_close()
    assert not admin.is_ready(server.port)
    with pytest.raises(Unavailable) as silent:
        live.read_live(server.port)
    assert silent.value.code == "route.gateway_silent"


def rejected(count: int) -> tuple[int, bytes]:
    return (200, json.dumps({"stats": [{"name": "x.update_rejected", "value": count}]}).encode())


def test_waiting_ends_at_once_when_refused(answering: Admin) -> None:
    answering.dump(config())
    answering.answers["/stats"] = rejected(4)
    with pytest.raises(LockstepError) as refused:
        live.wait_in_force(answering.port, "other", deadline_s=5, rejected_before=3)
    assert refused.value.code == "route.rejected"


def test_waiting_has_a_deadline(answering: Admin) -> None:
    answering.dump(config())
    answering.answers["/stats"] = rejected(3)
    with pytest.raises(DeadlineExceeded) as late:
        live.wait_in_force(answering.port, "other", deadline_s=0.1, rejected_before=3)
    assert late.value.code == "route.not_in_force"
    live.wait_in_force(answering.port, "v", deadline_s=0.1, rejected_before=3)


def test_write_atomic_leaves_one_whole_file(tmp_path: Path) -> None:
    gateway.write_atomic(tmp_path / "rds.json", b"old")
    inode = (tmp_path / "rds.json").stat().st_ino
    gateway.write_atomic(tmp_path / "rds.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["rds.json"]
    assert (tmp_path / "rds.json").read_bytes() == b"new"
    assert (tmp_path / "rds.json").stat().st_ino != inode  # never written in place


def test_write_atomic_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        gateway.write_atomic(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_gateway_that_does_not_run_forgets_a_route_in_its_files(tmp_path: Path) -> None:
    gateway.render_gateway(tmp_path, name="local-a", port=1, admin_port=2)
    route = http_route("digits", "local-a", {"withdraw": A}, intent=3)
    gateway.write_atomic(tmp_path / "routes" / "digits-local-a.json", json.dumps(route).encode())
    gateway.render_gateway(tmp_path, name="local-a", port=1, admin_port=2)
    assert "digits-local-a/0/0" in (tmp_path / "rds" / "rds.json").read_text()
    gateway.forget_route(tmp_path, "digits-local-a")
    assert gateway.read_routes(tmp_path) == {}
    assert "digits-local-a" not in (tmp_path / "rds" / "rds.json").read_text()
    gateway.forget_route(tmp_path, "digits-local-a")


def test_a_gateway_starts_with_no_route_that_the_record_does_not_explain(tmp_path: Path) -> None:
    """Edited while the gateway was down: its weights, a foreign place, or nonsense; only the vouched cell
    comes back, built again from the cell, so that nothing smuggled into the file comes along."""
    right: dict[str, Any] = {"blue": A, "green": None, "green_weight": 0}
    gateway.render_gateway(tmp_path, name="local-a", port=1, admin_port=2)
    for model, cell in (("digits", right), ("faces", {"blue": None, "green": A, "green_weight": 100})):
        route = http_route(model, "local-a", cell, intent=3)
        route["spec"]["rules"][0]["smuggled"] = True
        path = tmp_path / "routes" / f"{model}-local-a.json"
        gateway.write_atomic(path, json.dumps(route).encode())
    (tmp_path / "routes" / "nonsense.json").write_text("[")
    (tmp_path / "routes" / "other.json").write_text('{"metadata": {"labels": 1}}')
    asked = []

    def explained(place: tuple[str, str], cell: Any) -> bool:
        asked.append(place)
        return bool(cell == right)

    found = vouched.vouched_routes(tmp_path, 1, explained)
    assert found == {"digits-local-a": http_route("digits", "local-a", right, intent=3)}
    assert sorted(asked) == [("digits", "local-a"), ("faces", "local-a")]
    assert sorted(vouched.given_places(tmp_path)) == sorted(asked)


def test_weights_in_force_that_no_table_holds_leave_the_files_to_go_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = http_route("digits", "local-a", CELL, intent=3)
    gateway.render_gateway(tmp_path, name="local-a", port=1, admin_port=2)
    gateway.write_atomic(tmp_path / "routes" / "digits-local-a.json", json.dumps(route).encode())
    odd = live.LiveCell({**CELL, "green_weight": 5.55}, CELL, 3)
    monkeypatch.setattr(live, "read_live", lambda _: live.Live("1", "", {"digits": {"local-a": odd}}))
    assert vouched.vouched_routes(tmp_path, 1, lambda *_: True) == {"digits-local-a": route}


def test_a_service_is_at_its_own_port_whatever_the_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "local-a"
    ports = {"digits-local-a-blue": 7, "digits-local-b-blue": 8, "entry": 9, "gateway-local-a": 10}
    assert vouched.known_backends(folder, ports) == {"digits-local-a-blue": ("127.0.0.1", 7)}


def test_every_address_in_a_bootstrap_is_loopback(tmp_path: Path) -> None:
    paths = [
        gateway.render_gateway(tmp_path / "g", name="local-a", port=1, admin_port=2),
        gateway.render_entry(
            tmp_path / "e", name="e", port=3, admin_port=4, gateways={"local-a": ("127.0.0.1", 1)}
        ),
        tmp_path / "e" / "eds" / "eds.json",
    ]
    found = [address for path in paths for address in _addresses(json.loads(path.read_text()))]
    assert len(found) == 5 and set(found) == {"127.0.0.1"}


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "socket_address" in value:
            yield value["socket_address"]["address"]
        for child in value.values():
            yield from _addresses(child)
    elif isinstance(value, list):
        for child in value:
            yield from _addresses(child)
