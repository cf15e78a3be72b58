"""SIGKILL for any process at any point of any operation: `up` recovers, and nothing acknowledged is lost.

One round is one kill. The operation, the process and the point (or a random moment) come from the seed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.conftest import Soak
from tests.soak.operations import Operations
from tests.support import recovery
from tests.support.checkout import Checkout
from tests.support.kills import ROLES, kill, met, points

pytestmark = pytest.mark.soak

ENDS_S = 240.0
LONGEST_S = 9.0
"""Random moments are drawn from the first seconds of an operation."""


def test_a_kill_anywhere_is_recovered_by_up(checkout: Checkout, soak: Soak, tmp_path: Path) -> None:
    rounds = Rounds(Operations.on(checkout, soak.rng), tmp_path)
    rounds.witness.keep()
    tries = 0
    while rounds.killed.total() < soak.rounds and tries < 4 * soak.rounds:
        tries += 1
        rounds.one(tries)
    for name, counts in (("process", rounds.killed), ("operation", rounds.operations), ("point", rounds.at)):
        said = ", ".join(f"{key} {count}" for key, count in sorted(counts.items()))
        soak.tally(f"kills: {counts.total()} by {name}: {said}")
    soak.tally(f"`up` after a kill took {rounds.longest_s:.1f} s at most")
    assert rounds.killed.total() == soak.rounds


@dataclass
class Rounds:
    operating: Operations
    place: Path
    killed: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    at: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    seen: list[psutil.Process] = field(default_factory=list)
    """The processes of the operation, a moment before the kill."""

    def __post_init__(self) -> None:
        self.checkout, self.rng = self.operating.checkout, self.operating.rng
        self.witness = recovery.Witness(self.checkout)

    def one(self, number: int) -> None:
        operation, words = self.operating.next()
        role = self.rng.choice(ROLES)
        with (self.place / f"{number}.txt").open("w+") as said:
            process = self.checkout.start(*words, said=said)
            where = self._kill(process, operation, role)
            print(f"{number}: {operation}, {role}, {where or 'not met'}", file=sys.stderr, flush=True)
            process.wait(timeout=ENDS_S)
            said.seek(0)
            recovery.said_well(said.read())
        if where is None:  # it ended before it came to that, or there was no such process
            assert process.returncode == 0, words
            if operation == "down":
                self.checkout.run("up")
            self.operating.status = self.checkout.json("status")
            self.witness.keep()
            return
        self.killed[role] += 1
        self.operations[operation] += 1
        self.at[where] += 1
        self._recover()

    def _kill(self, process: subprocess.Popen[str], operation: str, role: str) -> str | None:
        """Where the kill hit; None if the operation ended before it came to that."""
        if self.rng.random() < 0.5:
            where = "random time"
            until = time.monotonic() + self.rng.uniform(0.0, LONGEST_S)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
        else:
            point = self.rng.choice(points(self.checkout, len(self.witness.leaves), operation))
            where = point.name
            if not met(point, process, ENDS_S):
                return None
        while process.poll() is None:
            seen = kill(self.checkout, process.pid, role, self.rng)
            if seen is not None:
                self.seen = seen
                return where
            time.sleep(0.003)
        return None

    def _recover(self) -> None:
        if (self.checkout.paths.backend / ".pulumi" / "stacks" / "lockstep" / "local.json").exists():
            recovery.state_loads(self.checkout)
        recovery.open_intents_show(self.checkout)
        began = time.monotonic()
        self.checkout.run("up")
        took = time.monotonic() - began
        print(f"  `up` took {took:.1f} s", file=sys.stderr, flush=True)
        self.longest_s = max(self.longest_s, took)
        self.operating.status = recovery.whole(self.checkout)
        kept = {process.pid for process in recovery.of_checkout(self.checkout)}
        left = [process for process in self.seen if process.is_running() and process.pid not in kept]
        assert not left, [process.cmdline() for process in left]
        self.witness.nothing_lost()
        self.witness.keep()
