"""The supervisord of a stack itself: started detached, found again, woken, and cleared away.

Everything goes over a unix socket that only this user can open.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import DeadlineExceeded
from lockstep.files import NoRegularFile, read_regular, write_atomic
from lockstep.local import procfs
from lockstep.local.supervisor_rpc import SHUTTING_DOWN, proxy
from lockstep.local.supervisord import daemon_conf
from lockstep.lock import locked

LOOK_S = 3.0
"""Seconds that a look waits for supervisord. One that is asked to stop something may take longer."""
ENDING_S = 10.0
SOCKETS = Path("/tmp")


@dataclass(frozen=True)
class Daemon:
    """One stack's supervisord. `run`: the stack's run folder."""

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

    def _rpc(self, *, timeout_s: float = 30.0) -> Any:
        return proxy(str(self.socket), timeout_s)

    def has_daemon_file(self) -> bool:
        try:
            return read_regular(self._conf) == daemon_conf(self.run, self.socket).encode()
        except OSError:
            return False

    def is_stuck(self) -> bool:
        """Whether there is a supervisord of this stack that does not answer: nobody can say what runs."""
        return self._own_daemon() is not None and self._daemon_pid(timeout_s=LOOK_S) is None

    def _write_daemon_file(self) -> None:
        write_atomic(self._conf, daemon_conf(self.run, self.socket).encode(), mode=0o600)

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
            return int(read_regular(self.run / "supervisord.pid"))
        except (FileNotFoundError, NoRegularFile, ValueError):
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
            procfs.send(pid, signal.SIGCONT)

    def _clear_remains(self) -> None:
        """End what a dead or deaf supervisord left: one that is stopped by a signal does not die with it,
        keeps its port, and would answer beside the one that is started now."""
        daemon = self._own_daemon()
        if daemon is not None:
            procfs.send(daemon, signal.SIGKILL)
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
            procfs.send(pid, signal.SIGTERM)
        elif not self._is_leaving():
            return
        until = time.monotonic() + 30
        while self._is_leaving() or self._daemon_pid() is not None or (pid is not None and procfs.lives(pid)):
            if time.monotonic() > until:
                if pid is not None:
                    procfs.send(pid, signal.SIGKILL)  # its children die with it (see child.py)
                return
            time.sleep(0.05)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent.exists() and not any(self.socket.parent.iterdir()):
            self.socket.parent.rmdir()


def end_all(pids: list[int]) -> None:
    """End these processes: asked first (and woken, or they would not hear it), then killed."""
    for number, patience_s in ((signal.SIGTERM, ENDING_S), (signal.SIGKILL, ENDING_S)):
        for pid in filter(procfs.lives, pids):
            procfs.send(pid, number)
            procfs.send(pid, signal.SIGCONT)
        until = time.monotonic() + patience_s
        while any(map(procfs.lives, pids)) and time.monotonic() < until:
            time.sleep(0.02)
