"""Files that a test compares with, rewritten by one command and read as diffs.

LOCKSTEP_REWRITE_GOLDENS=1 ./lockstep test -- -k golden
"""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

VARIABLE = "LOCKSTEP_REWRITE_GOLDENS"


def require_same(golden: Path, text: str) -> None:
    """Fails with a diff where `text` is not what the file says; writes it instead when asked to."""
    if os.environ.get(VARIABLE) == "1":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.is_file(), f"{golden.name} is missing; make it with {VARIABLE}=1"
    before = golden.read_text()
    changes = "".join(unified_diff(before.splitlines(True), text.splitlines(True), "golden", "now"))
    assert not changes, f"if this is meant, rewrite {golden.name} with {VARIABLE}=1\n{changes}"
