"""Too many clients, too slow ones, and a machine that runs out: good clients keep getting right answers.

Each test has a server of its own, because it takes something away from it.
"""

from __future__ import annotations

import concurrent.futures
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.conftest import Soak
from tests.support import serving
from tests.support.clients import Door, Memory, Slow, good, slow_beginnings
from tests.support.images import encoded
from tests.support.serving import Server

RIGHT = 0.999


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> serving.Bundle:
    return serving.make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def server(bundle: serving.Bundle, tmp_path: Path) -> Iterator[Server]:
    with serving.served(bundle, tmp_path / "run") as running:
        yield running


def test_five_hundred_slow_clients(server: Server) -> None:
    door, pid = Door(server.port), server.process.pid
    assert good(door, 60).rate == 1
    before = Memory.of(pid)
    Memory.reset_peak(pid)
    with Slow(door, slow_beginnings(door, 500)) as slow:
        tally = good(door, 400)
        assert slow.dribble() > 0
    memory = Memory.of(pid)
    print(f"\n[500 slow clients: {tally}; {before.now} MiB before, {memory}]")
    assert tally.rate >= RIGHT, tally
    assert memory.peak - before.now < 150
    assert good(door, 60).rate == 1


@pytest.mark.soak
def test_slow_clients_again_and_again(server: Server, soak: Soak) -> None:
    """Until each of them was sent away; the memory of the last round is that of the first."""
    door, pid = Door(server.port), server.process.pid
    right = wrong = 0
    after: list[int] = []
    for _ in range(soak.rounds):
        with Slow(door, slow_beginnings(door, 500)) as slow:
            tally = good(door, 2000)
            right, wrong = right + tally.right, wrong + len(tally.wrong)
            endings = slow.endings()
        assert set(endings) <= {0, 408}
        after.append(Memory.of(pid).now)
    soak.tally(
        f"500 slow clients x {soak.rounds}: {right} right, {wrong} wrong; {dict(endings)} sent away; "
        f"MiB after each round {after}, {Memory.of(pid).peak} at most"
    )
    assert right / (right + wrong) >= RIGHT
    assert after[-1] - after[0] < 60


def test_at_the_limit_of_open_files_newcomers_are_served(server: Server) -> None:
    """64 files, of which 48 are not for connections; fifty clients that hold one each, and good ones."""
    process, door = psutil.Process(server.process.pid), Door(server.port)
    files = process.num_fds()
    process.rlimit(resource.RLIMIT_NOFILE, (64, 64))
    with Slow(door, [b""] * 50):
        tally = good(door, 120, clients=4)
        assert tally.rate >= RIGHT, tally
        assert process.num_fds() <= 64
    assert good(door, 60, clients=4).rate == 1
    assert server.process.poll() is None and process.num_fds() <= files + 20


def test_with_no_file_left_to_open_clients_wait_and_are_served_after(server: Server) -> None:
    """Fewer files than the service reckons with: it cannot even accept, and goes on once it can."""
    process, door = psutil.Process(server.process.pid), Door(server.port)
    process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() + 1, 4096))
    with Slow(door, [b""] * 50):
        process.rlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        assert good(door, 60, clients=4).rate == 1
    assert good(door, 60).rate == 1


def test_without_memory_left_a_large_picture_is_refused_and_small_ones_are_not(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    soft, hard = process.rlimit(resource.RLIMIT_DATA)
    assert 0 < soft <= 2 << 30  # the wall that the service builds itself
    huge = encoded(Image.fromarray(np.full((4000, 4000), 40_000, dtype=np.uint16)))
    assert server.predict(huge)[0] == 200
    used = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if line.startswith("VmData")
    )
    process.rlimit(resource.RLIMIT_DATA, (used + (30 << 20), hard))
    for _ in range(5):
        status, _, body = server.predict(huge)
        assert (status, body["error"]["code"]) == (413, "serving.no_memory")
        assert server.predict(serving.picture(5))[2]["label"] == "5"
    process.rlimit(resource.RLIMIT_DATA, (soft, hard))
    assert server.predict(huge)[0] == 200


def test_the_largest_pictures_all_at_once_stay_within_the_bound(server: Server) -> None:
    """What `serving/limits.py` adds up for two at a time, asked by six."""
    wide = encoded(Image.fromarray(np.full((4000, 4000), 40_000, dtype=np.uint16)), transparency=7)
    clear = encoded(Image.new("RGBA", (4000, 4000), (9, 9, 9, 100)))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(lambda image: server.predict(image)[0], [wide, clear] * 3))
    memory = Memory.of(server.process.pid)
    print(f"\n[6 pictures of 16 million pixels at once: {memory}]")
    assert statuses == {200} and memory.peak < 1260


def test_connections_that_are_opened_and_dropped(server: Server) -> None:
    process, door = psutil.Process(server.process.pid), Door(server.port)
    files = process.num_fds()
    for beginning in slow_beginnings(door, 600):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(beginning)
    assert good(door, 60).rate == 1
    assert process.num_fds() <= files + 20
