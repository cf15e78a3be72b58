"""A machine out of disk, files, time or memory: slower or refused, never wrong, and `up` recovers."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.conftest import Soak
from tests.soak.operations import Operations
from tests.support import recovery
from tests.support.checkout import Checkout, make
from tests.support.disk import Disk, small_disk
from tests.support.kills import of_stack

pytestmark = pytest.mark.soak

ENDS_S = 240.0
LONGEST_S = 9.0
DISK_MIB = 256  # an update wants 64 MiB to begin


@dataclass
class Starved:
    """One stack, what was acknowledged on it, and how the operations that starved ended."""

    operating: Operations
    witness: recovery.Witness
    ended: Counter[str] = field(default_factory=Counter)

    @classmethod
    def on(cls, checkout: Checkout, soak: Soak) -> Starved:
        made = cls(Operations.on(checkout, soak.rng), recovery.Witness(checkout))
        made.witness.keep()
        return made

    def end(self, name: str, process: subprocess.Popen[str]) -> str:
        """Wait for an operation; what it said, which is for a person."""
        out, err = process.communicate(timeout=ENDS_S)
        recovery.said_well(out + err)
        self.ended[f"{name}: {'done' if process.returncode == 0 else 'refused'}"] += 1
        return out + err

    def recovers(self, *, copies: bool = True) -> None:
        """copies: as in `whole`; without them the engine may have cut its state short, too."""
        checkout = self.operating.checkout
        if copies:
            recovery.state_loads(checkout)
        recovery.open_intents_show(checkout)
        checkout.run("up")
        self.operating.status = recovery.whole(checkout, copies=copies)
        recovery.state_loads(checkout)
        self.witness.nothing_lost()
        self.witness.keep()

    def tally(self, soak: Soak, what: str) -> None:
        soak.tally(f"{what}: " + ", ".join(f"{key} {count}" for key, count in sorted(self.ended.items())))


def test_a_disk_that_fills_at_any_point(built: Path, soak: Soak, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK_MIB) as disk:
        checkout = make(disk.folder / "checkout", built)
        try:
            starved = Starved.on(checkout, soak)
            for _ in range(soak.rounds):
                _fill_during_an_operation(starved, disk, soak)
            starved.tally(soak, f"full disks: {soak.rounds}")
        finally:
            disk.free()
            checkout.close()


def _fill_during_an_operation(starved: Starved, disk: Disk, soak: Soak) -> None:
    name, words = starved.operating.next(without=("up after a power cut", "down"))
    process = starved.operating.checkout.start(*words)
    wait, pages = soak.rng.uniform(0.0, LONGEST_S), soak.rng.choice((0, 0, 1, 2, 4, 8, 16, 32))
    print(f"{name}: {pages} pages left after {wait:.2f} s", file=sys.stderr, flush=True)
    time.sleep(wait)
    disk.fill(but_pages=pages)
    try:
        said = starved.end(name, process)
        if process.returncode:
            assert "full" in said or "no space left" in said.lower(), said
    finally:
        disk.free()
    starved.recovers(copies=False)


def test_a_low_limit_on_open_files(checkout: Checkout, soak: Soak, image: bytes) -> None:
    starved = Starved.on(checkout, soak)
    for _ in range(soak.rounds):
        limit = soak.rng.choice((8, 12, 16, 20, 24, 32, 48, 64))
        name, words = starved.operating.next(without=("up after a power cut", "down"))
        print(f"{name}: {limit} files", file=sys.stderr, flush=True)
        starved.end(name, _with_files(checkout, limit, words))
        starved.recovers()
        _gateways_without_files(checkout, image, soak)
    starved.tally(soak, f"limits on open files: {soak.rounds}")


def _with_files(checkout: Checkout, limit: int, words: list[str]) -> subprocess.Popen[str]:
    """A command, and all that it starts, with so many files at most."""
    process = subprocess.Popen(
        ["prlimit", f"--nofile={limit}:{limit}", "--", sys.executable, "-m", "lockstep.cli", *words],
        cwd=checkout.root,
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


@contextmanager
def _limited(process: psutil.Process, what: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(process.pid, what)
    resource.prlimit(process.pid, what, (limit, before[1]))
    try:
        yield
    finally:
        if process.is_running():
            resource.prlimit(process.pid, what, before)


def _answers_are_right(checkout: Checkout, image: bytes) -> None:
    """Whoever answers is a release that its region's record has."""
    known = {
        region["name"]: {region[slot]["release"] for slot in ("blue", "green")}
        for region in checkout.json("status")["regions"]
    }
    counts, _ = checkout.shares(60, image)
    assert all(release in known[region] for region, release in counts), counts


def _gateways_without_files(checkout: Checkout, image: bytes, soak: Soak) -> None:
    gateway = of_stack(checkout, soak.rng.choice(("gateway-local-a", "gateway-local-b", "entry")))[0]
    with _limited(gateway, resource.RLIMIT_NOFILE, gateway.num_fds() + 2):
        _answers_are_right(checkout, image)
    until = time.monotonic() + ENDS_S
    while checkout.shares(10, image)[1]:
        assert time.monotonic() < until, "the gateway does not come back"


def test_both_cores_busy(checkout: Checkout, soak: Soak) -> None:
    starved = Starved.on(checkout, soak)
    burn = "import os\nwhile os.getppid() != 1:\n    sum(range(100_000))"
    burners = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        for _ in range(soak.rounds):
            name, words = starved.operating.next()
            starved.end(name, checkout.start(*words))
            starved.recovers()
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    starved.tally(soak, f"operations beside {len(burners)} burners: {soak.rounds}")


def test_a_service_without_memory(checkout: Checkout, soak: Soak, image: bytes) -> None:
    """It refuses or dies and is started again; its gateway says so or another region answers."""
    starved = Starved.on(checkout, soak)
    for _ in range(soak.rounds):
        service = soak.rng.choice(of_stack(checkout, "bentoml"))
        spare = soak.rng.choice((0, 1 << 20, 16 << 20))
        with _limited(service, resource.RLIMIT_AS, service.memory_info().vms + spare):
            _answers_are_right(checkout, image)
            name, words = starved.operating.next(without=("up after a power cut", "down"))
            starved.end(name, checkout.start(*words))
            assert checkout.json("audit", "verify")["ok"]
        if service.is_running():
            service.send_signal(signal.SIGKILL)  # supervisord starts it again
        starved.recovers()
    starved.tally(soak, f"services without memory: {soak.rounds}")
