"""What a folder of programs held when it was made: digest, size and time of each file.

Size and time are compared on every start, which costs nothing; digests only when asked, by `doctor`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "receipt.json"


def sha256(file: Path) -> str:
    """64 hex digits of the file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(folder: Path, files: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Write `<folder>/receipt.json` about the files, which lie in the folder or below it."""
    entries = {}
    for file in files:
        status = file.stat()
        entries[str(file.relative_to(folder))] = {
            "sha256": sha256(file),
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
        }
    document = {**facts, "files": entries}
    (folder / NAME).write_text(json.dumps(document, indent=1, sort_keys=True))


def read(folder: Path) -> dict[str, Any] | None:
    """The receipt; None where there is none or it cannot be read."""
    try:
        document = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("files"), dict) else None


def unchanged(folder: Path, document: Mapping[str, Any]) -> bool:
    """Whether every file has the size and time that its receipt says. Reads no file."""
    for name, entry in document["files"].items():
        try:
            status = (folder / name).stat()
        except OSError:
            return False
        if (status.st_size, status.st_mtime_ns) != (entry["size"], entry["mtime_ns"]):
            return False
    return True


def changed_files(folder: Path, document: Mapping[str, Any], *, only: Container[str]) -> list[str]:
    """Those of `only` that are missing or have another digest than the receipt says. Reads every byte."""
    return [
        name
        for name, entry in document["files"].items()
        if name in only and (not (folder / name).is_file() or sha256(folder / name) != entry["sha256"])
    ]
