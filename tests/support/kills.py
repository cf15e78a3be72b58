"""SIGKILL for one process of a stack at one point of an operation, both found from outside.

Roles of an operation's own processes are told by their command lines, those of the stack by supervisord.
Points are names that appear in folders: a record, a head, a route file, a lock. No product code knows them.
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.checkout import Checkout
from tests.support.watch import watching

OWN = {
    "engine": re.compile(r"^pulumi --non-interactive (up|destroy|preview)"),
    "language host": re.compile(r"language_host\.py 127"),
    "program": re.compile(r"pulumi-language-python-exec"),
    "plugin": re.compile(r"-P -u -c .*pulumi\.provider\.experimental", re.DOTALL),
    "opa": re.compile(r"opa run --server"),
}
"""Processes that an operation starts, and that end with it."""
STACK = ("versitygw", "gateway-local-a", "gateway-local-b", "entry", "bentoml", "supervisord")
ROLES = ("cli", *OWN, *STACK)


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def own(processes: list[psutil.Process], role: str) -> list[psutil.Process]:
    """Those of one role among the processes of an operation, its command first."""
    if role == "cli":
        return processes[:1]
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if OWN[role].search(" ".join(process.cmdline())):
                found.append(process)
    return found


def of_stack(checkout: Checkout, role: str) -> list[psutil.Process]:
    if role == "supervisord":
        pid = checkout.supervisor._daemon_pid()
        pids = [] if pid is None else [pid]
    else:
        known = checkout.supervisor.pids()
        names = {"versitygw": "audit-bucket"}
        pids = [
            pid
            for name, pid in known.items()
            if name == names.get(role, role) or (role == "bentoml" and name.startswith("digits-"))
        ]
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def kill(checkout: Checkout, command: int, role: str, rng: random.Random) -> list[psutil.Process] | None:
    """SIGKILL one process of that role; the operation's processes as they were. None: there is none now."""
    before = family(command)
    found = of_stack(checkout, role) if role in STACK else own(before, role)
    for _ in found[:1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            rng.choice(found).kill()
            return before
    return None


UP, CUT, STEP, PROMOTE, ROLLBACK, DOWN = EVERY = (
    "up",
    "up after a power cut",
    "up with a step",
    "promote",
    "rollback",
    "down",
)
MOVES = (STEP, PROMOTE, ROLLBACK)


@dataclass(frozen=True)
class Point:
    """folder, pattern: of the name that appears there when an operation (one of `of`) gets to it; leaves: the
    name goes away."""

    name: str
    folder: Path
    pattern: str
    leaves: bool = False
    of: tuple[str, ...] = EVERY


def points(checkout: Checkout, size: int, operation: str) -> list[Point]:
    """The points of an operation that begins with `size` records in the log."""
    stack, backend = checkout.paths.stack("local"), checkout.paths.backend / ".pulumi"
    log, run = stack.bucket_data / "lockstep-audit", stack.run
    locks = backend / "locks" / "organization" / "lockstep" / "local"
    gateways = run / "gateways"
    every = [
        Point(
            "stack file being written", checkout.root, r"\.Pulumi\.local\.yaml\..*", of=(PROMOTE, ROLLBACK)
        ),
        Point("stack file written", checkout.root, r"Pulumi\.local\.yaml", of=(PROMOTE, ROLLBACK)),
        Point("before the intent: lock being written", locks, r".*\.tmp"),
        Point("before the intent: lock taken", locks, r".*\.json"),
        Point("first record, before its head", log / "record", rf"0*{size}"),
        Point("first head (after the intent)", log / "head", rf"0*{size + 1}"),
        Point("second record, before its head", log / "record", rf"0*{size + 1}", of=(*MOVES, DOWN)),
        Point("second head (after the outcome)", log / "head", rf"0*{size + 2}", of=(*MOVES, DOWN)),
        Point("tile written", log / "tile" / "0" / "000.p", r".*"),
        Point("third head", log / "head", rf"0*{size + 3}", of=(PROMOTE, ROLLBACK)),
        Point(
            "clusters being written", gateways / "local-a" / "cds", r"\.cds\.json.*", of=(CUT, STEP, PROMOTE)
        ),
        Point("service known", gateways / "local-b" / "cds", r"cds\.json", of=(CUT, PROMOTE)),
        Point("route file being written", gateways / "local-a" / "rds", r"\.rds\.json.*", of=(CUT, *MOVES)),
        Point("between routes", gateways / "local-a" / "rds", r"rds\.json", of=(CUT, *MOVES)),
        Point(
            "between routes, the other way",
            gateways / "local-b" / "rds",
            r"rds\.json",
            of=(CUT, PROMOTE, ROLLBACK),
        ),
        Point("state being written", backend / "stacks" / "lockstep", r"local\.json\..*\.tmp"),
        Point("state written", backend / "stacks" / "lockstep", r"local\.json"),
        Point(
            "history being written", backend / "history" / "lockstep" / "local", r".*history\.json\..*\.tmp"
        ),
        Point("history written", backend / "history" / "lockstep" / "local", r".*history\.json"),
        Point("lock given back", locks, r".*\.json", leaves=True),
        Point("program file written", run / "conf.d", r".*\.conf", of=(CUT,)),
        Point("while stopping", run / "conf.d", r".*\.conf", leaves=True, of=(CUT, DOWN)),
    ]
    return [point for point in every if operation in point.of]


def met(point: Point, process: subprocess.Popen[str], deadline_s: float) -> bool:
    """Wait for the point; False when the operation ended without it."""
    wanted, until = re.compile(point.pattern), time.monotonic() + deadline_s
    with watching(point.folder) as watch:
        while process.poll() is None and time.monotonic() < until:
            for path, appeared in watch.events(0.2):
                if appeared is not point.leaves and wanted.fullmatch(path.name):
                    return True
                if process.poll() is not None:
                    break
    return False
