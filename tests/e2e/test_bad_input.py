"""What people and machines get wrong: a clear error, the right exit code, nothing lost or half-done."""

from __future__ import annotations

import http.server
import io
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from lockstep.local.stack import LocalStack
from tests.support.checkout import Checkout
from tests.support.loopback import served

UNKNOWN = "sha256:" + "0" * 64


def test_bad_input(checkout: Checkout, image: bytes, tmp_path: Path) -> None:
    _a_bucket_without_object_lock(checkout)
    _a_port_in_use(checkout)
    checkout.run("up")
    better = checkout.releases()["digits-better"]
    for check in (_wrong_keys, _unknown_digests, _destroy_that_is_not_allowed):
        check(checkout)
    _images(checkout, image, tmp_path)
    _opa_that_is_no_opa(checkout, better)
    _a_bucket_that_does_not_answer(checkout, better)
    _a_stopped_bucket_is_woken(checkout)
    _a_service_that_does_not_get_ready(checkout, better)
    _a_route_that_fails_after_the_intent(checkout, better)
    assert checkout.json("audit", "verify", "--history", "auto")["ok"]


def _error(checkout: Checkout, *words: str, expect: int) -> dict[str, Any]:
    error = checkout.json(*words, expect=expect)["error"]
    assert error["message"]
    assert error["remedy"] or error["violations"]
    return dict(error)


def _edit(checkout: Checkout, change: Callable[[dict[str, Any]], None]) -> bytes:
    before = checkout.stack_file.read_bytes()
    document = yaml.safe_load(before)
    change(document["config"])
    checkout.stack_file.write_text(yaml.safe_dump(document))
    return before


def _a_bucket_without_object_lock(checkout: Checkout) -> None:
    """Somebody made the folder by hand: it is a bucket to the server, but nothing in it would be locked."""
    folder = checkout.paths.stack("local").bucket_data / "lockstep-audit"
    folder.mkdir(parents=True)
    error = _error(checkout, "up", expect=1)
    assert "object lock" in error["message"] or "versioning" in error["message"], error
    assert "entry" not in checkout.supervisor.pids()
    folder.rmdir()


def _a_port_in_use(checkout: Checkout) -> None:
    with socket.create_server(("127.0.0.1", checkout.port)):
        error = _error(checkout, "up", expect=1)
    assert f"port {checkout.port}" in error["message"]
    assert f"(pid {os.getpid()})" in error["message"]


def _wrong_keys(checkout: Checkout) -> None:
    checkout.pulumi("stack", "ls")
    before = _edit(checkout, lambda config: config.update({"lockstep:modles": {}, "lockstep:port": 80}))
    error = _error(checkout, "up", expect=2)
    assert "lockstep:modles: unknown key; did you mean lockstep:models?" in error["message"]
    assert "lockstep:port: 80" in error["message"]
    plain = checkout.pulumi("preview", expect=1).stdout
    assert "lockstep:modles: unknown key" in plain
    assert "Traceback" not in plain
    checkout.stack_file.write_bytes(before)


def _unknown_digests(checkout: Checkout) -> None:
    assert (
        _error(checkout, "promote", "digits", UNKNOWN, "--share", "5", expect=2)["code"] == "release.unknown"
    )
    before = checkout.stack_file.read_bytes()
    checkout.declare(local_a={"green": UNKNOWN})
    codes = {each["code"] for each in _error(checkout, "up", expect=5)["violations"]}
    assert "release.exists" in codes
    checkout.stack_file.write_bytes(before)


def _destroy_that_is_not_allowed(checkout: Checkout) -> None:
    before = _edit(checkout, lambda config: config.update({"lockstep:allow_destroy": False}))
    running = checkout.supervisor.pids()
    assert _error(checkout, "down", "--yes", expect=5)["code"] == "destroy.not_allowed"
    checkout.run("up")  # the receipt now says so itself
    assert "does not allow destroy" in checkout.pulumi("destroy", "--yes", "--skip-preview", expect=1).stdout
    assert checkout.supervisor.pids() == running
    checkout.stack_file.write_bytes(before)
    checkout.run("up")


def _post(checkout: Checkout, body: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", checkout.port, timeout=30)
    connection.request("POST", "/v1/models/digits/predict", body, {"Content-Type": kind})
    response = connection.getresponse()
    said = response.read()
    connection.close()
    return response.status, json.loads(said)


def _images(checkout: Checkout, image: bytes, tmp_path: Path) -> None:
    huge = io.BytesIO()
    Image.new("1", (30000, 30000)).save(huge, "PNG")
    for body in (b"", image[: len(image) // 2], b"not an image", huge.getvalue()):
        status, said = _post(checkout, body, "image/png")
        assert 400 <= status < 500, (status, said)
        assert said["error"]["code"]
        assert str(checkout.root) not in json.dumps(said)
    status, _ = _post(checkout, b"\x80\x04.", "application/vnd.bentoml+pickle")
    assert 400 <= status < 500
    assert _post(checkout, image, "image/png")[0] == 200
    text = tmp_path / "notes.txt"
    text.write_text("seven")
    assert "notes.txt" in _error(checkout, "predict", str(text), expect=2)["message"]
    _error(checkout, "predict", str(tmp_path / "absent.png"), expect=2)


@contextmanager
def _fake_opa(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with served(server):
        yield f"http://127.0.0.1:{server.server_port}"


def _says(body: bytes) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _late(handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(8)
    with suppress(BrokenPipeError):  # who asked has long gone
        _says(b'{"result": true}')(handler)


def _opa_that_is_no_opa(checkout: Checkout, better: str) -> None:
    bodies = [b"{}", b'{"result": true}', b'{"result": {"allow": true}}', b'{"result": "true"}', b"nonsense"]
    answers = [*(_says(body) for body in bodies), _late]
    for answer in answers:
        with _fake_opa(answer) as url:
            _refused_by_opa(checkout, better, url)
    _refused_by_opa(checkout, better, "http://127.0.0.1:9")  # nothing listens there


def _refused_by_opa(checkout: Checkout, better: str, url: str) -> None:
    before = _edit(checkout, lambda config: config.update({"lockstep:opa_url": url}))
    checkout.declare(local_a={"green": better})
    asked = checkout.stack_file.read_bytes()
    error = _error(checkout, "up", expect=1)
    assert error["code"].startswith("gate.opa_"), error
    assert checkout.stack_file.read_bytes() == asked
    checkout.stack_file.write_bytes(before)
    assert checkout.status()["local-a"]["green"]["release"] is None


def _a_bucket_that_does_not_answer(checkout: Checkout, better: str) -> None:
    before = checkout.stack_file.read_bytes()
    port = LocalStack(checkout.paths, "local").ports.get("audit-bucket")
    checkout.supervisor.stop("audit-bucket")
    with socket.create_server(("127.0.0.1", port or 0)):  # somebody who takes calls and never answers
        error = _error(checkout, "promote", "digits", better, "--share", "5", expect=1)
    assert "audit" in error["code"] or "audit" in error["message"], error
    assert checkout.stack_file.read_bytes() == before
    assert checkout.status()["local-a"]["green"]["release"] is None
    checkout.run("up")


def _a_stopped_bucket_is_woken(checkout: Checkout) -> None:
    os.kill(checkout.supervisor.pids()["audit-bucket"], signal.SIGSTOP)
    checkout.run("up")
    assert checkout.json("status")["drift"] == []


def _a_service_that_does_not_get_ready(checkout: Checkout, better: str) -> None:
    """TensorRT without a GPU: the service says so, the update fails, and the record says interrupted."""
    before = _edit(checkout, lambda config: config.update({"lockstep:runtime": "tensorrt"}))
    checkout.declare(local_b={"green": better})
    error = _error(checkout, "up", expect=1)
    assert "GPU" in error["message"], error
    status = checkout.json("status")
    assert status["open_intent"] is None
    shown = checkout.json("audit", "show", "--last", "1")["records"][0]["record"]
    assert (shown["kind"], shown["result"]) == ("outcome", "interrupted")
    checkout.stack_file.write_bytes(before)
    checkout.run("up")
    assert all(entry["healthy"] for entry in checkout.status().values())


def _a_route_that_fails_after_the_intent(checkout: Checkout, better: str) -> None:
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
    before = checkout.stack_file.read_bytes()
    folder = checkout.paths.stack("local").run / "gateways" / "local-a" / "rds"
    folder.rename(folder.with_name("rds-aside"))
    folder.write_text("the gateway's files cannot be written, nor their folder be made again")
    try:
        error = _error(
            checkout, "promote", "digits", better, "--share", "25", "--region", "local-a", expect=1
        )
    finally:
        folder.unlink()
        folder.with_name("rds-aside").rename(folder)
    assert "keeps the new table" in error["message"], error
    assert checkout.stack_file.read_bytes() != before
    status = checkout.json("status")
    assert status["open_intent"] is None
    local_a = next(entry for entry in status["regions"] if entry["name"] == "local-a")
    assert local_a["live"] == {"green_weight": 5}
    assert local_a["declared"] == {"green_weight": 25}
    assert any("not in force yet" in problem for problem in local_a["problems"])
    checkout.run("up")
    assert checkout.status()["local-a"]["live"] == {"green_weight": 25}


@pytest.mark.parametrize(
    "words", [["promote", "digits", "abcd", "--share", "101"], ["up", "--nope"], ["nope"]]
)
def test_wrong_words_end_with_usage(checkout: Checkout, words: list[str]) -> None:
    checkout.run(*words, expect=2)
