"""Unpacked releases in a stack's folder: which nobody refers to, what was left half, and removing both.

The layout is that of unpack.py: `<hex>` is whole, `.<hex>.parts` and `.<hex>.new` are of a process that
unpacks or was killed, `.<hex>.old` of a removal that was killed.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lockstep.lock import locked
from lockstep.release.layout import failing_loudly
from lockstep.release.unpack import UNPACKING_S

_NAMES = re.compile(r"(?P<whole>[0-9a-f]{64})|\.[0-9a-f]{64}\.(parts|new|old)")


def unused(folder: Path, referred: frozenset[str]) -> dict[Path, int]:
    """Path -> bytes of each unpacked release that is not referred to, and of each one that is half."""
    with failing_loudly(folder):
        found = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            name = _NAMES.fullmatch(path.name)
            if name is not None and f"sha256:{name['whole']}" not in referred:
                found[path] = _size(path)
        return found


def _size(path: Path) -> int:
    return path.lstat().st_size + sum(inner.lstat().st_size for inner in path.rglob("*"))


def remove(folder: Path, paths: dict[Path, int], referred: frozenset[str]) -> dict[Path, int]:
    """Remove these where they are still unused; which. A whole one is renamed first: no half one is shown."""
    with failing_loudly(folder), locked(folder / ".lock", deadline_s=UNPACKING_S):
        going = {path: size for path, size in unused(folder, referred).items() if path in paths}
        for path in going:
            aside = path if path.name.startswith(".") else path.with_name(f".{path.name}.old")
            if aside != path:
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
            shutil.rmtree(aside)
    return going
