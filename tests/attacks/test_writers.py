"""Thirty-two writers at one log, each with its own connection: one winner an index, no gap, no fork.

Real processes with threads, on a real versitygw. In the rounds all meet, then all decide on the same head.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstep.audit.layout import record_key
from lockstep.canonical import digest
from tests.conftest import Soak
from tests.support.audit import RETENTION, Writer
from tests.support.versity import BUCKET, Server, versity

ROOT = Path(__file__).parents[2]
PROCESSES = 8
THREADS = 4


@contextmanager
def meeting(writers: int) -> Iterator[int]:
    """A port where each writer asks before each round, and is answered when all of them have asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=writers) as server:

        def gather() -> None:
            with server:
                there: list[socket.socket] = []
                waiting = [server]
                while len(there) < writers:  # who connects and asks nothing is no writer
                    for one in select.select(waiting, [], [])[0]:
                        if one is server:
                            waiting.append(server.accept()[0])
                            continue
                        waiting.remove(one)
                        if one.recv(1):
                            there.append(one)
                while there:
                    for one in there:
                        one.sendall(b"!")
                    waiting = list(there)
                    while waiting:
                        for one in select.select(waiting, [], [])[0]:
                            waiting.remove(one)
                            if one.recv(1) == b"":
                                there.remove(one)

        thread = threading.Thread(target=gather, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])


@dataclass
class Crowd:
    """A log on a server, and processes that write to it."""

    folder: Path
    server: Server

    def __post_init__(self) -> None:
        self.writer = Writer(self.server.bucket())
        for name, signer in (("deployer", self.writer.deployer), ("log", self.writer.log_signer)):
            (self.folder / f"{name}.pem").write_bytes(signer.private_pem())

    def job(self, *, size: int, threads: int, meeting: int | None) -> None:
        where = [self.server.endpoint, BUCKET, self.server.access, self.server.secret]
        said = {"bucket": where, "size": size, "threads": threads, "meeting": meeting}
        (self.folder / "job.json").write_text(json.dumps(said))

    def process(self) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.support.writing", str(self.folder)]
        return subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def acknowledged(self) -> list[tuple[int, str]]:
        lines = [
            line for path in self.folder.glob("acknowledged-*") for line in path.read_text().splitlines()
        ]
        return sorted((int(line.split()[0]), line.split()[1]) for line in lines)

    def check(self, size: int) -> None:
        """The log verifies, and every acknowledged record is in it, at its own index, acknowledged once."""
        self.writer.log.settle(now=datetime.now(UTC), retention=RETENTION)
        report = self.writer.verify(head=self.writer.log.head())
        assert report.ok, report.problems
        assert report.size >= size
        acknowledged = self.acknowledged()
        assert max(Counter(index for index, _ in acknowledged).values()) == 1
        for index, said in acknowledged:
            assert digest(self.writer.bucket.get(record_key(index))) == said


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with versity(tmp_path / "server") as server:
        yield Crowd(tmp_path, server)


def run_rounds(crowd: Crowd, rounds: int, processes: int, threads: int) -> None:
    with meeting(processes * threads) as port:
        crowd.job(size=rounds, threads=threads, meeting=port)
        running = [crowd.process() for _ in range(processes)]
        said = [process.communicate(timeout=500)[1] for process in running]
    assert [process.returncode for process in running] == [0] * processes, said
    crowd.check(rounds)
    assert [index for index, _ in crowd.acknowledged()] == list(range(rounds)), "one winner an index, no gap"
    assert crowd.writer.log.head().size == rounds


def run_kills(crowd: Crowd, rng: random.Random, kills: int) -> int:
    """Writers that append as fast as they can while one after the other is killed; how many records came."""
    size = kills * 10 + 20
    crowd.job(size=size, threads=2, meeting=None)
    running = [crowd.process() for _ in range(3)]
    for _ in range(kills):
        victim = running.pop(rng.randrange(len(running)))
        # At a random moment of its work: a little after it has got a record of its own.
        own = crowd.folder / f"acknowledged-{victim.pid}"
        while not (own.exists() and own.stat().st_size) and victim.poll() is None:
            _wait(victim, 0.01)
        _wait(victim, rng.uniform(0, 0.1))
        victim.kill()
        victim.communicate()
        running.append(crowd.process())
    said = [process.communicate(timeout=500)[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    crowd.check(size)
    return int(crowd.writer.log.head().size)


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)


def test_thirty_two_writers_five_rounds(crowd: Crowd) -> None:
    run_rounds(crowd, 5, 4, 8)


def test_writers_that_are_killed_lose_nothing_that_was_acknowledged(crowd: Crowd) -> None:
    run_kills(crowd, random.Random(4), 4)


@pytest.mark.soak
def test_thirty_two_writers_a_hundred_rounds(crowd: Crowd, soak: Soak) -> None:
    rounds = max(100, soak.rounds)
    run_rounds(crowd, rounds, PROCESSES, THREADS)
    soak.tally(f"writers: {PROCESSES * THREADS} at one log, {rounds} rounds, one winner each")


@pytest.mark.soak
def test_writers_that_are_killed_all_the_time(crowd: Crowd, soak: Soak) -> None:
    size = run_kills(crowd, soak.rng, soak.rounds)
    kept = len(crowd.acknowledged())
    soak.tally(f"writers: {soak.rounds} killed, {kept} of {size} records acknowledged, none lost")
