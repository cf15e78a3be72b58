"""Environments are whole or not there, and made from exactly the bytes of a lock file. The real uv."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.errors import IntegrityError, LockstepError, Unavailable
from lockstep.local import environments
from tests.support.serving import MODEL, ROOT

UV = Path(sys.executable).parent / "uv"
PYTHON = Path(sys.executable)


def lock_of(package: str) -> bytes:
    """The entry of one package, with its hashes, from the real lock file."""
    text = (MODEL / "serving.lock").read_text()
    found = re.search(rf"^{package}==.*?(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[0].encode()


LOCK = lock_of("six")


def ensure(lock: bytes, cache: Path, said: list[str] | None = None) -> Path:
    said = [] if said is None else said
    return environments.ensure(lock, cache=cache, uv=UV, python=PYTHON, progress=said.append)


def whole(cache: Path) -> list[Path]:
    """Folders that a reader could take for an environment."""
    return [path for path in cache.iterdir() if path.is_dir()] if cache.exists() else []


def test_an_environment_holds_what_the_lock_says_and_its_marker(tmp_path: Path) -> None:
    python = ensure(LOCK, tmp_path)
    found = subprocess.run(
        [python, "-c", "import six, sys; sys.stdout.write(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    marker = json.loads((Path(found.stdout) / environments.MARKER).read_bytes())
    assert marker == {"digest": "sha256:" + hashlib.sha256(LOCK).hexdigest()}
    assert whole(tmp_path) == [python.parents[1]]
    assert list(python.parents[1].rglob("six*.pyc"))


def test_a_changed_environment_is_seen_though_its_times_are_the_same_and_made_again(tmp_path: Path) -> None:
    folder = ensure(LOCK, tmp_path).parents[1]
    assert environments.changed_files(folder) == []
    module = next(folder.rglob("six.py"))
    status, before = module.stat(), module.read_bytes()
    module.unlink()
    module.write_bytes(before[:-1] + b"#")
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "more").write_text("")
    assert environments.changed_files(folder) == sorted([str(module.relative_to(folder)), "more"])
    said: list[str] = []
    ensure(LOCK, tmp_path, said)
    assert len(said) == 1
    assert module.read_bytes() == before
    assert environments.changed_files(folder) == []


def test_a_folder_that_is_linked_in_is_seen(tmp_path: Path) -> None:
    """Python would import what lies behind the link."""
    folder = ensure(LOCK, tmp_path).parents[1]
    (tmp_path / "elsewhere").mkdir()
    link = next(folder.rglob("six.py")).with_name("more")
    link.symlink_to(tmp_path / "elsewhere")
    assert environments.changed_files(folder) == [str(link.relative_to(folder))]
    link.unlink()
    assert environments.changed_files(folder) == []
    (folder / "lib64").unlink()
    (folder / "lib64").symlink_to(tmp_path)
    assert environments.changed_files(folder) == ["lib64"]


def test_a_pipe_in_the_place_of_a_file_is_a_change(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    folder.mkdir()
    os.mkfifo(folder / "module.py")
    (tmp_path / "env.files.json").write_text(json.dumps({"module.py": "0" * 64}))
    os.utime(tmp_path / "env.files.json", (1, 1))
    assert environments.changed_files(folder) == ["module.py"]
    (tmp_path / "env.files.json").write_bytes(b"[" * 200_000)
    assert environments.changed_files(folder) == []


def test_a_link_made_elsewhere_is_no_change(tmp_path: Path) -> None:
    """It moves the kernel's time of the last change; the digest says that all is well, and is kept."""
    folder = ensure(LOCK, tmp_path).parents[1]
    (tmp_path / "elsewhere.py").hardlink_to(next(folder.rglob("six.py")))
    assert environments.changed_files(folder) == []


def test_what_was_fetched_once_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(LOCK, tmp_path / "before")
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ensure(LOCK, tmp_path / "after").exists()


def test_what_is_missing_is_asked_of_the_registry(tmp_path: Path) -> None:
    ensure(LOCK, tmp_path / "before")
    uv, calls = tmp_path / "uv", tmp_path / "calls"
    uv.write_text(
        f"""#!/bin/sh
echo "$@" >> "{calls}"
case "$*" in *--offline*) echo "error: six was not found in the cache" >&2; exit 2;; esac
exec "{UV}" --offline "$@"
"""
    )
    uv.chmod(0o700)
    environments.ensure(LOCK, cache=tmp_path / "after", uv=uv, python=PYTHON)
    asked = [("--offline" in line, "sync" in line) for line in calls.read_text().splitlines()]
    assert asked == [(False, False), (True, True), (False, True)]


def test_it_is_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        made = set(pool.map(lambda _: ensure(LOCK, tmp_path, said), range(3)))
    assert len(made) == 1 and len(said) == 1
    assert ensure(LOCK, tmp_path, said) in made and len(said) == 1


def test_another_lock_makes_another(tmp_path: Path) -> None:
    assert ensure(LOCK, tmp_path) != ensure(LOCK + b"\n", tmp_path)


@pytest.mark.parametrize("marker", [b"", b"{}", b'{"digest":"sha256:00"}', None], ids=repr)
def test_one_with_a_wrong_marker_is_made_again(tmp_path: Path, marker: bytes | None) -> None:
    folder = ensure(LOCK, tmp_path).parents[1]
    (folder / environments.MARKER).unlink()
    if marker is not None:
        (folder / environments.MARKER).write_bytes(marker)
    (folder / "stray").touch()
    assert ensure(LOCK, tmp_path).parents[1] == folder
    assert not (folder / "stray").exists()
    assert json.loads((folder / environments.MARKER).read_bytes())["digest"].startswith("sha256:")


def test_a_wrong_hash_names_the_package_and_leaves_nothing(tmp_path: Path) -> None:
    wrong = re.sub(rb"sha256:[0-9a-f]{8}", b"sha256:00000000", LOCK)
    with pytest.raises(IntegrityError, match="six==") as caught:
        ensure(wrong, tmp_path)
    assert caught.value.code == "environment.hash_mismatch"
    assert whole(tmp_path) == []


def test_a_package_without_a_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LockstepError, match="six") as caught:
        ensure(b"six==1.17.0\n", tmp_path)
    assert caught.value.code == "environment.build_failed"
    assert whole(tmp_path) == []


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nouv") as caught:
        environments.ensure(LOCK, cache=tmp_path, uv=tmp_path / "nouv", python=PYTHON)
    assert caught.value.code == "environment.no_program"


def test_a_killed_build_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    """Killed as soon as its environment has a python, before its marker."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom lockstep.local import environments\n"
        "environments.ensure(Path(sys.argv[1]).read_bytes(), cache=Path(sys.argv[2]),"
        " uv=Path(sys.argv[3]), python=Path(sys.executable))\n"
    )
    lock, cache = tmp_path / "lock", tmp_path / "cache"
    lock.write_bytes((MODEL / "serving.lock").read_bytes())
    builder = subprocess.Popen([sys.executable, "-c", program, str(lock), str(cache), str(UV)], cwd=ROOT)
    try:
        until = time.monotonic() + 60
        while not list(cache.glob("*.building-*/env/bin/python")) and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    assert not [path for path in whole(cache) if ".building-" not in path.name]
    # The orphaned uv may go on for a moment; the next build does not mind.
    python = ensure(lock.read_bytes(), cache)
    assert [path for path in whole(cache) if ".building-" not in path.name] == [python.parents[1]]
    subprocess.run([python, "-c", "import bentoml, onnxruntime"], check=True, cwd=tmp_path)
