"""The engine's state file, put back when the engine itself cut it short.

Pulumi 3.259.0 writes its state beside and renames it, and does rename what a full disk has cut short. It
can then not load it, and says "unexpected end of JSON input" for ever. What was there before lies in its
copies. An older state does no harm: what is in force stands in the records, and resources adopt what runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lockstep.files import NoRegularFile, read_regular, write_atomic
from lockstep.jsontext import from_json


@dataclass(frozen=True)
class EngineState:
    """file: the state of one stack; copies: folders in which the engine keeps copies of it."""

    file: Path
    copies: tuple[Path, ...]
    progress: Callable[[str], None]

    def mend(self) -> None:
        """Put the newest whole copy in the place of a state that cannot be read.

        Without any, the state goes, and the next update begins with an empty one. The caller has seen to it
        that no update is running.
        """
        if not self.file.exists() or is_whole(self.file):
            return
        for copy in self._newest_first():
            if is_whole(copy):
                write_atomic(self.file, copy.read_bytes(), mode=0o600)
                self.progress(f"the engine's state was cut short; it is put back from {copy.name}")
                return
        self.file.unlink()
        self.progress("the engine's state was cut short, and so are its copies: it begins anew")

    def _newest_first(self) -> list[Path]:
        found = [self.file.with_name(f"{self.file.name}.bak")]
        for folder in self.copies:
            found += [*folder.glob("*.checkpoint.json"), *folder.glob(f"{self.file.stem}.*.json")]
        there = [path for path in found if path.is_file()]
        return sorted(there, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def is_whole(file: Path) -> bool:
    """Whether a file holds a checkpoint that the engine can load."""
    try:
        held = from_json(read_regular(file))
    except (NoRegularFile, ValueError):
        return False
    return isinstance(held, dict) and isinstance(held.get("checkpoint"), dict)
