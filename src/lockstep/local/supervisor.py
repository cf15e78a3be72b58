"""Keeps a local stack's processes alive, through supervisord.

supervisord is started detached by whichever resource needs it first and is stopped when the last
program leaves; it outlives `pulumi up` (see lockstep.local.daemon). One program is one file in conf.d; its
name is the process's name.
"""

from __future__ import annotations

import contextlib
import http.client
import signal
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError, Unavailable
from lockstep.files import read_regular, write_atomic
from lockstep.local import procfs
from lockstep.local.daemon import LOOK_S, Daemon
from lockstep.local.supervisor_rpc import BAD_NAME, SHUTTING_DOWN
from lockstep.local.supervisord import CHILD, Program, program_conf
from lockstep.lock import locked

BECOMING_S = 1.0
"""From a fork to the program's first instruction takes milliseconds; a loaded machine takes its time."""


@dataclass(frozen=True)
class Supervisor(Daemon):
    """The programs that a stack's supervisord keeps alive."""

    def _program_file(self, name: str) -> Path:
        return self.run / "conf.d" / f"{name}.conf"

    def states(self) -> dict[str, str]:
        """Program name -> state name (RUNNING, STARTING, BACKOFF, FATAL, ...); empty if nothing runs."""
        return {process["name"]: process["statename"] for process in self._processes()}

    def pids(self) -> dict[str, int]:
        """Program name -> process id of what is running."""
        return {process["name"]: process["pid"] for process in self._processes() if process["pid"]}

    def look(self) -> dict[str, tuple[str, int]]:
        """Program name -> state name and process id, in one question."""
        return {each["name"]: (each["statename"], each["pid"]) for each in self._processes()}

    def _processes(self) -> list[dict[str, Any]]:
        try:
            return list(self._rpc(timeout_s=LOOK_S).getAllProcessInfo())
        except (OSError, http.client.HTTPException):
            return []
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != SHUTTING_DOWN:
                raise
            return []

    def is_running(self, program: Program) -> bool:
        """Whether this very program (same command, same environment) is up. The kernel is asked, not the
        program's file, which somebody may have edited since."""
        running = [process for process in self._processes() if process["name"] == program.name]
        return any(
            process["statename"] in ("RUNNING", "STARTING") and runs_as(process["pid"], program)
            for process in running
        )

    def has_file(self, program: Program) -> bool:
        """Whether the program's file says what it is to say."""
        try:
            return read_regular(self._program_file(program.name)) == program_conf(program, self.logs).encode()
        except OSError:
            return False

    def start(self, program: Program, ready: Callable[[], bool], *, deadline_s: float) -> None:
        """Bring the program up and wait until `ready()`; adopts it if it runs already.

        One that was stopped by a signal is woken; one that runs but never gets ready is started anew, once.
        Raises Unavailable `process.not_ready` with the last lines of its log; then it is stopped
        again, because a resource that failed to be made is not in the state and nobody would stop it.
        """
        self._wake_daemon()
        if self.is_running(program) and self._adopt(program, ready, deadline_s / 4):
            return
        self._replace(program)
        try:
            self._await(program.name, ready, deadline_s)
        except LockstepError:
            self.stop(program.name)
            raise

    def _adopt(self, program: Program, ready: Callable[[], bool], deadline_s: float) -> bool:
        """Take a running program over, with its file as it is to be; whether it is ready in time."""
        for pid in procfs.family(self.pids().get(program.name, 0)):
            if procfs.state(pid) == "T":
                procfs.send(pid, signal.SIGCONT)
        with locked(self.run / "supervisor.lock"):
            if not self.has_daemon_file():
                self._write_daemon_file()
            if not self.has_file(program):
                self._write_file(program)
                self._rpc().reloadConfig()
        try:
            self._await(program.name, ready, deadline_s)
        except LockstepError:
            return False
        return True

    def _replace(self, program: Program) -> None:
        with locked(self.run / "supervisor.lock"):
            self._ensure_daemon()
            rpc = self._rpc()
            self._remove(rpc, program.name)
            (self.logs / f"{program.name}.log").unlink(missing_ok=True)
            self._write_file(program)
            rpc.reloadConfig()
            rpc.addProcessGroup(program.name)

    def _write_file(self, program: Program) -> None:
        file = self._program_file(program.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, program_conf(program, self.logs).encode(), mode=0o600)

    def _await(self, name: str, ready: Callable[[], bool], deadline_s: float) -> None:
        until = time.monotonic() + deadline_s
        while not ready():
            state = self.states().get(name, "GONE")
            if state in ("FATAL", "EXITED", "BACKOFF", "GONE"):
                raise self._not_ready(name, f"stopped while starting ({state})")
            if time.monotonic() > until:
                raise self._not_ready(name, f"was not ready after {deadline_s:.0f} s")
            time.sleep(0.05)

    def _not_ready(self, name: str, what: str) -> LockstepError:
        return Unavailable(
            f"{name} {what}; the last lines of its log:\n{self.log_tail(name)}",
            code="process.not_ready",
            remedy=f"read {self.logs / name}.log, mend what it says, and run the command again",
        )

    def log_tail(self, name: str, lines: int = 12) -> str:
        try:
            text = (self.logs / f"{name}.log").read_text(errors="replace")
        except FileNotFoundError:
            return "    (no log)"
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (empty log)"

    def stop(self, name: str) -> None:
        """Stop one program and forget it; the daemon goes with the last one. Absent is fine."""
        with locked(self.run / "supervisor.lock"):
            rpc = self._rpc()
            with contextlib.suppress(ConnectionError, FileNotFoundError):  # no daemon: nothing of ours runs
                self._remove(rpc, name)
            self._program_file(name).unlink(missing_ok=True)
            if not any((self.run / "conf.d").glob("*.conf")):
                self._stop_daemon()

    def stop_all(self) -> None:
        """Stop every program and the daemon, and forget them."""
        with locked(self.run / "supervisor.lock"):
            for file in (self.run / "conf.d").glob("*.conf"):
                file.unlink()
            self._stop_daemon()

    @staticmethod
    def _remove(rpc: Any, name: str) -> None:
        try:
            rpc.stopProcessGroup(name)
            rpc.removeProcessGroup(name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != BAD_NAME:
                raise


def runs_as(pid: int, program: Program) -> bool:
    """Whether a process was started with the program's command and environment (perhaps through child.py).

    One that is only just becoming a program is waited for: after the fork it has supervisord's command,
    during an exec it has none.
    """
    until = time.monotonic() + BECOMING_S
    while True:
        argv, environment = procfs.command(pid), procfs.environment(pid)
        if argv[-len(program.argv) :] == list(program.argv) and program.env.items() <= environment.items():
            return True
        becoming = not argv or not environment or str(CHILD) in argv
        becoming = becoming or argv == procfs.command(procfs.parent(pid))
        if not becoming or not procfs.lives(pid) or time.monotonic() > until:
            return False
        time.sleep(0.01)
