"""The shared folder: one folder a program, and one `bin` for each set of programs that a checkout pins.

<cache>/toolchain/programs/<name>-<version>-<key>/   the program's files and their receipt
<cache>/toolchain/<key>/bin/                         links to them, and our language host
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import DeadlineExceeded, Unavailable
from lockstep.lock import locked
from lockstep.toolchain import download, golang, receipt
from lockstep.toolchain.progress import Progress, step
from lockstep.toolchain.versions import Program, Versions

BUILD_DEADLINE_S = 3600.0
HOST = Path(__file__).with_name("language_host.py")
STUB = """\
#!/bin/sh
# Pulumi's Python language host, under the python of the active environment.
if [ -n "${VIRTUAL_ENV:-}" ] && [ -x "$VIRTUAL_ENV/bin/python" ]; then
    python=$VIRTUAL_ENV/bin/python
else
    python=${PULUMI_PYTHON_CMD:-python3}
fi
exec "$python" -I -S "${0%/*}/language_host.py" "$@"
"""


def folder(versions: Versions, root: Path) -> Path:
    """Where the set lies: named by everything that could change it."""
    basis = hashlib.sha256(HOST.read_bytes() + STUB.encode())
    for program in versions.programs:
        basis.update(program.key.encode())
    return root / basis.hexdigest()[:16]


def find(versions: Versions, root: Path) -> Path | None:
    """The `bin` folder, if it is there and every file has the size and time that it was made with, or, as
    in a folder that was copied, at least its bytes."""
    made = folder(versions, root)
    document = receipt.read(made)
    if document is None:
        return None
    return made / "bin" if receipt.unchanged(made, document) or is_whole(made) else None


def changed(home: Path) -> list[str]:
    """The files of a folder with a receipt whose bytes are not those that it was made with."""
    document = receipt.read(home)
    return [] if document is None else receipt.changed_files(home, document, only=document["files"].keys())


def is_whole(home: Path) -> bool:
    """Whether the folder is there and each byte is what its receipt says."""
    return receipt.read(home) is not None and not changed(home)


def digests(home: Path) -> dict[str, str]:
    """File -> SHA-256, as the receipt says."""
    document = receipt.read(home) or {"files": {}}
    return {name: str(entry["sha256"]) for name, entry in document["files"].items()}


def ensure(versions: Versions, root: Path, progress: Progress) -> Path:
    """The `bin` folder, made if it is missing or was changed. Every byte is hashed (0.15 s for 200 MB):
    size and time are as easily set as bytes. Raises Unavailable `toolchain.*`."""
    if is_whole(folder(versions, root)):
        return folder(versions, root) / "bin"
    with one_at_a_time(root / "lock", progress):
        if is_whole(folder(versions, root)):  # somebody else has just made it
            return folder(versions, root) / "bin"
        _sweep(root)
        for name in changed(folder(versions, root)):
            progress(f"{name} is not the file that was made here: making it again")
        made = {
            program.name: ensure_program(program, versions.go_minimum, root, progress)
            for program in versions.programs
        }
        return _assemble(folder(versions, root), made)


def _sweep(root: Path) -> None:
    """Remove what a killed one was making, some hundred MB each. Under the lock, so that nobody is at it."""
    for left in (path for folder in (root, root / "programs") for path in folder.glob(".*-*")):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def one_at_a_time(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock; say so when somebody else has it."""
    holding = locked(lock, deadline_s=0)
    try:
        holding.__enter__()
    except DeadlineExceeded:
        progress("another lockstep on this machine is making the toolchain; waiting for it")
        holding = locked(lock, deadline_s=BUILD_DEADLINE_S)
        holding.__enter__()
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def home_of(program: Program, root: Path) -> Path:
    """The program's own folder, there or not."""
    return root / "programs" / program.key


def ensure_program(program: Program, go_minimum: tuple[int, ...], root: Path, progress: Progress) -> Path:
    """The program's own folder, made if it is not whole; the caller holds the lock."""
    home = home_of(program, root)
    if is_whole(home):
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{program.name}-", dir=home.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        origin = _obtain(program, go_minimum, new, progress)
        if program.go.package:
            _check(program, new)
        made = [file for name in program.files for file in _files(new / name)]
        receipt.write(new, made, {"origin": origin})
        _put(new, home)
    return home


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _obtain(program: Program, go_minimum: tuple[int, ...], into: Path, progress: Progress) -> str:
    """Download the program or build it; where it came from."""
    label = f"{program.name} {program.version}"
    if program.download is not None and program.download.sha256 is not None:
        try:
            with step(f"downloading {label}", progress):
                download.fetch(program, into)
            return program.download.url
        except download.NotDownloaded as error:
            progress(f"{label} is built from Go, because {error}")
    go = golang.find_go(go_minimum)
    if not program.go.package:
        with step(f"fetching {label} from its Go module", progress) as detail:
            golang.build(program, go, into, detail)
        return "go mod download"
    with step(f"building {label} from Go (minutes the first time)", progress) as detail:
        golang.build(program, go, into, detail)
    return f"go build {program.go.package}"


def _check(program: Program, into: Path) -> None:
    """Refuse a program that does not run or says another version."""
    try:
        said = subprocess.run(
            [into / program.name, *program.check],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
        text = said.stdout + said.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        text = str(error)
    if program.version not in text:
        raise Unavailable(
            f"the new {program.name} does not say version {program.version}, but: {text.strip()[:200]}",
            code="toolchain.wrong_version",
            remedy="see toolchain/versions.toml: version, recipe and checksum must be of one release",
        )


def _assemble(home: Path, programs: Mapping[str, Path]) -> Path:
    """Link the programs' files into one `bin`, put the language host beside them, write the receipt."""
    with tempfile.TemporaryDirectory(prefix=".bin-", dir=home.parent) as beside:
        new = Path(beside) / "new"
        (new / "bin").mkdir(parents=True)
        origins = {}
        for program, made in programs.items():
            document = receipt.read(made) or {"files": {}, "origin": None}
            origins[program] = document["origin"]
            for name in document["files"]:
                os.link(made / name, new / "bin" / name)
        shutil.copyfile(HOST, new / "bin" / HOST.name)
        stub = new / "bin" / "pulumi-language-python"
        stub.write_text(STUB)
        stub.chmod(0o755)
        receipt.write(new, sorted((new / "bin").iterdir()), {"origins": origins})
        _put(new, home)
    return home / "bin"


def _put(new: Path, home: Path) -> None:
    """Move a finished folder to its place; a broken one that lies there is moved away first."""
    if home.exists():
        with tempfile.TemporaryDirectory(prefix=".old-", dir=home.parent) as aside:
            home.rename(Path(aside) / "old")
            new.rename(home)
    else:
        new.rename(home)
