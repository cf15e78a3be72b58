"""Pulumi's history files, as the records list them: name and SHA-256, so that editing one shows.

On a self-managed backend they are plain files, two an update, with `.gz` or `.zst` where it compresses:
`<backend>/.pulumi/history/<project>/<stack>/<stack>-<nanoseconds>.history.json`, `...checkpoint.json`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_NAME = re.compile(r"(.+-[0-9]+)\.(?:history|checkpoint)\.json(?:\.gz|\.zst)?")
_CHUNK = 1 << 20


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
        data = path.read_bytes()
        found = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is damaged: it holds no object")
    return found


def sha256(path: Path) -> str:
    """Hex; a checkpoint file can be large, so it is read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def newer(history_dir: Path, last_listed: Iterable[str]) -> list[dict[str, str]]:
    """`[{"name", "sha256"}]` of every file that no record has listed yet.

    last_listed: the names in the newest record that listed any. A file with a name before them that was
    not listed then is older than the log: it is not listed later either.
    """
    seen = set(last_listed)
    newest = max((_update(name) for name in seen), default="")
    # >=: an update's checkpoint file appears a moment after its history file.
    fresh = [name for name in names(history_dir) if name not in seen and _update(name) >= newest]
    return [{"name": name, "sha256": sha256(history_dir / name)} for name in fresh]


def _update(name: str) -> str:
    """What the two files of one update share: stack and time. Sorts by time."""
    return name.partition(".")[0]


def changed(history_dir: Path, listed: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    """(name, what is wrong) of every listed file that is gone or has other bytes."""
    found = []
    for item in listed:
        path = history_dir / item["name"]
        if "/" in item["name"] or not path.is_file():
            found.append((item["name"], "is missing"))
        elif sha256(path) != item["sha256"]:
            found.append((item["name"], "has other bytes than when it was recorded"))
    return found
