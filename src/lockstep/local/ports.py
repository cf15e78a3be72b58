"""Which loopback port belongs to which process of a local stack.

A name gets a port once and keeps it until it is released, so that a restart finds its neighbours
where they were. The registry is one small file in the stack's run folder; a port that somebody else
listens on is passed over when a name first asks, except for the entry point, whose port is declared.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import IntegrityError, LockstepError
from lockstep.files import NoRegularFile, read_regular
from lockstep.jsontext import from_json
from lockstep.lock import locked

ENTRY = "entry"
SPAN = 400
PATIENCE_S = 3.0


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def holder(port: int, *, apart_from: Collection[int] = ()) -> str:
    """`name (pid n)` of the process that listens on a port, as far as this user may see."""
    import psutil

    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid not in (None, *apart_from):
            try:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (pid {connection.pid}){_of_a_stack(process.cmdline())}"
            except psutil.Error:
                return f"pid {connection.pid}"
    return "a process of another user"


def _of_a_stack(words: list[str]) -> str:
    """Which checkout's stack a process belongs to, as its command tells; empty for a stranger's."""
    for word in words:
        checkout, found, _ = word.partition("/.lockstep/stacks/")
        if found:
            return f" of the stack in {checkout}"
    return ""


def listens(pid: int, port: int) -> bool:
    """Whether this process, or a child of it, listens on the port."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        found = [each for member in family for each in member.net_connections(kind="tcp")]
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)


def _has_listener(port: int) -> bool:
    import psutil

    return any(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port
        for each in psutil.net_connections(kind="tcp")
    )


def require_free(port: int, name: str) -> None:
    """Raises LockstepError `port.in_use`, naming who has the port.

    Waits a moment where nobody listens: then it is an outgoing connection, or one that is just ending.
    """
    until = time.monotonic() + PATIENCE_S
    while not is_free(port):
        if time.monotonic() < until and not _has_listener(port):
            time.sleep(0.1)
            continue
        raise LockstepError(
            f"port {port}, which {name} needs, is in use by {holder(port)}",
            code="port.in_use",
            remedy="stop that process (of another checkout's stack: `./lockstep down` there), or set "
            "lockstep:port in Pulumi.local.yaml to another number, 18680 say, and run it again",
        )


@dataclass(frozen=True)
class Ports:
    """The registry of one stack."""

    file: Path

    def all(self) -> dict[str, int]:
        """Every name with its port; empty when there is no registry yet."""
        try:
            known = {name: int(port) for name, port in from_json(read_regular(self.file)).items()}
            if all(0 < port < 1 << 16 for port in known.values()):
                return known
        except FileNotFoundError:
            return {}
        except (NoRegularFile, ValueError, OverflowError, AttributeError, TypeError):
            pass
        raise IntegrityError(
            f"{self.file} does not say which port belongs to which process",
            code="port.registry_malformed",
            remedy=f"remove it and run `./lockstep up`, which gives out ports again: rm '{self.file}'",
        )

    def get(self, name: str) -> int | None:
        return self.all().get(name)

    def declare(self, name: str, port: int) -> int:
        """Give `name` exactly this port."""
        with locked(self.file.with_suffix(".lock")):
            self._write({**self.all(), name: port})
        return port

    def assign(self, name: str, *, near: int) -> int:
        """The port of `name`: the one it has, else the first free one after `near`."""
        with locked(self.file.with_suffix(".lock")):
            known = self.all()
            if name in known:
                return known[name]
            taken = set(known.values()) | {near}
            for port in range(near + 1, near + SPAN):
                if port not in taken and is_free(port):
                    self._write({**known, name: port})
                    return port
        raise LockstepError(
            f"no free port for {name} between {near + 1} and {near + SPAN}",
            code="port.none_free",
            remedy="set lockstep:port in Pulumi.local.yaml to a quieter range",
        )

    def release(self, name: str) -> None:
        with locked(self.file.with_suffix(".lock")):
            known = self.all()
            if known.pop(name, None) is not None:
                self._write(known)

    def _write(self, ports: dict[str, int]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(ports, indent=1, sort_keys=True))
        beside.replace(self.file)
