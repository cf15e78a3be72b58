"""An advisory lock on a file, held for a `with` block. Freed by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import DeadlineExceeded

NOTE_BYTES = 512
READ_AGAIN_S = 1.0


class LockHeld(DeadlineExceeded):
    """Somebody else holds the lock."""


@contextmanager
def locked(path: Path, *, deadline_s: float = 60, note: str | None = None) -> Iterator[None]:
    """Hold `path` exclusively. Raises DeadlineExceeded `lock.held` after `deadline_s` seconds.

    note: what the holder says of itself to those who find the lock taken; `holder` reads it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + deadline_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise LockHeld(
                        f"another process holds {path.name} for more than {deadline_s:.0f} s",
                        code="lock.held",
                        remedy="wait for the other update to end, or see who holds it with `fuser`",
                    ) from None
                time.sleep(0.05)
        if note is not None:
            # One write of one size over the former holder's: a reader meets the one or the other, whole.
            said = f"pid {os.getpid()} {note}".encode()[:NOTE_BYTES]
            os.pwrite(descriptor, said.ljust(NOTE_BYTES), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Who holds a lock that was found taken: `pid 12 (the note)`; "unknown" if it never says.

    A holder says so a moment after it has the lock; until then the former one's note stands there, so one
    whose process is gone is read again.
    """
    until = time.monotonic() + READ_AGAIN_S
    while True:
        try:
            word, pid, *note = path.read_text(errors="replace").split(maxsplit=2)
            if word == "pid" and Path(f"/proc/{int(pid)}").exists():
                return f"pid {pid} ({note[0].strip()})" if note else f"pid {pid}"
        except (OSError, ValueError):
            pass  # not written yet
        if time.monotonic() > until:
            return "unknown"
        time.sleep(0.02)
