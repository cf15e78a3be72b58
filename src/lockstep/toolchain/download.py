"""Fetching a program's official release, whose SHA-256 is pinned. Nothing unverified is ever unpacked."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from lockstep.toolchain.versions import Download, Program

TIMEOUT_S = 30.0
LIMIT = 1 << 30  # bytes; no artefact of ours comes near
CHUNK = 1 << 20


class NotDownloaded(Exception):
    """There is no artefact that can be used; the text says why. The caller builds from Go."""


def fetch(program: Program, into: Path) -> None:
    """Download, verify and unpack the program's files into the folder. Raises NotDownloaded."""
    download = program.download
    if download is None:
        raise NotDownloaded("no release is named for this platform")
    if download.sha256 is None:
        raise NotDownloaded("no checksum is pinned for this platform")
    artefact = into / "artefact"
    try:
        _get(download, artefact)
        _unpack(program, download, artefact, into)
    finally:
        artefact.unlink(missing_ok=True)


def _get(download: Download, to: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(download.url, timeout=TIMEOUT_S) as answer, to.open("wb") as file:
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                if size > LIMIT:
                    raise NotDownloaded(f"{download.url} is larger than {LIMIT} bytes")
                digest.update(chunk)
                file.write(chunk)
            expected = answer.headers.get("Content-Length")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise NotDownloaded(f"{download.url}: {error}") from None
    if expected is not None and size != int(expected):
        raise NotDownloaded(f"{download.url} ended after {size} of {expected} bytes")
    if digest.hexdigest() != download.sha256:
        raise NotDownloaded(
            f"{download.url} is not used: its SHA-256 is {digest.hexdigest()}, pinned is {download.sha256}"
        )


def _unpack(program: Program, download: Download, artefact: Path, into: Path) -> None:
    if not download.members:
        shutil.copyfile(artefact, into / program.name)
        (into / program.name).chmod(0o755)
        return
    try:
        with tarfile.open(artefact) as archive:
            for name, path in download.members.items():
                source = archive.extractfile(path)
                if source is None:
                    raise NotDownloaded(f"{path} in {download.url} is not a file")
                with source, (into / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
                (into / name).chmod(0o755)
    except (tarfile.TarError, KeyError, OSError) as error:
        raise NotDownloaded(f"{download.url} cannot be unpacked: {error}") from None
