"""Keeps a local stack's processes alive, through supervisord.

supervisord is started detached by whichever resource needs it first and is stopped when the last
program leaves; it outlives `pulumi up`. One program is one file in conf.d; its name is the process's
name. Everything goes over a unix socket that only this user can open.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import DeadlineExceeded, LockstepError, Unavailable
from lockstep.files import write_atomic
from lockstep.local import procfs
from lockstep.local.supervisor_rpc import BAD_NAME, SHUTTING_DOWN, proxy
from lockstep.local.supervisord import Program, daemon_conf, program_conf
from lockstep.lock import locked

LOOK_S = 3.0
"""Seconds that a look waits for supervisord. One that is asked to stop something may take longer."""
ENDING_S = 10.0
SOCKETS = Path("/tmp")


@dataclass(frozen=True)
class Supervisor:
    """The supervisord of one stack. `run`: the stack's run folder."""

    run: Path

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def socket(self) -> Path:
        """In /tmp, because a unix socket's path may have only 107 bytes; whatever TMPDIR and XDG_RUNTIME_DIR
        say, because the next command may come from another login, and the first one's folder goes with it."""
        name = hashlib.sha256(str(self.run.resolve()).encode()).hexdigest()[:16]
        return SOCKETS / f"lockstep-{os.getuid()}-{name}" / "supervisor.sock"

    @property
    def _conf(self) -> Path:
        return self.run / "supervisord.conf"

    def _program_file(self, name: str) -> Path:
        return self.run / "conf.d" / f"{name}.conf"

    def _rpc(self, *, timeout_s: float = 30.0) -> Any:
        return proxy(str(self.socket), timeout_s)

    def states(self) -> dict[str, str]:
        """Program name -> state name (RUNNING, STARTING, BACKOFF, FATAL, ...); empty if nothing runs."""
        return {process["name"]: process["statename"] for process in self._processes()}

    def pids(self) -> dict[str, int]:
        """Program name -> process id of what is running."""
        return {process["name"]: process["pid"] for process in self._processes() if process["pid"]}

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
            return self._program_file(program.name).read_text() == program_conf(program, self.logs)
        except (OSError, UnicodeDecodeError):
            return False

    def has_daemon_file(self) -> bool:
        try:
            return self._conf.read_text() == daemon_conf(self.run, self.socket)
        except (OSError, UnicodeDecodeError):
            return False

    def is_stuck(self) -> bool:
        """Whether there is a supervisord of this stack that does not answer: nobody can say what runs."""
        return self._own_daemon() is not None and self._daemon_pid(timeout_s=LOOK_S) is None

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
                os.kill(pid, signal.SIGCONT)
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

    def _write_daemon_file(self) -> None:
        write_atomic(self._conf, daemon_conf(self.run, self.socket).encode(), mode=0o600)

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

    def _daemon_pid(self, *, timeout_s: float = 30.0) -> int | None:
        """Of the daemon that answers, also while it is on its way out; None if none does."""
        try:
            return int(self._rpc(timeout_s=timeout_s).getPID())
        except (OSError, http.client.HTTPException):
            return None
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != SHUTTING_DOWN:
                raise
            return self._recorded_pid()

    def _recorded_pid(self) -> int | None:
        """From the pid file, which supervisord removes a moment before it stops answering."""
        try:
            return int((self.run / "supervisord.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _own_daemon(self) -> int | None:
        """The recorded daemon, if that process is alive and really is this stack's supervisord."""
        pid = self._recorded_pid()
        return pid if pid is not None and str(self._conf) in procfs.command(pid) else None

    def recover(self) -> None:
        """Have a supervisord that answers, or none and nothing of a former one: to be called before anybody
        asks whether a port is free."""
        with locked(self.run / "supervisor.lock"):
            self._wake_daemon()
            if self._daemon_pid(timeout_s=ENDING_S) is None and not self._is_leaving():
                self._clear_remains()

    def _wake_daemon(self) -> None:
        pid = self._own_daemon()
        if pid is not None and procfs.state(pid) == "T":
            os.kill(pid, signal.SIGCONT)

    def _clear_remains(self) -> None:
        """End what a dead or deaf supervisord left: one that is stopped by a signal does not die with it,
        keeps its port, and would answer beside the one that is started now."""
        daemon = self._own_daemon()
        if daemon is not None:
            os.kill(daemon, signal.SIGKILL)
        left = procfs.started_with("SUPERVISOR_SERVER_URL", f"unix://{self.socket}")
        end_all([*left, *([] if daemon is None else [daemon])])

    def _is_leaving(self) -> bool:
        try:
            self._rpc().getState()
            return False
        except (OSError, http.client.HTTPException):
            return False
        except xmlrpc.client.Fault as fault:
            return bool(fault.faultCode == SHUTTING_DOWN)

    def _ensure_daemon(self) -> None:
        self._wake_daemon()
        if self._is_leaving():
            self._stop_daemon()
        if self._daemon_pid(timeout_s=ENDING_S) is not None:
            return
        self._clear_remains()
        for folder in (self.run / "conf.d", self.logs, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.socket.parent.chmod(0o700)
        # Programs of a former life (before a reboot) are started by the resources that own them.
        for file in (self.run / "conf.d").glob("*.conf"):
            file.unlink()
        self._write_daemon_file()
        subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.run,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
        until = time.monotonic() + 20
        while self._daemon_pid() is None:
            if time.monotonic() > until:
                raise DeadlineExceeded(
                    "supervisord did not start within 20 s",
                    code="process.no_supervisor",
                    remedy=f"read {self.run / 'supervisord.log'}",
                )
            time.sleep(0.05)

    def _stop_daemon(self) -> None:
        self._wake_daemon()
        pid = self._daemon_pid(timeout_s=ENDING_S)
        if pid is None:
            self._clear_remains()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        elif not self._is_leaving():
            return
        until = time.monotonic() + 30
        while self._is_leaving() or self._daemon_pid() is not None or (pid is not None and procfs.lives(pid)):
            if time.monotonic() > until:
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)  # its children die with it (see child.py)
                return
            time.sleep(0.05)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent.exists() and not any(self.socket.parent.iterdir()):
            self.socket.parent.rmdir()


def runs_as(pid: int, program: Program) -> bool:
    """Whether a process was started with the program's command and environment (perhaps through child.py)."""
    argv, environment = procfs.command(pid), procfs.environment(pid)
    return argv[-len(program.argv) :] == list(program.argv) and program.env.items() <= environment.items()


def end_all(pids: list[int]) -> None:
    """End these processes: asked first (and woken, or they would not hear it), then killed."""
    for number, patience_s in ((signal.SIGTERM, ENDING_S), (signal.SIGKILL, ENDING_S)):
        for pid in filter(procfs.lives, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
        until = time.monotonic() + patience_s
        while any(map(procfs.lives, pids)) and time.monotonic() < until:
            time.sleep(0.02)
