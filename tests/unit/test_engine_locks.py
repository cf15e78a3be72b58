"""The engine's leftovers: a lock is cleared when nobody holds it, and only then."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep import engine_locks
from lockstep.engine_locks import COMMAND, WRITE_S, EngineLocks
from lockstep.lock import holder, locked
from tests.support.children import awaited

HERE = socket.gethostname()
WAITS = "import sys; sys.stdin.read()"


class Place:
    """A folder of lock files, and what was said about them."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.folder = folder
        self.locks = EngineLocks(folder, self.said.append)

    def lock(self, pid: int, *, host: str = HERE, age_s: float = 0) -> Path:
        file = self.folder / f"{pid}-{host}.json"
        file.write_text(json.dumps({"pid": pid, "username": "ann", "hostname": host, "timestamp": "now"}))
        return aged(file, age_s)


PIDS = ("-1", "1e400", "0", "4194305")


def said(pid: str) -> bytes:
    return b'{"pid": %s, "username": "ann", "hostname": "%s"}' % (pid.encode(), HERE.encode())


def aged(file: Path, age_s: float) -> Path:
    taken = time.time() - age_s
    os.utime(file, (taken, taken))
    return file


@pytest.fixture
def at(tmp_path: Path) -> Place:
    return Place(tmp_path)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_process_is_cleared_and_named(at: Place) -> None:
    pid = dead_pid()
    file = at.lock(pid)
    at.locks.clear_dead()
    assert not file.exists()
    assert any(str(pid) in line for line in at.said)


def test_the_lock_of_a_living_process_stays(at: Place) -> None:
    file = at.lock(os.getpid())
    at.locks.clear_dead()
    assert file.exists()
    assert at.said == []


def test_a_lock_of_another_machine_is_never_judged_from_here(at: Place) -> None:
    file = at.lock(dead_pid(), host="elsewhere")
    at.locks.clear_dead()
    assert file.exists()


def test_a_later_process_of_the_same_number_holds_nothing(at: Place) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        old, young = at.lock(process.pid, age_s=3600), at.lock(os.getpid())
        at.locks.clear_dead()
        assert not old.exists()
        assert young.exists()
    finally:
        process.communicate(b"\n", timeout=10)


def test_a_zombie_holds_nothing(at: Place) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        file = at.lock(process.pid)
        until = time.monotonic() + 10
        while file.exists() and time.monotonic() < until:
            at.locks.clear_dead()
            time.sleep(0.02)
        assert not file.exists()
    finally:
        process.wait(timeout=10)


def engine(command: int) -> subprocess.Popen[bytes]:
    """A process that is an engine as far as can be seen: it says which command runs it."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdin=subprocess.PIPE, env={**os.environ, COMMAND: str(command)}
    )
    # The kernel shows a new program's variables a moment after it shows the program.
    assert awaited(lambda: COMMAND in psutil.Process(process.pid).environ())
    return process


def test_the_update_of_a_killed_command_is_ended(at: Place) -> None:
    """It would go on by itself for as long as it likes, and every `up` would be refused meanwhile."""
    running = engine(dead_pid())
    try:
        file = at.lock(running.pid)
        at.locks.clear_dead()
        assert not psutil.pid_exists(running.pid)
        assert not file.exists()
        assert any(f"killed command left running (pid {running.pid})" in line for line in at.said)
    finally:
        running.communicate(timeout=30)


def test_the_update_of_a_living_command_and_one_of_nobody_are_left_alone(at: Place) -> None:
    command = subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE)
    ours = engine(command.pid)
    plain = subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE)
    try:
        files = [at.lock(ours.pid), at.lock(plain.pid)]
        at.locks.clear_dead()
        assert all(file.exists() for file in files)
        assert psutil.pid_exists(ours.pid) and ours.poll() is None
        assert plain.poll() is None
        assert at.said == []
    finally:
        for process in (ours, plain, command):
            process.communicate(timeout=30)


@pytest.mark.parametrize("name", ["a.json", "a.json.18ea0981c7e4f9da.tmp"])
@pytest.mark.parametrize(
    "data", [b"", b'{"pid', b"[]", b'{"pid": null}', b"[" * 200_000, *map(said, PIDS)], ids=range(9)
)
def test_a_half_written_lock_is_cleared_when_its_writer_must_be_gone(
    at: Place, name: str, data: bytes
) -> None:
    """The engine reads every file there, so this one refuses every update for ever."""
    file = at.folder / name
    file.write_bytes(data)
    aged(file, WRITE_S + 1)
    at.locks.clear_dead()
    assert not file.exists()
    assert at.said == ["clearing a lock that a killed update left half written"]


def test_what_is_no_lock_file_is_not_waited_for(at: Place) -> None:
    (at.folder / "folder.json").mkdir()
    os.mkfifo(at.folder / "pipe.json")
    aged(at.folder / "pipe.json", WRITE_S + 1)
    assert at.locks.taken()
    at.locks.clear_dead()
    assert not at.locks.taken()
    assert (at.folder / "folder.json").is_dir()


class Fleeting(type(Path())):  # type: ignore[misc]
    """A file that its engine takes away as soon as somebody has seen it."""

    def exists(self) -> bool:
        there: bool = super().exists()
        self.unlink(missing_ok=True)
        return there


def test_a_lock_that_goes_while_it_is_looked_at_is_none(at: Place) -> None:
    file = Fleeting(at.folder / "a.json")
    file.write_bytes(b"")
    aged(file, WRITE_S + 1)
    at.locks._clear_half_written(file)
    assert not Path(file).exists()


class Engine:
    """A process that hears no Ctrl-C. after: what happens when it is to be killed."""

    def __init__(self, after: type[psutil.Error] | None) -> None:
        self.after = after
        self.signals: list[int] = []

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGKILL and self.after is psutil.NoSuchProcess:
            raise psutil.NoSuchProcess(1)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        if self.signals[-1] == signal.SIGINT or self.after is psutil.TimeoutExpired:
            raise psutil.TimeoutExpired(seconds)


@pytest.mark.parametrize("after", [None, psutil.NoSuchProcess, psutil.TimeoutExpired])
def test_an_engine_that_ends_by_itself_or_not_at_all_is_no_error(after: type[psutil.Error] | None) -> None:
    engine: Any = Engine(after)
    engine_locks._end(engine)
    assert engine.signals == [signal.SIGINT, signal.SIGKILL]


def test_a_whole_lock_that_was_never_renamed_is_half_written_too(at: Place) -> None:
    file = at.lock(os.getpid())
    left = aged(file.rename(file.with_suffix(".json.1.tmp")), WRITE_S + 1)
    at.locks.clear_dead()
    assert not left.exists()


def test_a_lock_that_is_just_being_written_is_waited_for(at: Place) -> None:
    """It is renamed a moment later, and is then a lock like any other."""
    file = at.folder / "a.json.1.tmp"
    file.write_bytes(b'{"pid')
    code = "import os, sys, time; time.sleep(0.3); os.rename(sys.argv[1], sys.argv[2])"
    writer = subprocess.Popen([sys.executable, "-c", code, str(file), str(at.folder / "elsewhere")])
    at.locks.clear_dead()
    assert writer.wait(timeout=30) == 0
    assert at.said == []


def test_the_holder_of_a_lock_says_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, note="a longer command line than the next one has"):
        pass
    with locked(path, note="./lockstep up"):
        assert holder(path) == f"pid {os.getpid()} (./lockstep up)"


def test_a_holder_that_has_not_said_anything_yet_is_not_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) == "unknown"
    path.write_text(f"pid {dead_pid()} ./lockstep down")
    assert holder(path) == "unknown"
