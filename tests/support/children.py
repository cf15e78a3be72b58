"""Tiny programs for a supervisor to keep alive, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from lockstep.local.supervisor import Supervisor
from lockstep.local.supervisord import Program
from tests.support.versity import free_port

__all__ = ["awaited", "free_port", "gone", "program", "running", "server"]

SERVE = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (os.environ.get("SAYS", "") + "|" + "|".join(sys.argv[2:])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def program(name: str, code: str, directory: Path, *arguments: str, **environment: str) -> Program:
    """A Python program of one string; ends within two seconds when asked to."""
    argv = [sys.executable, "-S", "-c", code, *arguments]
    return Program(name, argv, environment, directory, stop_seconds=2)


def server(name: str, port: int, directory: Path, *arguments: str, **environment: str) -> Program:
    """A program that answers `GET /` with `SAYS|arguments`."""
    script = directory / "serve.py"
    script.write_text(SERVE)
    argv = [sys.executable, "-S", str(script), str(port), *arguments]
    return Program(name, argv, environment, directory, stop_seconds=2)


def gone(pid: int) -> bool:
    """Whether a process has ended, also where nobody has waited for it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def awaited(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether the condition came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def running(run: Path) -> Iterator[Supervisor]:
    """A supervisor whose daemon and programs are gone afterwards, whatever the test did."""
    supervisor = Supervisor(run)
    try:
        yield supervisor
    finally:
        for pid in supervisor.pids().values():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        supervisor.stop_all()
