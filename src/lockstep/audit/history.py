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

_NAME = re.compile(r"([A-Za-z0-9_.-]{1,100})-([0-9]{1,20})\.(?:history|checkpoint)\.json(?:\.gz|\.zst)?")
"""Stack and nanoseconds. Only what a stack may be called: names go into records, which have a size limit."""
_CHUNK = 1 << 20
AHEAD_S = 60
"""By how much a clock may have been put back since the engine wrote a file."""


def names(history_dir: Path) -> list[str]:
    """The history files there are, oldest first (their names carry the time); [] without a folder. One that
    is called after another stack than its folder is none."""
    if not history_dir.is_dir():
        return []
    found = [(_written(history_dir, path.name), path.name) for path in history_dir.iterdir()]
    return [name for written, name in sorted(found) if written]


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
    newest = max((_written(history_dir, name) for name in seen), default=0)
    latest = time.time_ns() + AHEAD_S * 10**9
    # newest, too: an update's checkpoint file appears a moment after its history file.
    fresh = [
        name
        for name in names(history_dir)
        if name not in seen and newest <= _written(history_dir, name) <= latest
    ]
    found = []
    for name in fresh:
        with contextlib.suppress(FileNotFoundError, NoRegularFile):
            found.append({"name": name, "sha256": sha256(history_dir / name)})
    return found


def _written(history_dir: Path, name: str) -> int:
    """When the engine wrote a file of this stack, in nanoseconds since 1970; 0 for what is none."""
    found = _NAME.fullmatch(name)
    return int(found[2]) if found and found[1] == history_dir.name else 0


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
