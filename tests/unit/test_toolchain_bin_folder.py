"""Obtaining programs: official artefacts from a loopback server, real Go builds of a tiny module."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import signal
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from lockstep.errors import IntegrityError, Unavailable
from lockstep.local import procfs
from lockstep.toolchain import bin_folder, envoy, golang, known, receipt
from lockstep.toolchain.versions import Download, GoRecipe, Program, Versions
from tests.support.children import awaited
from tests.support.loopback import served

RELEASED = b"#!/bin/sh\necho released 1.2.3\n"
MAIN = 'package main\n\nvar Version = "unset"\n\nfunc main() { println("built", Version) }\n'


def archive(member: str = "tiny-1.2.3/tiny", content: bytes = RELEASED) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Server:
    """Serves one artefact on loopback. cut: how many bytes of it are kept back."""

    def __init__(self) -> None:
        self.artefact = archive()
        self.cut = 0
        self.status = 200
        self.requests = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests += 1
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(owner.artefact)))
                self.end_headers()
                self.wfile.write(owner.artefact[: len(owner.artefact) - owner.cut])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/tiny.tar.gz"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with served(made.http):
        yield made


@pytest.fixture
def pinned(tmp_path: Path, server: Server) -> Versions:
    """One program, `tiny`: a release on the server and a Go recipe that says the same version."""
    module = tmp_path / "recipe"
    module.mkdir()
    (module / "go.mod").write_text("module tiny.local/tiny\n\ngo 1.26\n")
    (module / "main.go").write_text(MAIN)
    sha256 = hashlib.sha256(server.artefact).hexdigest()
    program = Program(
        name="tiny",
        version="1.2.3",
        check=(),
        go=GoRecipe(folder=module, package="tiny.local/tiny", ldflags="-X main.Version=1.2.3", files={}),
        download=Download(url=server.url, members={"tiny": "tiny-1.2.3/tiny"}, sha256=sha256),
        key="tiny-1.2.3-key",
    )
    return Versions(programs=(program,), go_minimum=(1, 26), envoy="0")


def with_download(pinned: Versions, **changes: object) -> Versions:
    program = pinned.programs[0]
    assert program.download is not None
    return replace(pinned, programs=(replace(program, download=replace(program.download, **changes)),))


def origin(made: Path) -> str:
    document = receipt.read(made.parent)
    assert document is not None
    return str(document["origins"]["tiny"])


def test_a_release_with_the_pinned_sum_is_used(pinned: Versions, server: Server, tmp_path: Path) -> None:
    root, said = tmp_path / "cache", list[str]()
    assert bin_folder.find(pinned, root) is None
    made = bin_folder.ensure(pinned, root, said.append)
    assert (made / "tiny").read_bytes() == RELEASED
    assert os.access(made / "tiny", os.X_OK)
    assert os.access(made / "pulumi-language-python", os.X_OK)
    assert origin(made) == server.url
    assert any("downloading tiny 1.2.3" in line for line in said)


def test_a_program_that_is_no_archive(pinned: Versions, server: Server, tmp_path: Path) -> None:
    server.artefact = RELEASED
    plain = with_download(pinned, members={}, sha256=hashlib.sha256(RELEASED).hexdigest())
    made = bin_folder.ensure(plain, tmp_path / "cache", lambda line: None)
    assert (made / "tiny").read_bytes() == RELEASED


@pytest.mark.parametrize("fault", ["wrong sum", "truncated", "missing", "offline", "other content", "member"])
def test_a_release_that_cannot_be_used_is_built_from_go(
    pinned: Versions, server: Server, tmp_path: Path, fault: str
) -> None:
    expected = {
        "wrong sum": "its SHA-256 is",
        "truncated": "ended after|IncompleteRead",
        "missing": "404",
        "offline": "refused",
        "other content": "cannot be unpacked",
        "member": "cannot be unpacked",
    }[fault]
    match fault:
        case "wrong sum":
            server.artefact = archive(content=b"#!/bin/sh\necho evil 1.2.3\n")
        case "truncated":
            server.cut = 7
        case "missing":
            server.status = 404
        case "offline":
            pinned = with_download(pinned, url="http://127.0.0.1:1/tiny.tar.gz")
        case "other content":
            server.artefact = b"not an archive"
            pinned = with_download(pinned, sha256=hashlib.sha256(server.artefact).hexdigest())
        case "member":
            server.artefact = archive(member="elsewhere/tiny")
            pinned = with_download(pinned, sha256=hashlib.sha256(server.artefact).hexdigest())
    said: list[str] = []
    made = bin_folder.ensure(pinned, tmp_path / "cache", said.append)
    assert origin(made) == "go build tiny.local/tiny"
    assert (made / "tiny").read_bytes()[:4] == b"\x7fELF"
    assert sum("is built from Go, because" in line for line in said) == 1
    assert any(_matches(expected, line) for line in said), said
    assert not list(tmp_path.rglob("artefact"))


def _matches(pattern: str, line: str) -> bool:
    return any(part in line for part in pattern.split("|"))


def test_without_a_pinned_sum_nothing_is_downloaded(pinned: Versions, server: Server, tmp_path: Path) -> None:
    made = bin_folder.ensure(with_download(pinned, sha256=None), tmp_path / "cache", lambda line: None)
    assert origin(made) == "go build tiny.local/tiny"
    assert server.requests == 0


def test_a_build_that_fails_leaves_nothing_and_says_why(pinned: Versions, tmp_path: Path) -> None:
    (pinned.programs[0].go.folder / "main.go").write_text("package main\nfunc main() { nonsense }\n")
    root = tmp_path / "cache"
    with pytest.raises(Unavailable, match="nonsense") as caught:
        bin_folder.ensure(with_download(pinned, sha256=None), root, lambda line: None)
    assert caught.value.code == "toolchain.build_failed"
    assert caught.value.remedy
    assert list((root / "programs").iterdir()) == []
    assert bin_folder.find(pinned, root) is None


def test_a_program_of_another_version_is_refused(pinned: Versions, server: Server, tmp_path: Path) -> None:
    server.artefact = archive(content=b"#!/bin/sh\necho released 1.2.4\n")
    other = with_download(pinned, sha256=hashlib.sha256(server.artefact).hexdigest())
    with pytest.raises(Unavailable, match=r"1\.2\.4") as caught:
        bin_folder.ensure(other, tmp_path / "cache", lambda line: None)
    assert caught.value.code == "toolchain.wrong_version"
    assert bin_folder.find(other, tmp_path / "cache") is None


def test_a_second_ensure_does_nothing(pinned: Versions, server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    first = bin_folder.ensure(pinned, tmp_path / "cache", lambda line: None)
    assert bin_folder.ensure(pinned, tmp_path / "cache", said.append) == first
    assert said == []
    assert server.requests == 1


def test_two_at_once_make_one(pinned: Versions, server: Server, tmp_path: Path) -> None:
    """One download, and no one's folder is replaced under the feet of another."""
    root, made = tmp_path / "cache", list[tuple[Path, int]]()

    def make() -> None:
        folder = bin_folder.ensure(pinned, root, lambda line: None)
        made.append((folder, folder.stat().st_ino))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert server.requests == 1


def test_a_changed_program_is_not_found_and_is_made_again(pinned: Versions, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    made = bin_folder.ensure(pinned, root, lambda line: None)
    (made / "tiny").unlink()
    (made / "tiny").write_bytes(b"#!/bin/sh\necho evil 1.2.3\n")
    assert bin_folder.find(pinned, root) is None
    assert bin_folder.ensure(pinned, root, lambda line: None) == made
    assert (made / "tiny").read_bytes() == RELEASED


def test_a_folder_that_was_copied_is_found(pinned: Versions, tmp_path: Path) -> None:
    made = bin_folder.ensure(pinned, tmp_path / "one", lambda line: None)
    shutil.copytree(tmp_path / "one", tmp_path / "two", symlinks=True, copy_function=shutil.copyfile)
    found = bin_folder.find(pinned, tmp_path / "two")
    assert found == tmp_path / "two" / made.relative_to(tmp_path / "one")
    assert bin_folder.ensure(pinned, tmp_path / "two", lambda line: None) == found


def test_hashing_finds_what_size_and_time_hide(pinned: Versions, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    made = bin_folder.ensure(pinned, root, lambda line: None)
    status = (made / "tiny").stat()
    (made / "tiny").write_bytes(RELEASED.replace(b"released", b"poisoned"))
    os.utime(made / "tiny", ns=(status.st_atime_ns, status.st_mtime_ns))
    document = receipt.read(made.parent)
    assert document is not None
    assert bin_folder.find(pinned, root) == made
    assert receipt.changed_files(made.parent, document, only={"bin/tiny"}) == ["bin/tiny"]
    said: list[str] = []
    assert bin_folder.ensure(pinned, root, said.append) == made
    assert (made / "tiny").read_bytes() == RELEASED, "made again, though size and time were the same"
    assert said[0] == "bin/tiny is not the file that was made here: making it again"


def test_a_program_replaced_together_with_its_receipt_is_refused(pinned: Versions, tmp_path: Path) -> None:
    """The checkout has its own note of what it used; both folders would have to be changed in step."""
    root, note = tmp_path / "cache", tmp_path / "toolchain.json"
    made = bin_folder.ensure(pinned, root, lambda line: None)
    known.require(note, made.parent, anew=True)
    known.require(note, made.parent, anew=False)
    (made / "tiny").unlink()
    (made / "tiny").write_bytes(b"#!/bin/sh\necho evil 1.2.3\n")
    receipt.write(made.parent, sorted(made.iterdir()), {"origins": {"tiny": "elsewhere"}})
    assert bin_folder.ensure(pinned, root, lambda line: None) == made, "it agrees with its receipt"
    with pytest.raises(IntegrityError, match=r"tiny in .* not what this checkout used") as caught:
        known.require(note, made.parent, anew=False)
    assert caught.value.code == "toolchain.replaced"
    assert str(note) in caught.value.remedy
    note.unlink()
    known.require(note, made.parent, anew=False)


def test_the_installed_envoy_is_the_published_one_and_another_is_not(tmp_path: Path) -> None:
    binary = envoy()
    assert binary is not None
    known.require_envoy(binary)
    (tmp_path / "envoy").write_bytes(b"\x7fELF another")
    with pytest.raises(IntegrityError) as caught:
        known.require_envoy(tmp_path / "envoy")
    assert caught.value.code == "toolchain.envoy_replaced"


def test_a_build_killed_between_programs_goes_on_with_the_next(
    pinned: Versions, server: Server, tmp_path: Path
) -> None:
    """Killed inside the second program: the first is kept, and only the second is made by the next one."""
    first = pinned.programs[0]
    slow = replace(first, name="late", key="late-1.2.3-key", download=None)
    both = replace(pinned, programs=(first, slow))
    root = tmp_path / "cache"
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            bin_folder.ensure(both, root, lambda line: "late" in line and os.kill(os.getpid(), 9))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    kept = root / "programs" / first.key
    assert (kept / "tiny").read_bytes() == RELEASED
    inode, said = (kept / "tiny").stat().st_ino, list[str]()
    made = bin_folder.ensure(both, root, said.append)
    assert (made / "tiny").stat().st_ino == inode
    assert (made / "late").read_bytes()[:4] == b"\x7fELF"
    assert not any("tiny 1.2.3" in line for line in said), said
    assert server.requests == 1


def test_a_kill_inside_a_running_build_leaves_no_program_and_no_build(
    pinned: Versions, tmp_path: Path
) -> None:
    """The Go build ends with its parent; what it was writing is never found, and goes with the next run."""
    built, root = with_download(pinned, sha256=None), tmp_path / "cache"
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.environ["GOCACHE"] = str(tmp_path / "empty")  # so that it takes seconds
            bin_folder.ensure(built, root, lambda line: None)
        os._exit(0)
    parent = psutil.Process(pid)

    def builds() -> list[psutil.Process]:
        return [each for each in parent.children() if procfs.command(each.pid)[1:2] == ["build"]]

    assert awaited(lambda: bool(builds()))
    running = builds()
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    assert psutil.wait_procs(running, timeout=20)[1] == []
    assert bin_folder.find(built, root) is None
    assert not (root / "programs" / built.programs[0].key).exists()
    assert list((root / "programs").glob(".tiny-*/new"))
    assert not list((root / "programs").glob(".tiny-*/new/tiny"))
    made = bin_folder.ensure(built, root, lambda line: None)
    assert (made / "tiny").read_bytes()[:4] == b"\x7fELF"
    assert [path for path in root.rglob(".*") if path.is_dir()] == []


def test_what_a_killed_one_left_is_no_hindrance(pinned: Versions, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    (root / "programs" / pinned.programs[0].key).mkdir(parents=True)
    (root / "programs" / pinned.programs[0].key / "tiny").write_bytes(b"half")
    bin_folder.folder(pinned, root).joinpath("bin").mkdir(parents=True)
    made = bin_folder.ensure(pinned, root, lambda line: None)
    assert (made / "tiny").read_bytes() == RELEASED


def test_an_old_go_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go version go1.20.1 linux/amd64\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert golang.version_of(str(tmp_path / "go")) == (1, 20, 1)
    assert golang.find_go((1, 26)) != str(tmp_path / "go")
    with pytest.raises(Unavailable, match=r"1\.20\.1") as caught:
        golang.find_go((99, 0))
    assert caught.value.code == "toolchain.no_go"
