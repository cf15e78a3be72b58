"""One stack's processes: a port that is taken, a bucket that is adopted, and what silence means."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lockstep.audit.local import open_bucket, read_credentials
from lockstep.errors import LockstepError, Unavailable
from lockstep.local import drift, look
from lockstep.local.gateway import render_gateway, write_atomic
from lockstep.local.httproute import http_route
from lockstep.local.programs import lock_title
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths
from tests.support.children import free_port, running
from tests.support.loopback import served

PLAIN = "sha256:" + "a" * 64
CELL = {"blue": PLAIN, "green": None, "green_weight": 0}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    made = LocalStack(Paths(tmp_path, tmp_path / ".lockstep"), "local")
    with running(made.run):
        yield made


def test_a_stack_that_never_was_shows_nothing(stack: LocalStack) -> None:
    assert stack.alive() == set()
    observed = stack.observe()
    assert (observed.live, observed.serving) == ({}, {})
    assert not stack.run.exists()


def test_an_entry_port_in_use_is_named_with_its_holder_and_nothing_is_started(stack: LocalStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack.ports.declare("gateway-local-a", free_port())
        with pytest.raises(LockstepError) as caught:
            stack.start_entry(port, ["local-a"])
    assert caught.value.code == "port.in_use"
    assert f"port {port}, which entry needs" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert stack.alive() == set()


def test_the_bucket_is_started_locked_adopted_and_comes_back_with_its_records(stack: LocalStack) -> None:
    port = free_port()
    endpoint = stack.start_bucket("lockstep-audit", near=port)
    place = stack.paths.stack("local")
    pid = stack.supervisor.pids()["audit-bucket"]
    assert stack.start_bucket("lockstep-audit", near=port) == endpoint
    assert stack.supervisor.pids()["audit-bucket"] == pid
    known = read_credentials(place)
    assert known is not None
    assert known.endpoint == endpoint
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert known.secret.encode() not in command
    opened = open_bucket(place, write=True)
    assert opened is not None
    assert opened[1] is True
    stack.supervisor.stop("audit-bucket")
    assert stack.start_bucket("lockstep-audit", near=port) == endpoint
    assert read_credentials(place) == known


def test_a_route_without_a_gateway_is_refused(stack: LocalStack) -> None:
    with pytest.raises(Unavailable) as caught:
        stack.set_route("digits", "local-a", CELL, intent=0, recorded=lambda: None)
    assert caught.value.code == "route.gateway_silent"
    stack.remove_route("digits", "local-a")  # there is nothing to forget


@pytest.fixture
def silent(stack: LocalStack) -> LocalStack:
    """A stack after a reboot: a gateway's files are there, with a route, and nothing runs."""
    folder = stack.gateway_folder("local-a")
    ports = stack.ports
    for name in ("gateway-local-a", "gateway-local-a.admin"):
        ports.assign(name, near=free_port())
    admin = ports.get("gateway-local-a.admin") or 0
    render_gateway(folder, name="gateway-local-a", port=1, admin_port=admin)
    route = http_route("digits", "local-a", CELL, intent=0)
    write_atomic(folder / "routes" / f"{route['metadata']['name']}.json", json.dumps(route).encode())
    return stack


def test_a_gateway_that_does_not_answer_is_silent_not_empty(silent: LocalStack) -> None:
    assert silent.live() == {("digits", "local-a"): None}


def test_a_gateway_that_is_down_still_forgets_a_route(silent: LocalStack) -> None:
    write_atomic(
        silent.gateway_folder("local-a") / "backends.json", b'{"digits-local-a-blue":["127.0.0.1",1]}'
    )
    silent.remove_route("digits", "local-a")
    assert silent.live() == {}
    silent.remove_route("digits", "local-a")


class Says(BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"[" * 200_000, None),
        (200, {"release": PLAIN, "ready": True}, PLAIN),
        (200, {"release": PLAIN, "ready": False}, None),
        (200, {"release": PLAIN, "ready": "true"}, None),
        (200, {"release": PLAIN}, None),
        (503, {"release": PLAIN, "ready": True}, None),
        (200, [1], None),
        (200, None, None),
    ],
)
def test_a_service_serves_only_what_it_says_it_is_ready_for(
    stack: LocalStack, status: int, body: Any, expected: str | None
) -> None:
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler = type("Handler", (Says,), {"status": status, "body": said})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with served(server):
        folder = stack.gateway_folder("local-a")
        folder.mkdir(parents=True)
        backends = {
            "digits-local-a-blue": ["127.0.0.1", server.server_port],
            "digits-local-a-green": ["127.0.0.1", free_port()],
        }
        (folder / "backends.json").write_text(json.dumps(backends))
        assert look.serving(stack.run / "gateways") == {
            ("digits", "local-a"): {"blue": expected, "green": None}
        }
        # It listens where nothing of ours was started: a stranger serves nothing, whatever it says.
        stack.ports.declare("digits-local-a-blue", server.server_port)
        assert stack.serving() == {("digits", "local-a"): {"blue": None, "green": None}}


def test_a_pipe_in_the_place_of_a_gateways_file_is_drift_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rds.json")
    (found,) = drift._files("gateway-local-a", {tmp_path / "rds.json": b"{}"}, [], "")
    assert found.code == "route.file"


def test_a_runtime_needs_its_lock_file_in_the_release(tmp_path: Path) -> None:
    (tmp_path / "serving.lock").write_bytes(b"")
    assert lock_title(tmp_path, "onnx") == "serving.lock"
    for runtime, code in (("tensorrt", "serving.needs_gpu"), ("torch", "serving.no_lock")):
        with pytest.raises(LockstepError) as caught:
            lock_title(tmp_path, runtime)
        assert caught.value.code == code
