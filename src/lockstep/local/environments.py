"""Serving environments: one for each lock file, made from exactly that file, shared by all checkouts.

An environment is built beside its place, gets its marker last and is then renamed into place. So
one that is there is whole, and a build that was killed leaves nothing that looks like one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import DeadlineExceeded, IntegrityError, LockstepError, Unavailable
from lockstep.files import NoRegularFile, open_regular, read_regular, write_atomic
from lockstep.jsontext import from_json
from lockstep.lock import locked

MARKER = "lockstep-lock.json"
"""Read again by every service when it starts (`lockstep.serving.startup`)."""

BUILD_SECONDS = 900
BUILD_FAILED = "environment.build_failed"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Launch:
    """How to start a service: its command line and its whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def launch(python: Path, bundle: Path, home: Path, options: Mapping[str, str]) -> Launch:
    """The command for a service that runs nothing but its release and its environment.

    python: from `ensure`; bundle: folder of the release; home: a folder of its own for what BentoML
    writes; options: `release`, `slot`, `region`, `model`, `port`, `runtime`.
    """
    # -B: bytecode beside the release's code would make the bundle hold more than its manifest names;
    # -P and -s: neither the working directory nor the user's site-packages can take a module's place.
    command = [str(python), "-B", "-P", "-s", "-m", "lockstep.serving", "--bundle", str(bundle)]
    for name, value in options.items():
        command += [f"--{name}", value]
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(bundle),
        "PYTHONUNBUFFERED": "1",
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        # Without these each service keeps a thread pool and a heap for every core.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }
    return Launch(tuple(command), environment)


def ensure(lock: bytes, *, cache: Path, uv: Path, python: Path, progress: Progress = lambda _: None) -> Path:
    """The python of the environment made from `lock` (a requirements file with hashes), built if missing.

    cache: the folder that holds environments; uv, python: programs, and python decides the version.
    Raises IntegrityError `environment.hash_mismatch` naming the package, LockstepError
    `environment.build_failed` with uv's last lines, Unavailable `environment.no_program`,
    DeadlineExceeded `environment.deadline` and `lock.held`.
    """
    digest = "sha256:" + hashlib.sha256(lock).hexdigest()
    folder = place(lock, cache=cache, python=python)
    if _is_made_from(folder, digest) and _list_file(folder).exists() and not changed_files(folder):
        return folder / "bin" / "python"
    with locked(folder.parent / f"{folder.name}.lock", deadline_s=BUILD_SECONDS):
        if not _is_made_from(folder, digest) or changed_files(folder):
            _sweep(folder)
            progress(f"making the serving environment {folder.name}")
            _build(lock, digest, folder, uv, python)
        if not _list_file(folder).exists():
            write_atomic(_list_file(folder), json.dumps(_hashes(folder, _walk(folder))).encode())
    return folder / "bin" / "python"


def place(lock: bytes, *, cache: Path, python: Path) -> Path:
    """Where the environment made from `lock` lies, or will."""
    return cache / f"{hashlib.sha256(lock).hexdigest()[:16]}-py{_version(python)}"


def changed_files(folder: Path) -> list[str]:
    """What is not as it was made: changed, missing or more. Empty where there is no list to compare with.

    Only what the kernel has seen changed since the list was written is hashed: that time cannot be set back
    by whoever edits a file. (A hard link made elsewhere moves it too; then the digest says that all is well.)
    """
    try:
        listed = from_json(read_regular(_list_file(folder)))
        since = _list_file(folder).stat().st_mtime_ns
    except (OSError, ValueError):
        return []
    begun = time.time_ns()
    found = _walk(folder)
    later = {name: changed for name, changed in found.items() if changed >= since and name in listed}
    wrong = {name for name, digest in _hashes(folder, later).items() if listed[name] != digest}
    wrong |= found.keys() ^ listed.keys()
    if later and not wrong:  # so that the next look need not hash them again
        with contextlib.suppress(OSError):
            os.utime(_list_file(folder), ns=(begun, begun))
    return sorted(wrong)


def _list_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".files.json")


def _walk(folder: Path) -> dict[str, int]:
    """Name -> time of the last change (ns, kept by the kernel) of every file and link, also of a link to a
    folder, because Python would import what lies behind it. `lib64 -> lib`, which each has, is left out."""
    found: dict[str, int] = {}
    folders = [("", str(folder))]
    while folders:
        prefix, path = folders.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append((name + "/", entry.path))
                    continue
                if name == "lib64" and entry.is_symlink() and Path(entry.path).readlink() == Path("lib"):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found[name] = entry.stat(follow_symlinks=False).st_ctime_ns
    return found


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What each file holds; a pipe holds none, nor does what is gone, because the environment is being made
    again."""
    found = {}
    for name in names:
        path = folder / name
        try:
            if path.is_symlink():
                found[name] = "-> " + str(path.readlink())
                continue
            with open_regular(path) as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NoRegularFile):
            found[name] = ""
    return found


def _is_made_from(folder: Path, digest: str) -> bool:
    try:
        marker = from_json(read_regular(folder / MARKER))
    except (OSError, ValueError):
        return False
    return marker == {"digest": digest} and os.access(folder / "bin" / "python", os.X_OK)


def _sweep(folder: Path) -> None:
    """Remove what a killed build left, and an environment whose marker is not its own. Under the lock."""
    for left in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(left, ignore_errors=True)
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.building-", dir=folder.parent))
        folder.rename(aside / "old")
        shutil.rmtree(aside, ignore_errors=True)


def _build(lock: bytes, digest: str, folder: Path, uv: Path, python: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.building-", dir=folder.parent))
    try:
        env, requirements = work / "env", work / "requirements.txt"
        requirements.write_bytes(lock)
        _uv(uv, "venv", "--relocatable", "--python", str(python), str(env))
        _sync(uv, env / "bin" / "python", requirements)
        with (env / MARKER).open("w") as marker:
            json.dump({"digest": digest}, marker)
            marker.flush()
            os.fsync(marker.fileno())
        _list_file(folder).unlink(missing_ok=True)
        env.rename(folder)
        write_atomic(_list_file(folder), json.dumps(_hashes(folder, _walk(folder))).encode())
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sync(uv: Path, python: Path, requirements: Path) -> None:
    """Compiled now, because a service never writes bytecode; no builds, because a build runs code that no
    hash covers. Every package is named by its hash, so one that uv has kept is as good as the registry's,
    which is asked only where one is missing: an environment is put right without a network, too."""
    words = ["pip", "sync", "--require-hashes", "--no-build", "--compile-bytecode"]
    words += ["--python", str(python), str(requirements)]
    try:
        _uv(uv, "--offline", *words)
    except LockstepError as error:
        if error.code != BUILD_FAILED:
            raise
        _uv(uv, *words)


def _version(python: Path) -> str:
    """`3.11` of an interpreter."""
    if python == Path(sys.executable):
        return ".".join(map(str, sys.version_info[:2]))
    program = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    return _run([str(python), "-I", "-S", "-c", program])


def _uv(uv: Path, *arguments: str) -> None:
    _run([str(uv), "--no-config", "--no-progress", *arguments])


def _run(command: Sequence[str]) -> str:
    """Run a program to its end; what it said on stdout. Its children end with it."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"cannot run {Path(command[0]).name}: {error.strerror}",
            code="environment.no_program",
            remedy="run `./lockstep doctor`",
        ) from None
    try:
        out, err = process.communicate(timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(
            f"making the serving environment took over {BUILD_SECONDS} s",
            code="environment.deadline",
            remedy="see whether the package registry answers, and run the command again",
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise _failure(err)
    return out


def _failure(said: str) -> LockstepError:
    found = re.search(r"Hash mismatch for `([^`]+)`", said)
    if found:
        return IntegrityError(
            f"{found[1]} is not the package that the lock file names: its hash differs",
            code="environment.hash_mismatch",
            remedy="do not use this release; a lock file and its packages never change",
        )
    return LockstepError(
        "the serving environment cannot be made: " + " | ".join(said.strip().splitlines()[-6:]),
        code=BUILD_FAILED,
        remedy="see whether the package registry answers, and run the command again",
    )
