"""What a stand-in remembers between calls: a file of JSON lines, `{"key": ..., "value": ...}`.

A later line about a key replaces an earlier one; a null value forgets it. Writing costs one line, however
much is remembered, and several plugin processes may share the file: each takes the lock, reads what the
others have added, and adds its own. A last line that a kill has cut short is dropped.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from lockstep.errors import IntegrityError


class Kept:
    """The entries of one file. Use it as `with kept.open() as entries:`, which holds the lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._entries: dict[str, Any] = {}
        self._lock = RLock()

    @contextmanager
    def open(self) -> Iterator[Entries]:
        """The entries as they are now. What is put or dropped is on disk when the block ends, and
        nowhere if it raises."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self._path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up(file)
            entries = Entries(self._entries)
            yield entries
            lines = entries.lines()
            file.write(lines)
            self._read += len(lines)
            for key, value in entries.changes.items():
                _apply(self._entries, key, value)

    def _catch_up(self, file: Any) -> None:
        file.seek(self._read)
        added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        if whole != added:
            file.truncate(self._read + len(whole))
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                _apply(self._entries, entry["key"], entry["value"])
            except (ValueError, KeyError, TypeError) as error:
                raise IntegrityError(
                    f"{self._path} holds a line that is not ours: {line[:80]!r}",
                    code="standin.kept",
                    remedy="remove the offline project's folder; the next preview makes it again",
                ) from error
        self._read += len(whole)


class Entries:
    """Key -> value, and on top of them what this block changes."""

    def __init__(self, before: Mapping[str, Any]) -> None:
        self._before = before
        self.changes: dict[str, Any] = {}

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        merged = {**self._before, **self.changes}
        return ((key, value) for key, value in merged.items() if value is not None)

    def get(self, key: str) -> Any:
        return self.changes[key] if key in self.changes else self._before.get(key)

    def put(self, key: str, value: Any) -> None:
        """Remember it; None forgets the key."""
        self.changes[key] = value

    def drop(self, key: str) -> None:
        self.changes[key] = None

    def lines(self) -> bytes:
        entries = ({"key": key, "value": value} for key, value in self.changes.items())
        return b"".join(json.dumps(entry, separators=(",", ":")).encode() + b"\n" for entry in entries)


def _apply(entries: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value
