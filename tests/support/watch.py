"""Names that come and go in folders, seen the moment they do (inotify), for kills at a point."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CREATED, DELETED, MOVED_TO = 0x100, 0x200, 0x80
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Watch:
    """Every name that appeared in (or left) the watched folders since."""

    descriptor: int
    folders: dict[int, Path] = field(default_factory=dict)

    def add(self, folder: Path, *, mask: int = CREATED | MOVED_TO | DELETED) -> None:
        """Watch a folder. One that is not there is not watched."""
        number = _LIBC.inotify_add_watch(self.descriptor, os.fsencode(folder), mask)
        if number >= 0:
            self.folders[number] = folder

    def events(self, timeout_s: float) -> Iterator[tuple[Path, bool]]:
        """(path, whether it appeared rather than left) of what happens next; nothing after `timeout_s`."""
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.descriptor], [], [], left)[0]:
                return
            data, at = os.read(self.descriptor, 65536), 0
            while at < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, at)
                name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                at += _EVENT.size + length
                if number in self.folders:
                    yield self.folders[number] / os.fsdecode(name), not mask & DELETED


@contextmanager
def watching(*folders: Path) -> Iterator[Watch]:
    descriptor = _LIBC.inotify_init1(os.O_CLOEXEC)
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    watch = Watch(descriptor)
    try:
        for folder in folders:
            watch.add(folder)
        yield watch
    finally:
        os.close(descriptor)
