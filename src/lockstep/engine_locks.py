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
class Holder:
    """Who took a lock, as its file says."""

    pid: int
    host: str
    user: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid})"

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()

    @classmethod
    def read(cls, data: bytes) -> Holder | None:
        """None for what the engine has not written, or not to its end."""
        try:
            said = from_json(data)
            holder = cls(int(said["pid"]), str(said["hostname"]), str(said["username"]))
        except (ValueError, OverflowError, KeyError, TypeError):
            return None
        return holder if 0 < holder.pid <= MAX_PID else None


@dataclass(frozen=True)
class Lock:
    """One lock file. holder: None while it is half written."""

    file: Path
    holder: Holder | None


@dataclass(frozen=True)
class EngineLocks:
    """The locks of one stack. folder: where the backend keeps them."""

    folder: Path
    progress: Callable[[str], None]
    remedy: ClassVar[str] = "wait for it to end; a lock whose holder is dead is cleared by `./lockstep up`"

    def holders(self) -> str:
        """Who is at it, in words."""
        return ", ".join(str(lock.holder) for lock in self._read() if lock.holder) or "unknown"

    def taken(self) -> bool:
        return any(True for _ in self._read())

    def clear_dead(self) -> None:
        """Remove what nobody holds. The caller is the only `./lockstep` command that changes this stack."""
        for lock in self._read():
            if lock.holder is None:
                self._clear_half_written(lock.file)
            elif lock.holder.here:
                self._clear(lock.file, lock.holder.pid)

    def _clear(self, file: Path, pid: int) -> None:
        process = holding(pid, file)
        if process is not None and _abandoned(process):
            self.progress(f"ending the update that a killed command left running (pid {pid})")
            _end(process)
            process = holding(pid, file)
        if process is None and file.exists():
            self.progress(f"clearing the lock of a dead update (pid {pid})")
            file.unlink(missing_ok=True)

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
                data = read_regular(file)
            except FileNotFoundError:
                continue
            except NoRegularFile:
                if file.is_dir():  # the engine reads none
                    continue
                data = b""
            # One that was never renamed is half written, whatever it holds.
            yield Lock(file, Holder.read(data) if file.suffix == ".json" else None)


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
