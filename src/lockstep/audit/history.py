"""Pulumi's history files, as the records list them: name and SHA-256, so that editing one shows.

On a self-managed backend they are plain files, two an update, with `.gz` or `.zst` where it compresses:
`<backend>/.pulumi/history/<project>/<stack>/<stack>-<nanoseconds>.history.json`, `...checkpoint.json`.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lockstep.files import NoRegularFile, open_regular, read_regular
from lockstep.jsontext import from_json

_NAME = re.compile(r"([A-Za-z0-9_.-]{1,100}-([0-9]{1,20}))\.(?:history|checkpoint)\.json(?:\.gz|\.zst)?")
"""Only what a stack may be called: the names go into records, which have a size limit."""
_CHUNK = 1 << 20
AHEAD_S = 60
"""By how much a clock may have been put back since the engine wrote a file."""


def names(history_dir: Path) -> list[str]:
    """The history files there are, oldest first (their names carry the time); [] without a folder."""
    if not history_dir.is_dir():
        return []
    return sorted(path.name for path in history_dir.iterdir() if _NAME.fullmatch(path.name))


def updates(history_dir: Path) -> list[Path]:
    """The files that hold the config of an update, newest first."""
    listed = [name for name in names(history_dir) if name.endswith((".history.json", ".history.json.gz"))]
    return [history_dir / name for name in reversed(listed)]


def read(path: Path) -> dict[str, Any]:
    """The content of such a file. Raises ValueError for one that is damaged."""
    try:
        data = read_regular(path)
        found = from_json(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (FileNotFoundError, NoRegularFile, gzip.BadGzipFile, ValueError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is damaged: it holds no object")
    return found


def sha256(path: Path) -> str:
    """Hex; a checkpoint file can be large, so it is read in pieces. Raises OSError."""
    hasher = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def newer(history_dir: Path, last_listed: Iterable[str]) -> list[dict[str, str]]:
    """`[{"name", "sha256"}]` of every file that no record has listed yet.

    last_listed: the names in the newest record that listed any. A file with a name before them that was
    not listed then is older than the log: it is not listed later either. Nor is what is no file, nor one
    that is dated ahead of now: everything after it would pass for older.
    """
    seen = set(last_listed)
    newest = max((_update(name) for name in seen), default="")
    # >=: an update's checkpoint file appears a moment after its history file.
    latest = time.time_ns() + AHEAD_S * 10**9
    fresh = [
        name
        for name in names(history_dir)
        if name not in seen and _update(name) >= newest and _nanoseconds(name) <= latest
    ]
    found = []
    for name in fresh:
        with contextlib.suppress(FileNotFoundError, NoRegularFile):
            found.append({"name": name, "sha256": sha256(history_dir / name)})
    return found


def _update(name: str) -> str:
    """What the two files of one update share: stack and time. Sorts by time."""
    return _parts(name)[0]


def _nanoseconds(name: str) -> int:
    """When the engine wrote the file, since 1970."""
    return int(_parts(name)[1])


def _parts(name: str) -> tuple[str, str]:
    """Stack with time, and the time. A record may hold names of another form: they come before all."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2]) if found else ("", "0")


def changed(history_dir: Path, listed: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    """(name, what is wrong) of every listed file that is gone, has other bytes, or is no file."""
    found = []
    for item in listed:
        name, what = item["name"], None
        try:
            if "/" in name:
                what = "is missing"
            elif sha256(history_dir / name) != item["sha256"]:
                what = "has other bytes than when it was recorded"
        except (FileNotFoundError, ValueError):  # ValueError: a name that no file can have
            what = "is missing"
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
        if what is not None:
            found.append((name, what))
    return found
