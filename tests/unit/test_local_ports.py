"""Ports belong to names, locks end with their holder, and a probe answers or says nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.errors import DeadlineExceeded, IntegrityError, LockstepError
from lockstep.local.ports import Ports, holder, is_free, require_free
from lockstep.local.probe import get
from lockstep.lock import locked
from tests.support.children import awaited, free_port
from tests.support.loopback import calls

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def listening(port: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server


# --- ports


def test_a_port_in_use_is_named_with_its_holder() -> None:
    with listening() as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert f"(pid {os.getpid()})" in holder(port)
        with pytest.raises(LockstepError) as caught:
            require_free(port, "entry")
    assert caught.value.code == "port.in_use"
    assert f"port {port}, which entry needs" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "lockstep:port" in caught.value.remedy
    require_free(port, "entry")


def test_a_name_keeps_its_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "run" / "ports.json")
    near = free_port()
    assert ports.all() == {}
    assert ports.get("bucket") is None
    first = ports.assign("bucket", near=near)
    assert near < first < near + 400
    assert ports.assign("bucket", near=20000) == first
    assert Ports(ports.file).get("bucket") == first
    assert ports.assign("gateway", near=near) != first


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 200_000,
        *(b'{"entry": %s}' % port for port in (b"70000", b"0", b"-1")),
    ]
    + [b'{"entry": %s}' % port for port in (b"1e400", b"null", b"[1]")],
    ids=range(11),
)
def test_ports_that_are_none_are_named_with_the_way_out(tmp_path: Path, said: bytes) -> None:
    ports = Ports(tmp_path / "ports.json")
    ports.file.write_bytes(said)
    with pytest.raises(IntegrityError) as refused:
        ports.all()
    assert refused.value.code == "port.registry_malformed"
    assert str(ports.file) in refused.value.remedy


def test_a_pipe_in_the_place_of_the_ports_is_not_waited_for(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    os.mkfifo(ports.file)
    with pytest.raises(IntegrityError) as refused:
        ports.all()
    assert refused.value.code == "port.registry_malformed"


def test_a_port_that_somebody_listens_on_is_passed_over(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    with listening() as server:
        taken = server.getsockname()[1]
        assert ports.assign("bucket", near=taken - 1) > taken


def test_the_declared_port_is_given_to_nobody_else(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    near = free_port()
    assert ports.declare("entry", near + 1) == near + 1
    assert ports.assign("bucket", near=near) > near + 1
    assert ports.assign("gateway", near=near) not in (near, near + 1, ports.get("bucket"))


def test_a_released_port_can_be_had_again(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    near = free_port()
    port = ports.assign("bucket", near=near)
    ports.release("bucket")
    ports.release("bucket")
    assert ports.get("bucket") is None
    assert ports.assign("other", near=near) == port


def test_when_no_port_is_free_the_range_is_named(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    near = 60000
    for port in range(near + 1, near + 400):
        ports._write({**ports.all(), f"name-{port}": port})
    with pytest.raises(LockstepError) as caught:
        ports.assign("one-more", near=near)
    assert caught.value.code == "port.none_free"


def test_many_at_once_get_different_ports(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    near = free_port()
    names = [f"service-{number}" for number in range(8)]
    threads = [threading.Thread(target=ports.assign, args=(name,), kwargs={"near": near}) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(ports.all()) == set(names)
    assert len(set(ports.all().values())) == len(names)


# --- locks


def test_a_held_lock_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "some.lock"
    with locked(path):
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught, locked(path, deadline_s=0.2):
            pytest.fail("two holders")
        assert 0.2 <= time.monotonic() - started < 5
    assert caught.value.code == "lock.held"
    assert caught.value.exit_code == 9
    with locked(path, deadline_s=0):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError), locked(tmp_path / "lock"):
        raise ValueError
    with locked(tmp_path / "lock", deadline_s=0):
        pass


def test_the_kernel_frees_the_lock_of_a_killed_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from lockstep.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)\n"
    )
    holding = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    try:
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"held\n"
        with pytest.raises(DeadlineExceeded), locked(tmp_path / "lock", deadline_s=0.1):
            pass
        holding.send_signal(signal.SIGKILL)
        with locked(tmp_path / "lock", deadline_s=10):
            pass
    finally:
        holding.kill()
        holding.communicate(timeout=10)


# --- a child dies with its parent


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    child = ROOT / "src" / "lockstep" / "local" / "child.py"
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-S', sys.argv[1], '/bin/sleep', '600'])\n"
        "time.sleep(0.5); print(p.pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(child)], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        stat = Path(f"/proc/{int(parent.stdout.readline())}/stat")
        assert "(sleep)" in stat.read_text()
        parent.kill()
        parent.wait(timeout=10)

        def gone() -> bool:
            try:
                return stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except (FileNotFoundError, ProcessLookupError):
                return True

        assert awaited(gone)
    finally:
        parent.kill()
        parent.communicate(timeout=10)


# --- the probe


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", (503, b"")),
        (b"SSH-2.0-OpenSSH\r\n", None),
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None),
    ],
)
def test_a_probe_gives_an_answer_or_nothing(answer: bytes, expected: object) -> None:
    def act(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with calls(act) as port:
        assert get(port, "/readyz") == expected


def test_a_probe_does_not_wait_for_ever() -> None:
    with listening() as server:
        started = time.monotonic()
        assert get(server.getsockname()[1], "/", timeout_s=0.2) is None
        assert time.monotonic() - started < 5
    assert get(free_port(), "/") is None
