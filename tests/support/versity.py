"""A versitygw of its own for a test: fresh folders, a free port, an object-locked bucket."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from lockstep.audit.folder import VersityFolder
from lockstep.audit.s3 import S3Bucket
from lockstep.audit.versity import REGION, new_credentials, server_command
from lockstep.errors import Unavailable
from lockstep.toolchain import ensure, find

BUCKET = "lockstep-audit"
START_S = 20.0


def binary() -> Path:
    """The pinned versitygw; made first where the toolchain is not there yet."""
    found = find() or ensure(lambda line: click.echo(line, err=True))
    return found.versitygw


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running versitygw over `root`; stop and start keep folders, port and credentials."""

    root: Path
    port: int
    access: str
    secret: str
    region: str = REGION
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name: str = BUCKET) -> S3Bucket:
        return S3Bucket(self.endpoint, name, self.access, self.secret, self.region)

    def folder(self, name: str = BUCKET) -> VersityFolder:
        return VersityFolder(self.data, self.versions, name)

    def start(self, *, bucket: str | None = BUCKET) -> None:
        """Start it and wait until it answers; with a bucket of this name, unless it is None."""
        for folder in (self.data, self.versions):
            folder.mkdir(parents=True, exist_ok=True)
        command = server_command(
            binary(), self.data, self.versions, self.port, self.access, self.secret, self.region
        )
        with (self.root / "versitygw.log").open("ab") as log:
            self.process = subprocess.Popen(
                command.argv, env={"PATH": os.defpath, **command.env}, stdout=log, stderr=log
            )
        self._await(bucket)

    def _await(self, bucket: str | None) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                if bucket is None:
                    self.bucket("none").exists()
                else:
                    self.bucket(bucket).create()
                return
            except Unavailable:
                if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: asked to end, it waits ten seconds for a caller who says nothing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=START_S)
            self.process = None


@contextlib.contextmanager
def versity(root: Path) -> Iterator[Server]:
    """A server with an empty object-locked bucket, ended when the block is left."""
    access, secret = new_credentials()
    server = Server(root, free_port(), access, secret)
    server.start()
    try:
        yield server
    finally:
        server.stop()
