"""What tests need of package registries, made before they run: they may have no network.

`python -m tests.support.fetched` says what it makes sure of.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lockstep.cli.output import say
from lockstep.local import environments
from tests.support.moto import moto_folder
from tests.support.serving import MODEL, environment


def kept_by_uv() -> None:
    """Tests make the environment again: uv must have its packages, even where the environment is there."""
    lock = (MODEL / "serving.lock").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        environments.ensure(
            lock, cache=Path(folder), uv=Path(sys.executable).parent / "uv", python=Path(sys.executable)
        )


if __name__ == "__main__":
    for what, there in (
        ("moto", moto_folder),
        ("the serving environment of digits", environment),
        ("its packages, kept by uv", kept_by_uv),
    ):
        say(f"   {what}")
        there()
