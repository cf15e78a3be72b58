"""An advisory lock on a file, held for a `with` block. Freed by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import DeadlineExceeded


class LockHeld(DeadlineExceeded):
    """Somebody else holds the lock."""


@contextmanager
def locked(path: Path, *, deadline_s: float = 60) -> Iterator[None]:
    """Hold `path` exclusively. Raises DeadlineExceeded `lock.held` after `deadline_s` seconds."""
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
        yield
    finally:
        os.close(descriptor)
