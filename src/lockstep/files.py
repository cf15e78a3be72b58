"""Files that are there whole or not at all, and reading that does not wait for ever."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from io import BufferedReader
from pathlib import Path


class NoRegularFile(OSError):
    """A folder, a pipe, a socket or a circle of links lies where a file is to be."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is no regular file", str(path))


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, at once: a pipe that lies in its place would have one wait for ever.

    Raises NoRegularFile, and OSError as `open` does.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ELOOP):
            raise NoRegularFile(path) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NoRegularFile(path)
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file. Raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file so that a reader, a kill or a power cut meets either the old bytes or the new.

    Written beside under a name of its own, synced, renamed over; the folder's names are synced, too.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sweep(path: Path) -> None:
    """Remove what killed writers left beside a file. Only for who alone may write it now."""
    for left in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 16}"):
        left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
