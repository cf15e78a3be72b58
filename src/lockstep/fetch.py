"""`python -m lockstep.fetch`: bring one release from the registry to a folder, verified; a pod's first step.

The folder is made under another name and renamed when every blob has the digest that the manifest gives, so
a server that finds it finds all of it. Exits with the error's code, with what to do on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import LockstepError
from lockstep.stores import open_store

NAME = "bundle"
"""What the server is told to look for, whatever the release."""


def fetch(store_url: str, release: str, folder: Path) -> Path:
    """The release `folder`/bundle, whole. Raises UsageError `release.unknown`, IntegrityError
    `release.corrupt`, Unavailable."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / NAME
    made = open_store(store_url).materialize(release, folder)
    if wanted.is_symlink():
        wanted.unlink()
    wanted.symlink_to(made.name, target_is_directory=True)
    return wanted


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lockstep.fetch", description=__doc__)
    parser.add_argument("--store", required=True, help="URL of the release store: file:///... or s3://...")
    parser.add_argument("--release", required=True, help="digest, sha256:...")
    parser.add_argument("--to", type=Path, required=True, help="folder that will hold `bundle`")
    arguments = parser.parse_args(argv)
    try:
        made = fetch(arguments.store, arguments.release, arguments.to)
    except LockstepError as error:
        if error.remedy:
            sys.stderr.write(f"next: {error.remedy}\n")
        sys.stderr.write(f"error: {error.message} [{error.code}]\n")
        return error.exit_code
    sys.stderr.write(f"{arguments.release} is in {made}, verified\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
