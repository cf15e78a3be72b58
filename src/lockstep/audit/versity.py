"""How versitygw is started for an audit bucket. Who runs it (a supervisor, a test) decides the rest."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"


@dataclass(frozen=True)
class ServerCommand:
    """argv and the environment to add. Credentials are in the environment only: argv is public."""

    argv: list[str]
    env: Mapping[str, str]


def server_command(
    binary: Path, data: Path, versions: Path, port: int, access: str, secret: str, region: str = REGION
) -> ServerCommand:
    """versitygw over a posix folder with versions, on 127.0.0.1:port. Both folders must exist.

    Traps: keep-alive is off by default (one connection a request); `data` must be on a file system
    with user extended attributes, because locks live in them.
    """
    argv = [
        str(binary),
        "--port",
        f"127.0.0.1:{port}",
        "--region",
        region,
        "--keep-alive",
        "--quiet",
        "posix",
        "--versioning-dir",
        str(versions),
        str(data),
    ]
    return ServerCommand(argv, {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret})


def new_credentials() -> tuple[str, str]:
    """A fresh access key and secret for one stack's server."""
    return f"lockstep{secrets.token_hex(6)}", secrets.token_urlsafe(32)
