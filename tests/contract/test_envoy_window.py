"""The window into a proxy: Envoy Gateway's own configuration of it, in a real Envoy, asked by way of a real
API server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.aws import gateway
from lockstep.aws import stack as aws_stack
from lockstep.aws.proxies import ENDPOINTS, PATH, PORT, ROUTES, declared, routed, rule_of
from lockstep.aws.stack import AwsStack
from lockstep.gate.judge import Observed
from lockstep.paths import Paths
from lockstep.standin.kubernetes.api import MERGE, Api
from tests.support import egctl, kube, proxies, xds
from tests.support.clusters import clusters, start_proxy
from tests.support.egress import Egress, egress
from tests.support.gateway_objects import (
    CELLS,
    HALF,
    MODELS,
    REGION,
    all_routes,
    direct,
    front,
    health,
    services,
    written,
)
from tests.support.loopback import calls

Json = dict[str, Any]
MANAGER = "lockstep-test"
QUESTIONS = (f"resource={ROUTES}", f"resource={ENDPOINTS}&include_eds")

pytestmark = pytest.mark.timeout(1800)  # the first run builds egctl


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real Envoy that Envoy Gateway has configured, with every form of a route."""
    routes = [*all_routes().values(), written(HALF, CELLS["tenths"]), health()]
    filters = [direct(f"{model}-{REGION}", 404) for model in CELLS] + [direct("healthz", 200)]
    said = egctl.configured(egctl.binary(), [*front(), *services(), *filters, *routes])
    with xds.running(tmp_path_factory.mktemp("envoy"), said[f"{MODELS}/{gateway.NAME}"]) as port:
        yield port


def ask(port: int, target: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_a_proxy_shows_what_each_route_declares(window: int) -> None:
    answers = [ask(window, f"{PATH}?{question}") for question in QUESTIONS]
    assert [status for status, _ in answers] == [200, 200]
    found = routed(*(json.loads(text) for _, text in answers))
    for model, route in all_routes().items():
        assert found[f"{rule_of(route)}/match/0/*"] == declared(model, route), model
    assert found[f"{rule_of(written(HALF, CELLS['tenths']))}/match/0/*"].weights == {0: 875, None: 125}
    assert len(found) == len(all_routes()) + 2


def test_the_proxies_of_other_tests_say_the_same(window: int) -> None:
    routes = [*all_routes().values(), health()]
    computed = routed(
        *(proxies.shown(routes, dict(resource=part, include_eds="")) for part in (ROUTES, ENDPOINTS))
    )
    real = routed(*(json.loads(ask(window, f"{PATH}?{question}")[1]) for question in QUESTIONS))
    assert {name: real[name] for name in computed} == computed


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", PATH),
        ("GET", f"{PATH}?include_eds"),
        ("GET", f"{PATH}?resource=bootstrap"),
        ("GET", f"{PATH}?resource=bootstrap&resource={ROUTES}"),
        ("GET", f"{PATH}?resource=dynamic_active_secrets"),
        ("GET", f"{PATH}?resource={ENDPOINTS}"),
        ("GET", f"{PATH}/?{QUESTIONS[0]}"),
        ("GET", f"/x/..{PATH}?resource=static_clusters"),
        ("GET", "/stats"),
        ("GET", "/clusters"),
        ("POST", f"{PATH}?{QUESTIONS[0]}"),
        ("POST", "/quitquitquit"),
        ("POST", "/healthcheck/fail"),
        ("HEAD", f"{PATH}?{QUESTIONS[0]}"),
    ],
)
def test_any_other_question_finds_nothing(window: int, method: str, target: str) -> None:
    assert ask(window, target, method) == (404, ""), "Envoy's admin would say what there is instead"


def test_what_is_added_to_a_question_shows_no_more(window: int) -> None:
    for question in QUESTIONS:
        _, plain = ask(window, f"{PATH}?{question}")
        for more in ("&resource=bootstrap", "&resource=dynamic_active_clusters", "&include_eds"):
            assert ask(window, f"{PATH}?{question}{more}") == (200, plain)
        assert "xds" not in plain and "sds" not in plain and "certificate" not in plain


# --- by way of an API server


@pytest.fixture(scope="module")
def way() -> Iterator[Egress]:
    with egress() as made:
        yield made


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, way: Egress) -> Iterator[Api]:
    root = tmp_path_factory.mktemp("cluster")
    wanted = ("gateway-api-crds", "envoy-gateway-crds")
    with clusters(root, [REGION], definitions=wanted, egress={REGION: way.socket}) as started:
        cluster = started[REGION]
        access = cluster.access
        reach = {
            "server": f"https://{access.host}:{access.port}",
            "token": access.token,
            "ca": access.authority,
        }
        (root / "reach.json").write_text(json.dumps({REGION: reach}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LOCKSTEP_CLUSTERS", str(root / "reach.json"))
            for thing in front():
                cluster.api.apply(thing, MANAGER, force=True)
            said(cluster.api, front()[-1], {"conditions": conditions(1, "Accepted", "Programmed")})
            yield cluster.api


def conditions(generation: int, *kinds: str) -> list[Json]:
    timed = {"message": "", "lastTransitionTime": "2026-11-21T00:00:00Z"}
    return [{**kube.condition(kind, generation), **timed} for kind in kinds]


def said(api: Api, thing: Json, status: Json) -> None:
    about = thing["metadata"]
    path = api.kind(thing["apiVersion"], thing["kind"]).path(about["namespace"], about["name"])
    api.request("PATCH", f"{path}/status", {}, {"status": status}, MERGE)


def put(api: Api, route: Json) -> None:
    """The route, which Envoy Gateway takes."""
    generation = api.apply(route, MANAGER, force=True).document["metadata"]["generation"]
    parent = {
        "controllerName": gateway.CONTROLLER,
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.NAME},
        "conditions": conditions(generation, "Accepted", "ResolvedRefs"),
    }
    said(api, route, {"parents": [parent]})


def look(tmp_path: Path) -> Observed:
    stack = AwsStack(Paths(tmp_path, tmp_path), "staging", REGION, "staging")
    recorded = {model: {REGION: cell} for model, cell in CELLS.items()}
    return stack.observe(recorded, [REGION])


SPLIT = ("split", REGION)


def test_a_place_is_known_when_every_ready_proxy_says_so(
    api: Api, way: Egress, window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, route in all_routes().items():
        if model != "shadow":
            put(api, route)
    put(api, health())
    assert set(look(tmp_path).doubts.values()) == {f"no proxy of the gateway of {REGION} is ready"}
    assert set(look(tmp_path).live.values()) == {None}

    way.ways[f"10.1.0.1:{PORT}"] = window
    start_proxy(api, "envoy-1", "10.1.0.1")
    unknown_beside_a_route_that_nobody_declares(tmp_path)
    put(api, all_routes()["shadow"])
    put(api, written(HALF, CELLS["tenths"]))
    known_as_declared(tmp_path)
    unknown_while_the_proxy_has_not_got_it(api, tmp_path)
    unknown_while_another_proxy_does_not_say(api, way, tmp_path, monkeypatch)


def unknown_beside_a_route_that_nobody_declares(tmp_path: Path) -> None:
    doubts = look(tmp_path).doubts
    assert set(doubts) == {(model, REGION) for model in CELLS}
    assert f"httproute/models/{HALF}-{REGION}/rule/0/match/0/*" in doubts[SPLIT]


def known_as_declared(tmp_path: Path) -> None:
    seen = look(tmp_path)
    cells = {(model, REGION): cell for model, cell in {**CELLS, "shadow": CELLS["waiting"]}.items()}
    assert seen.live == {**cells, (HALF, REGION): None}
    assert set(seen.doubts) == {(HALF, REGION)}
    said = f"87.5 % to {HALF}-{REGION}-blue, 12.5 % to nobody who answers by record 7"
    assert said in seen.doubts[(HALF, REGION)]


def unknown_while_the_proxy_has_not_got_it(api: Api, tmp_path: Path) -> None:
    put(api, written("split", {**CELLS["split"], "green_weight": 50}))
    seen = look(tmp_path)
    assert seen.live[SPLIT] is None
    assert seen.doubts[SPLIT].startswith(f"envoy-1 /v1/models/split 90 % to split-{REGION}-blue")
    put(api, all_routes()["split"])


def unknown_while_another_proxy_does_not_say(
    api: Api, way: Egress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there; then somebody does who says nothing; then one who never comes to an end."""
    start_proxy(api, "envoy-2", "10.1.0.2", ready=False)
    assert look(tmp_path).live[SPLIT] == CELLS["split"], "nobody is sent to one that is not ready"
    start_proxy(api, "envoy-2", "10.1.0.2")
    seen = look(tmp_path)
    assert set(seen.live.values()) == {None}
    assert seen.doubts[SPLIT].startswith("envoy-2 does not answer as it should: HTTP 50")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        way.ways[f"10.1.0.2:{PORT}"] = mute.getsockname()[1]
        monkeypatch.setattr(aws_stack, "PROXY_S", 0.5)
        assert look(tmp_path).doubts[SPLIT].startswith("envoy-2 does not answer: ")
    with dripping() as port:
        way.ways[f"10.1.0.2:{PORT}"] = port
        monkeypatch.setattr(aws_stack, "PROXIES_S", 2.0)
        monkeypatch.setattr(aws_stack, "PROXY_S", 2.0)
        assert "envoy-2 does not answer: it takes too long" in look(tmp_path).doubts[SPLIT]


@contextlib.contextmanager
def dripping() -> Iterator[int]:
    """A port that begins an answer and goes on with it, a byte now and then."""
    ended = threading.Event()

    def drip(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(200):
            if ended.wait(0.05):
                break
            client.sendall(b" ")

    with calls(drip) as port:
        try:
            yield port
        finally:
            ended.set()
