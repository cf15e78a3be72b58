"""Who, and from which commit: what every record says of how it came about."""

from __future__ import annotations

import os
import subprocess
from typing import Any


def claimed_actor() -> str:
    """Who this says it is: a claim, recorded as one."""
    import socket

    return os.environ.get("LOCKSTEP_ACTOR") or f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    """The user's name; in a container the number may have none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"


def git_state(root: str) -> dict[str, Any] | None:
    """The checkout's commit and whether it has changes; None outside a git checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changes = subprocess.run(
            ["git", "-C", root, "status", "--porcelain"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
