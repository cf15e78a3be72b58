"""A checkout of its own for one end-to-end test: own files, own state, own ports, nothing shared."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

import psutil
import yaml

from lockstep.local import environments
from lockstep.local.ports import is_free
from lockstep.local.supervisor import Supervisor
from lockstep.paths import Paths, cache

ROOT = Path(__file__).parents[2]
SPAN = 24
DEADLINE_S = 240


def free_base(tries: int = 200) -> int:
    """A port with the ports of a whole stack free behind it, far from the default one.

    Below 32768: above it the kernel gives ports to outgoing connections, and a stack's may be among them.
    Test processes that run side by side have bases of their own each: none is taken between look and use.
    """
    lane, lanes = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 8
    bases = range(20000, 32700, 50)[lane % lanes :: lanes]
    for _ in range(tries):
        base = random.SystemRandom().choice(bases)
        if all(is_free(port) for port in range(base, base + SPAN)):
            return base
    raise AssertionError("no free range of ports")


def copy_tree(target: Path) -> None:
    """The files of this checkout that git has or would take, as they are now."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def own_cache(target: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """A cache for one test alone: the programs and the environment of digits, not all that a user has."""
    lock = (ROOT / "models" / "digits" / "serving.lock").read_bytes()
    envs = cache() / "envs"
    made = environments.place(lock, cache=envs, python=Path(sys.executable))
    parts = [cache() / "toolchain", *envs.glob(f"{made.name}*")]
    for part in parts:
        place = target / part.relative_to(cache())
        place.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, place, symlinks=True, copy_function=copy)
        else:
            shutil.copy2(part, place)  # never linked: whoever looks at an environment sets its list's time


@dataclass
class Checkout:
    """`run` is the command line as a user has it; what it starts is gone after `close`."""

    root: Path
    port: int
    extra: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        return Paths(self.root, self.root / ".lockstep")

    @property
    def stack_file(self) -> Path:
        return self.root / "Pulumi.local.yaml"

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.paths.stack("local").run)

    def environment(self) -> dict[str, str]:
        # Bytecode is written: the launcher has it made, and here the commands run without the launcher.
        left_out = ("PULUMI_", "LOCKSTEP_", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
        place = {key: os.environ[key] for key in ("LOCKSTEP_CACHE",) if key in os.environ}
        path = os.pathsep.join([str(self.root / "src"), str(self.root)])
        return {**kept, **place, "PYTHONPATH": path, "NO_COLOR": "1", **self.extra}

    def start(self, *words: str, said: IO[str] | None = None, alone: bool = False) -> subprocess.Popen[str]:
        """Begin `./lockstep <words>`. said: a file for all that it prints; alone: in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "lockstep.cli", *words],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=said or subprocess.PIPE,
            stderr=said or subprocess.PIPE,
            text=True,
            start_new_session=alone,
        )

    def run(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `./lockstep <words>`; fails with all it printed unless it ends with `expect`."""
        process = self.start(*words)
        out, err = process.communicate(timeout=DEADLINE_S)
        said = f"lockstep {' '.join(words)} -> {process.returncode}\n--- stdout\n{out}\n--- stderr\n{err}"
        assert process.returncode == expect, said
        assert "Traceback (most recent call last)" not in out + err, said
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str, expect: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.run(*words, "--output", "json", expect=expect).stdout))

    def status(self) -> dict[str, dict[str, Any]]:
        """`status`, by region."""
        return {entry["name"]: entry for entry in self.json("status")["regions"]}

    def releases(self) -> dict[str, str]:
        """Name (`digits-plain`) -> digest."""
        return {entry["name"]: entry["digest"] for entry in self.json("release", "list")["releases"]}

    def pulumi(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Plain `pulumi` in the environment that `./lockstep env` gives."""
        if not self.variables:
            self.variables = self.json("env")["environment"]
        done = subprocess.run(
            ["pulumi", *words],
            cwd=self.root,
            env={**self.environment(), **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == expect, f"pulumi {words} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def declare(self, **cells: dict[str, Any]) -> None:
        """Edit the stack file by hand: region (with _ for -) -> changes to its digits cell."""
        document = yaml.safe_load(self.stack_file.read_text())
        for region, changes in cells.items():
            document["config"]["lockstep:models"]["digits"][region.replace("_", "-")].update(changes)
        self.stack_file.write_text(yaml.safe_dump(document))

    def ask(self, count: int, image: bytes, *, threads: int = 8) -> list[dict[str, Any] | None]:
        """Predictions through the entry point; None for each that failed."""

        def one(_: int) -> dict[str, Any] | None:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("POST", "/v1/models/digits/predict", image, {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = response.read()
                return dict(json.loads(body)) if response.status == 200 else None
            except (OSError, HTTPException):
                return None
            finally:
                connection.close()

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(count)))

    def shares(self, count: int, image: bytes) -> tuple[Counter[tuple[str, str]], int]:
        """(region, release) -> answers, and how many failed."""
        answers = self.ask(count, image)
        good = [answer for answer in answers if answer is not None]
        return Counter((answer["region"], answer["release"]) for answer in good), count - len(good)

    def processes(self) -> list[psutil.Process]:
        """The stack's processes with all their children."""
        found = []
        for pid in self.supervisor.pids().values():
            try:
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def add_stray_route(self, region: str) -> None:
        """Somebody's route before ours in a gateway's file, by rename, so that Envoy takes it."""
        rds = self.paths.stack("local").run / "gateways" / region / "rds" / "rds.json"
        document = json.loads(rds.read_text())
        routes = document["resources"][0]["virtual_hosts"][0]["routes"]
        routes.insert(0, {"match": {"prefix": "/v1/models/digits/"}, "direct_response": {"status": 418}})
        document["version_info"] = "edited"
        beside = rds.with_name(".edited")
        beside.write_text(json.dumps(document))
        beside.replace(rds)

    def crash(self) -> None:
        """A power cut: SIGKILL for the supervisor and everything under it."""
        processes = self.processes()
        parents = {process.ppid() for process in processes if process.is_running()}
        for pid in parents & {self.supervisor._daemon_pid()} - {None}:
            os.kill(pid, signal.SIGKILL)
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=10)
        deadline = time.monotonic() + 10
        while not all(is_free(port) for port in range(self.port, self.port + SPAN)):
            assert time.monotonic() < deadline, "ports of a killed stack stay taken"
            time.sleep(0.1)

    def close(self) -> None:
        self.supervisor.stop_all()


def make(target: Path, built: Path) -> Checkout:
    """A fresh checkout in `target`, with the built releases and the keys that signed their evidence."""
    copy_tree(target)
    checkout = Checkout(target, free_base())
    shutil.copytree(built / ".lockstep", checkout.paths.state)
    trust = Path("policies") / "data" / "local.json"
    shutil.copy2(built / trust, target / trust)
    example = target / "Pulumi.local.yaml.example"
    example.write_text(example.read_text() + f"  lockstep:port: {checkout.port}\n")
    return checkout
