"""Files that a test compares with, rewritten by one command and read as diffs.

LOCKSTEP_REWRITE_GOLDENS=1 ./lockstep test -- -k golden
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "LOCKSTEP_REWRITE_GOLDENS"


def require_same(golden: Path, text: str) -> None:
    """Fails with a diff where `text` is not what the file says; writes it instead when asked to."""
    if os.environ.get(VARIABLE) == "1":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.is_file(), f"{golden.name} is missing; make it with {VARIABLE}=1"
    assert text == golden.read_text(), f"if this is meant, rewrite {golden.name} with {VARIABLE}=1"
