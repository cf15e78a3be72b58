"""What the machine has run out of or does not allow, in words: "HTTP 500" helps nobody whose disk is full,
and "Errno 30" nobody whose checkout is read-only."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lockstep.errors import LockstepError, Unavailable

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_FILES = (errno.EMFILE, errno.ENFILE)
NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
LEAST_BYTES = 1 << 20
"""With less than this free, whatever failed has probably failed for that."""


def as_error(error: OSError) -> LockstepError | None:
    """A full disk, a limit on open files or a place that may not be written to as an error of ours; None for
    anything else."""
    if error.errno in NO_SPACE:
        return Unavailable(
            f"the disk is full: {error.strerror}: {error.filename or 'a file could not be written'}",
            code="disk.full",
            remedy="free some space and run the command again; what is on the record stays",
        )
    if error.errno in NO_FILES:
        return Unavailable(
            f"too many files are open: {error.strerror}: {error.filename or 'a file could not be opened'}",
            code="files.limit",
            remedy="raise the limit on open files (`ulimit -n 4096`) and run the command again",
        )
    if error.errno in NOT_ALLOWED:
        return Unavailable(
            f"uid {os.getuid()} may not write here: {error.strerror}: {error.filename or 'a file'}",
            code="files.not_writable",
            remedy="make it writable for this user, or use a checkout of your own; `./lockstep doctor` names "
            "every folder that must be writable",
        )
    return None


def full_disk(folder: Path) -> str:
    """A line for an error's message when the disk of `folder` is full; else nothing."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return ""
    free = found.f_bavail * found.f_frsize
    if free >= LEAST_BYTES and (found.f_favail > 0 or found.f_files == 0):
        return ""
    return f"\nthe disk of {folder} is full: {free // 1024} KiB and {found.f_favail} files free"
