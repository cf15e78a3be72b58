"""The real OPA answers as the gate needs it, and whatever else answers in its place is refused."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError
from lockstep.gate import transport
from lockstep.gate.bundle import Policies
from lockstep.gate.decision import decide
from lockstep.gate.opa import QUESTION_S, Opa, private_opa
from lockstep.ledger.reader import GATE_DEADLINE_S
from tests.support import gate_inputs, opa
from tests.support.gate_inputs import CANDIDATE, STANDING, cell, place
from tests.support.loopback import calls

REVISION = "checkout:0123456789abcdef"


@pytest.fixture(scope="module")
def running() -> Iterator[Opa]:
    with private_opa(opa.POLICIES, "local", opa.binary(), deadline_s=300) as started:
        yield started


def ask(running: Opa, question: dict[str, Any]) -> Any:
    return decide(question | {"bundle": {"revision": running.revision}}, opa=running)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


# --- the private OPA


def test_the_example_is_allowed_and_every_rule_looked(running: Opa) -> None:
    decision = ask(running, gate_inputs.example())
    assert decision.allow, decision.violations
    assert set(decision.looked) == set(Policies.read(opa.POLICIES).json("data/expected.json"))
    assert set(decision.looked.values()) == {1}
    assert decision.revision == Policies.read(opa.POLICIES).revision
    assert decision.by == "checkout"


@pytest.mark.parametrize(
    ("before", "after"), [(0, 5), (5, 25), (25, 50), (50, 100), (0, 1), (5, 10), (100, 0)]
)
def test_the_steps_of_the_tour_are_allowed(running: Opa, before: float, after: float) -> None:
    decision = ask(running, gate_inputs.step(before, after))
    assert decision.allow, decision.violations


def test_from_5_to_80_is_denied_in_words(running: Opa) -> None:
    decision = ask(running, gate_inputs.step(5, 80))
    assert {one.code for one in decision.violations} == {"step.ladder", "step.size"}
    ladder = decision.violations[0]
    assert ladder.message == (
        "digits in local-a: share of sha256:b2b2b2b2b2b2 would go from 5 % to 80 %; "
        "the next allowed step is 25 %"
    )
    assert ladder.remedy == "promote with --share 25"
    assert ladder.cell == "digits/local-a"


def test_a_denial_in_one_region_denies_the_whole_table(running: Opa) -> None:
    resting = cell(STANDING, CANDIDATE, 0)
    question = gate_inputs.question(
        [
            place("local-a", resting, cell(STANDING, CANDIDATE, 5)),
            place("local-b", resting, cell(STANDING, CANDIDATE, 5)),
        ]
    )
    assert ask(running, question).only("region.one_at_a_time")


@pytest.mark.parametrize("name", sorted(gate_inputs.example()))
def test_a_question_with_a_missing_field_is_denied(running: Opa, name: str) -> None:
    question = gate_inputs.example() | {"bundle": {"revision": running.revision}}
    del question[name]
    answer = running.query(question, "decision")
    assert answer["allow"] is False
    assert "gate.input_invalid" in {one["code"] for one in answer["violations"]}


def test_another_environment_is_denied(running: Opa) -> None:
    decision = ask(running, gate_inputs.example() | {"environment": "prod"})
    assert "gate.environment" in {one.code for one in decision.violations}


def test_an_unknown_environment_is_denied() -> None:
    with private_opa(opa.POLICIES, "moon", opa.binary()) as started:
        decision = ask(started, gate_inputs.example() | {"environment": "moon"})
    assert "gate.environment" in {one.code for one in decision.violations}


def test_a_place_where_opa_has_nothing_is_no_answer(running: Opa) -> None:
    token = running.token
    with contextlib.closing(transport.Address.parse(running.url).connection(5)) as connection:
        connection.request("POST", "/v1/data/lockstep/nothing", b"{}", {"Authorization": f"Bearer {token}"})
        assert connection.getresponse().status == 401  # not even that may be asked
    with pytest.raises(Unavailable):
        running.query(gate_inputs.example(), "nothing")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/policies/evil"),
        ("PUT", "/v1/data/settings"),
        ("PATCH", "/v1/data"),
        ("GET", "/v1/data"),
        ("POST", "/v1/data/settings"),
        ("POST", "/v1/query"),
        ("GET", "/v1/config"),
        ("POST", "/"),
    ],
)
def test_the_token_opens_nothing_but_the_question(running: Opa, method: str, path: str) -> None:
    with contextlib.closing(transport.Address.parse(running.url).connection(5)) as connection:
        connection.request(method, path, b"{}", {"Authorization": f"Bearer {running.token}"})
        assert connection.getresponse().status == 401


@pytest.mark.parametrize("token", ["", "guess", "0" * 64])
def test_without_the_token_nobody_asks(running: Opa, token: str) -> None:
    stranger = Opa(running.url, token, running.revision)
    with pytest.raises(Unavailable) as refused:
        ask(stranger, gate_inputs.example())
    assert refused.value.code == "gate.opa_status"


def test_it_opens_no_port_and_keeps_its_secrets_out_of_argv() -> None:
    before = children()
    with private_opa(opa.POLICIES, "local", opa.binary()) as started:
        (pid,) = children() - before
        process = psutil.Process(pid)
        assert process.net_connections("inet") == []
        assert started.token not in " ".join(process.cmdline())
        folder = Path(started.url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not (folder / "sign.pem").exists()
    assert not folder.exists()
    assert children() == before


def test_it_is_gone_after_an_error() -> None:
    before = children()
    with pytest.raises(KeyError), private_opa(opa.POLICIES, "local", opa.binary()):
        assert children() - before
        raise KeyError
    assert children() == before


def test_it_dies_with_whoever_started_it() -> None:
    script = (
        "import os, sys, time; from pathlib import Path; from lockstep.gate.opa import private_opa\n"
        f"with private_opa(Path({str(opa.POLICIES)!r}), 'local', Path({str(opa.binary())!r})) as opa:\n"
        "    print(opa.url, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().decode().strip().removeprefix("unix://")).parent
        (child,) = psutil.Process(owner.pid).children(recursive=True)
        owner.send_signal(signal.SIGKILL)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    shutil.rmtree(folder)  # nobody was left to do it; it holds no secret


def test_a_policy_that_does_not_compile_is_named(tmp_path: Path) -> None:
    shutil.copytree(opa.POLICIES, tmp_path / "policies")
    broken = tmp_path / "policies" / "step_size" / "step_size.rego"
    broken.write_text("package lockstep.rules.step.size\n\nlooked := {")
    with (
        pytest.raises(Unavailable, match="step_size") as refused,
        private_opa(tmp_path / "policies", "local", opa.binary()),
    ):
        pass
    assert refused.value.code == "gate.policies_broken"


def test_an_unloaded_rule_denies(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(opa.POLICIES, policies)
    shutil.rmtree(policies / "step_size")
    with private_opa(policies, "local", opa.binary()) as started:
        decision = ask(started, gate_inputs.example())
    assert decision.only("gate.rules_missing")


def test_no_binary_and_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as missing, private_opa(opa.POLICIES, "local", tmp_path / "opa"):
        pass
    assert missing.value.code == "gate.opa_missing"
    false = tmp_path / "false"
    false.write_text("#!/bin/sh\n[ $1 = build ] || { echo cannot >&2; exit 3; }\n")
    false.chmod(0o755)
    with pytest.raises(Unavailable, match="cannot") as failed, private_opa(opa.POLICIES, "local", false):
        pass
    assert failed.value.code == "gate.opa_failed"


@pytest.mark.parametrize("stage", ["build", "run"])
def test_an_opa_that_hangs_is_given_up_and_killed(tmp_path: Path, stage: str) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text(f"#!/bin/sh\n[ $1 = {stage} ] && exec sleep 60\nexit 0\n")
    hangs.chmod(0o755)
    before = children()
    started = time.monotonic()
    with pytest.raises(Unavailable) as refused, private_opa(opa.POLICIES, "local", hangs, deadline_s=1):
        pass
    assert refused.value.code == "gate.opa_slow"
    assert time.monotonic() - started < 10
    assert children() == before


# --- somebody else on the address


def answer(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def take(connection: socket.socket) -> None:
    """Read one whole request: what is left unread would reset the connection under the answer."""
    with connection.makefile("rb") as request:
        length = 0
        while (line := request.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        request.read(length)


@contextlib.contextmanager
def impostor(behave: Callable[[socket.socket], None], question_s: float = 30.0) -> Iterator[Opa]:
    """Something on a loopback port that takes each question and does what it likes."""

    def act(connection: socket.socket) -> None:
        take(connection)
        behave(connection)

    with calls(act) as port:
        yield Opa(f"http://127.0.0.1:{port}", "token", REVISION, question_s=question_s)


def refused_by(behave: Callable[[socket.socket], None], question_s: float = 30.0) -> str:
    with impostor(behave, question_s) as there, pytest.raises(Unavailable) as refused:
        decide(gate_inputs.example(), opa=there)
    assert refused.value.remedy
    return refused.value.code


def saying(body: bytes | str, **how: Any) -> Callable[[socket.socket], None]:
    data = answer(body.encode() if isinstance(body, str) else body, **how)
    return lambda connection: connection.sendall(data)


GOOD = {"allow": True, "violations": [], "looked": {"step.size": 1}, "revision": REVISION}


def test_the_impostor_itself_is_not_at_fault() -> None:
    with impostor(saying(json.dumps({"result": GOOD}))) as there:
        assert decide(gate_inputs.example(), opa=there).allow is True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{}", "gate.opa_undefined"),
        ("", "gate.opa_nonsense"),
        ("true", "gate.opa_nonsense"),
        ('"true"', "gate.opa_nonsense"),
        ("[true]", "gate.opa_nonsense"),
        ('{"result": true}', "gate.opa_nonsense"),
        ('{"result": "true"}', "gate.opa_nonsense"),
        ('{"result": 1}', "gate.opa_nonsense"),
        ('{"result": {"allow": true}}', "gate.opa_nonsense"),
        ('{"allow": true}', "gate.opa_undefined"),
        ('{"result": ' + json.dumps(GOOD), "gate.opa_nonsense"),
        ('{"result": 1, "result": ' + json.dumps(GOOD) + "}", "gate.opa_nonsense"),
        (
            '{"result": ' + json.dumps(GOOD).replace('"allow": true', '"allow": false, "allow": true') + "}",
            "gate.opa_nonsense",
        ),
        ('{"result": ' + json.dumps(GOOD) + ', "warning": {}}', "gate.opa_nonsense"),
        ("1", "gate.opa_nonsense"),
        ("null", "gate.opa_nonsense"),
        ('{"result": null}', "gate.opa_nonsense"),
        ('{"result": {"lockstep": {"decision": ' + json.dumps(GOOD) + "}}}", "gate.opa_nonsense"),
        ('{"lockstep": {"decision": ' + json.dumps(GOOD) + "}}", "gate.opa_undefined"),
        ('{"result": {"decision": ' + json.dumps(GOOD) + "}}", "gate.opa_nonsense"),
        ('{"result": ' + json.dumps(GOOD) + "} {}", "gate.opa_nonsense"),
        ("\ufeff" + json.dumps({"result": GOOD}), "gate.opa_nonsense"),
        (json.dumps({"result": GOOD}).replace("1}", "1e999}"), "gate.opa_nonsense"),
        (json.dumps({"result": GOOD | {"looked": {}}}), "gate.opa_blind"),
        ("[" * 500_000, "gate.opa_nonsense"),
        ('{"result": ' + "9" * 500_000 + "}", "gate.opa_nonsense"),
        (json.dumps({"result": GOOD | {"revision": "older"}}), "gate.opa_wrong_bundle"),
    ],
)
def test_other_bodies_are_no_answer(body: str, code: str) -> None:
    assert refused_by(saying(body)) == code


@pytest.mark.parametrize("status", [201, 204, 400, 401, 404, 500, 503])
def test_other_statuses_are_no_answer(status: int) -> None:
    assert refused_by(saying(json.dumps({"result": GOOD}), status=status)) == "gate.opa_status"


def test_a_redirect_is_not_followed() -> None:
    with impostor(saying(json.dumps({"result": GOOD}))) as elsewhere:
        location = {"Location": f"{elsewhere.url}/v1/data/lockstep/decision"}
        for status in (301, 302, 307, 308):
            assert refused_by(saying("", status=status, headers=location)) == "gate.opa_status"


def test_a_compressed_body_is_not_inflated() -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    assert refused_by(saying(bomb, headers={"Content-Encoding": "gzip"})) == "gate.opa_nonsense"


def test_nor_is_one_that_does_not_say_so() -> None:
    assert refused_by(saying(gzip.compress(json.dumps({"result": GOOD}).encode()))) == "gate.opa_nonsense"
    assert refused_by(saying(gzip.compress(b" " * (64 << 20)))) == "gate.opa_nonsense"


def test_a_truncated_answer_is_none_wherever_it_ends() -> None:
    whole = answer(json.dumps({"result": GOOD}).encode())
    for length in range(0, len(whole), 7):
        code = refused_by(lambda connection, n=length: connection.sendall(whole[:n]))
        assert code in ("gate.opa_down", "gate.opa_nonsense")


def test_endless_heads_are_given_up() -> None:
    """Headers without end, and interim answers without end."""

    def headers(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: y\r\n" * 100)

    def interim(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    assert refused_by(headers) == "gate.opa_down"
    assert refused_by(interim, question_s=0.5) == "gate.opa_slow"


def test_endless_chunks_are_cut_off() -> None:
    def chunks(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    assert refused_by(chunks) == "gate.opa_too_large"


def test_another_type_is_no_answer() -> None:
    page = saying(json.dumps({"result": GOOD}), headers={"Content-Type": "text/html"})
    assert refused_by(page) == "gate.opa_nonsense"


def test_an_endless_body_is_cut_off() -> None:
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)
            sent += 65536

    assert refused_by(endless) == "gate.opa_too_large"
    assert sent < 32 << 20  # what was read, and what lies in the sockets' buffers


def test_a_truncated_body_is_no_answer() -> None:
    whole = answer(json.dumps({"result": GOOD}).encode())
    assert refused_by(lambda connection: connection.sendall(whole[:-5])) in (
        "gate.opa_down",
        "gate.opa_nonsense",
    )


def test_silence_is_given_up() -> None:
    over = threading.Event()
    try:
        assert refused_by(lambda connection: over.wait(30), question_s=0.5) == "gate.opa_slow"
    finally:
        over.set()


def test_nobody_waits_for_an_answer_that_is_30_s_late() -> None:
    assert QUESTION_S <= GATE_DEADLINE_S < 30


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"]
)
def test_a_byte_now_and_then_does_not_extend_the_deadline(start: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(20):
            time.sleep(0.2)
            connection.sendall(b" ")

    started = time.monotonic()
    assert refused_by(drip, question_s=1.0) == "gate.opa_slow"
    assert time.monotonic() - started < 3


def test_a_closed_port_and_a_closed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable) as refused:
        decide(gate_inputs.example(), opa=Opa(f"http://127.0.0.1:{port}", "token", REVISION))
    assert refused.value.code == "gate.opa_down"
    assert refused_by(lambda connection: None) == "gate.opa_down"


def test_no_time_left_is_no_answer(running: Opa) -> None:
    late = Opa(running.url, running.token, running.revision, until=time.monotonic() - 1)
    with pytest.raises(Unavailable) as refused:
        ask(late, gate_inputs.example())
    assert refused.value.code == "gate.opa_slow"


def test_a_proxy_of_the_environment_is_not_used(running: Opa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with impostor(saying(json.dumps({"result": GOOD}))) as there:
        assert decide(gate_inputs.example(), opa=there).allow is True


@pytest.mark.parametrize(
    "change",
    [
        {"reasons": {"/x": "y" * (50 << 20)}},
        {"reasons": {"y" * (50 << 20): "x"}},
        {"barred": [STANDING] * 700_000},
        {"cells": [gate_inputs.example()["cells"][0]] * 100_000},
        {"barred": [0] * 25_000_000},
    ],
    ids=["text", "name", "list", "cells", "numbers"],
)
def test_a_question_of_50_mb_is_not_sent_and_no_copy_of_it_is_made(change: dict[str, Any]) -> None:
    with impostor(saying("{}")) as there:
        question = gate_inputs.example() | change
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable) as refused:
                decide(question, opa=there)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert refused.value.code == "gate.opa_too_large"
    assert peak < 24 << 20


def test_nor_one_that_is_too_large_only_as_json(running: Opa) -> None:
    with pytest.raises(Unavailable) as refused:
        ask(running, gate_inputs.example() | {"reasons": {"/x": "\x01" * (1 << 20)}})
    assert refused.value.code == "gate.opa_too_large"


def test_the_revision_of_a_configured_opa_is_asked(running: Opa) -> None:
    configured = Opa(running.url, running.token)
    assert configured.revision == running.revision
    with impostor(saying('{"result": 1}')) as there, pytest.raises(Unavailable):
        _ = Opa(there.url, "token").revision


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8181",
        "http://opa.example",
        "ftp://127.0.0.1",
        "http://127.0.0.1:x",
        "https://",
        "https://u@h",
        "https://h/p?q",
    ],
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        transport.Address.parse(url)
    assert refused.value.code == "gate.opa_url"


def test_what_is_no_json_is_never_sent(running: Opa) -> None:
    with pytest.raises((IntegrityError, LockstepError)):
        ask(running, gate_inputs.example() | {"now": float("nan")})


def test_an_https_address() -> None:
    address = transport.Address.parse("https://opa.example")
    assert (address.scheme, address.host, address.port) == ("https", "opa.example", 443)
    assert isinstance(address.connection(1), http.client.HTTPSConnection)
    assert os.environ  # nothing was connected
