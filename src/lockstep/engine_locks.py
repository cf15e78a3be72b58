"""The locks of Pulumi's self-managed backend: who holds them, and which of them nobody holds any more.

A lock is a file that names host and process. The engine removes it when it ends; one that is killed
leaves it, or leaves it half written, and every update after that is refused. What happens to each file:

- its process is proven dead: removed
- half written for longer than a write takes: removed; nobody is left to finish it
- its process lives, but the `./lockstep` command that ran it was killed: ended like by Ctrl-C, then removed
- anything else: somebody's update, which is left alone
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lockstep.files import NoRegularFile, read_regular
from lockstep.jsontext import from_json

if TYPE_CHECKING:
    import psutil

COMMAND = "LOCKSTEP_COMMAND"
"""In an engine's environment: the process id of the command that runs it."""
MAX_PID = 1 << 22
"""The kernel gives out none beyond."""
WRITE_S = 2.0
END_S = 20.0


@dataclass(frozen=True)
class Lock:
    """One lock file. pid 0: it is half written."""

    file: Path
    pid: int
    host: str
    user: str

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()


@dataclass(frozen=True)
class EngineLocks:
    """The locks of one stack. folder: where the backend keeps them."""

    folder: Path
    progress: Callable[[str], None]
    remedy: ClassVar[str] = "wait for it to end; a lock whose holder is dead is cleared by `./lockstep up`"

    def holders(self) -> str:
        """Who is at it, in words."""
        known = [f"{lock.user}@{lock.host} (pid {lock.pid})" for lock in self._read() if lock.pid]
        return ", ".join(known) or "unknown"

    def taken(self) -> bool:
        return any(True for _ in self._read())

    def clear_dead(self) -> None:
        """Remove what nobody holds. The caller is the only `./lockstep` command that changes this stack."""
        for lock in self._read():
            if not lock.pid:
                self._clear_half_written(lock.file)
            elif lock.here:
                self._clear(lock)

    def _clear(self, lock: Lock) -> None:
        process = holding(lock.pid, lock.file)
        if process is not None and _abandoned(process):
            self.progress(f"ending the update that a killed command left running (pid {lock.pid})")
            _end(process)
            process = holding(lock.pid, lock.file)
        if process is None and lock.file.exists():
            self.progress(f"clearing the lock of a dead update (pid {lock.pid})")
            lock.file.unlink(missing_ok=True)

    def _clear_half_written(self, file: Path) -> None:
        """The engine writes beside and renames within milliseconds, so an old one has lost its writer."""
        until = time.monotonic() + WRITE_S
        while (written := _written(file)) is not None and time.time() - written < WRITE_S:
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        if written is not None:
            self.progress("clearing a lock that a killed update left half written")
            file.unlink(missing_ok=True)

    def _read(self) -> Iterator[Lock]:
        for file in sorted(self.folder.glob("*")):
            try:
                said = from_json(read_regular(file))
                whole = file.suffix == ".json"
                pid, host, user = int(said["pid"]), str(said["hostname"]), str(said["username"])
                known = whole and 0 < pid <= MAX_PID
                yield Lock(file, pid if known else 0, host, user)
            except FileNotFoundError:
                continue
            except (NoRegularFile, ValueError, OverflowError, KeyError, TypeError):
                if not file.is_dir():  # the engine reads none
                    yield Lock(file, 0, "", "")


def _written(file: Path) -> float | None:
    """When a file was last written to; None for one that is gone."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return None


def holding(pid: int, lock: Path) -> psutil.Process | None:
    """The process that took a lock, if it still lives: not a zombie, and not a later one of its number."""
    import psutil

    try:
        process = psutil.Process(pid)
        taken = lock.stat().st_mtime
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > taken + 1:
            return None
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
    return process


def _abandoned(engine: psutil.Process) -> bool:
    """Whether one of our commands ran this engine and is dead: it cannot be the one that asks."""
    import psutil

    try:
        command = int(engine.environ().get(COMMAND, "0"))
        if not command or command == os.getpid():
            return False
        parent = psutil.Process(command)
        return bool(
            parent.status() == psutil.STATUS_ZOMBIE or parent.create_time() > engine.create_time() + 1
        )
    except psutil.NoSuchProcess:
        return bool(engine.is_running())
    except (psutil.AccessDenied, ValueError):
        return False


def _end(engine: psutil.Process) -> None:
    """As Ctrl-C does, so that what is under way is finished and written down; then for good."""
    import signal

    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for number in (signal.SIGINT, signal.SIGKILL):
            engine.send_signal(number)
            with contextlib.suppress(psutil.TimeoutExpired):
                engine.wait(END_S)
                return
