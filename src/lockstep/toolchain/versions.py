"""What toolchain/versions.toml says: which outside programs, at which version, obtained how."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UsageError

PROGRAMS = ("pulumi", "opa", "versitygw")
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class GoRecipe:
    """A Go module of ours and the package in it; "" builds nothing. files: name in bin -> (module, path in
    that module); a folder there gives its YAML files."""

    folder: Path
    package: str
    ldflags: str
    files: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Download:
    """An official release artefact for this platform. members: name in bin -> path in the archive;
    empty where the artefact is the program itself. sha256: None where nobody has pinned one."""

    url: str
    members: Mapping[str, str]
    sha256: str | None


@dataclass(frozen=True)
class Program:
    """One outside program. key: changes with anything that could change its bytes."""

    name: str
    version: str
    check: tuple[str, ...]
    go: GoRecipe
    download: Download | None
    key: str

    @property
    def files(self) -> tuple[str, ...]:
        """Everything that it brings into bin; a program itself comes first."""
        return (self.name, *self.go.files) if self.go.package else tuple(self.go.files)


@dataclass(frozen=True)
class Versions:
    programs: tuple[Program, ...]
    go_minimum: tuple[int, ...]
    envoy: str


@dataclass(frozen=True)
class Judges:
    """What only tests run, each made on its own."""

    programs: Mapping[str, Program]
    go_minimum: tuple[int, ...]


def this_platform() -> str:
    """`linux-amd64` or `linux-arm64`. Raises UsageError `toolchain.platform` anywhere else."""
    machine = MACHINES.get(platform.machine().lower())
    if sys.platform != "linux" or machine is None:
        raise UsageError(
            f"there is no toolchain for {sys.platform} on {platform.machine()}",
            code="toolchain.platform",
            remedy="run Lockstep on Linux, on x86-64 or arm64",
        )
    return f"linux-{machine}"


def number(text: str) -> tuple[int, ...]:
    """`1.26.8` -> (1, 26, 8); what follows the numbers is left out."""
    parts = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def load(folder: Path) -> Versions:
    """Read `<folder>/versions.toml` and the recipes beside it. Raises UsageError `toolchain.versions`."""
    with _read(folder) as document:
        return Versions(
            programs=tuple(_program(folder, name, document[name]) for name in PROGRAMS),
            go_minimum=number(document["go"]["minimum"]),
            envoy=document["envoy"]["version"],
        )


def load_judges(folder: Path) -> Judges:
    """Read a `versions.toml` that holds judges alone. Raises UsageError `toolchain.versions`."""
    with _read(folder) as document:
        names = [name for name in document if name != "go"]
        return Judges(
            programs={name: _program(folder, name, document[name]) for name in names},
            go_minimum=number(document["go"]["minimum"]),
        )


@contextmanager
def _read(folder: Path) -> Iterator[dict[str, Any]]:
    """The document, for a block that takes it apart: whatever is wrong with it becomes the one error."""
    file = folder / "versions.toml"
    try:
        yield tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file} cannot be used: {type(error).__name__}: {error}",
            code="toolchain.versions",
            remedy="restore it with `git checkout toolchain`",
        ) from None


def _program(folder: Path, name: str, said: Mapping[str, Any]) -> Program:
    where, version, recipe = this_platform(), said["version"], said["go"]
    module = folder / "go" / recipe["recipe"]
    sums = [hashlib.sha256((module / file).read_bytes()).hexdigest() for file in ("go.mod", "go.sum")]
    basis = json.dumps([where, said, sums], sort_keys=True)
    return Program(
        name=name,
        version=version,
        check=tuple(said["check"]),
        go=GoRecipe(
            folder=module,
            package=recipe.get("package", ""),
            ldflags=recipe["ldflags"].format(version=version),
            files={to: (module, path) for to, (module, path) in recipe.get("files", {}).items()},
        ),
        download=_download(said.get("download"), version, where),
        key=f"{name}-{version}-{hashlib.sha256(basis.encode()).hexdigest()[:16]}",
    )


def _download(said: Mapping[str, Any] | None, version: str, where: str) -> Download | None:
    if said is None or where not in said["platforms"]:
        return None
    names = {"version": version, "platform": said["platforms"][where]}
    return Download(
        url=said["url"].format(**names),
        members={to: path.format(**names) for to, path in said.get("members", {}).items()},
        sha256=said.get("sha256", {}).get(where),
    )
