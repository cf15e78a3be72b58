"""Large blobs: memory that does not grow with them, and connections that break in the middle."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lockstep.boto import BotoObjects
from lockstep.errors import Unavailable
from lockstep.release.url import S3Place
from tests.conftest import Soak
from tests.support.loopback import served
from tests.support.stores import Place

MIB = 1 << 20
BIG = bytes(range(256)) * (80 << 10)

WORK = """
import re, sys
from pathlib import Path
from tests.support import releases
from lockstep.release import bundle, manifest
from lockstep import canonical
from lockstep.stores import open_store
import hashlib

url, source, folder = sys.argv[1:]
with open(source, "rb") as file:
    digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
data, blobs = releases.contents()
value = canonical.parse(data)
value["layers"][-1].update(digest=digest, size=Path(source).stat().st_size)
blobs[digest] = Path(source)
store = open_store(url)
release = store.put(canonical.canonical(value), blobs, created=releases.NOW)
store.verify(release)
store.put(canonical.canonical(value), blobs, created=releases.NOW)
store.materialize(release, Path(folder))
store.materialize(release, Path(folder))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak_mib(place: Place, tmp_path: Path, size: int) -> float:
    """Peak memory of a process that puts, verifies and unpacks a release with a blob of this size."""
    source = tmp_path / "weights"
    with source.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") * (MIB // 8))
    done = subprocess.run(
        [sys.executable, "-c", WORK, place.url, str(source), str(tmp_path / "bundles")],
        capture_output=True,
        text=True,
        check=False,
    )
    for left in (place.root, tmp_path / "bundles"):
        shutil.rmtree(left)
    source.unlink()
    assert done.returncode == 0, done.stderr
    # Not ru_maxrss: that begins with the size of the process that started this one.
    return int(done.stdout) / 1024


def test_a_blob_larger_than_the_memory_allowed_goes_in_and_out(place: Place, tmp_path: Path) -> None:
    assert peak_mib(place, tmp_path, 300 * MIB) < 200


@pytest.mark.soak
def test_five_gigabytes_need_no_more(place: Place, tmp_path: Path, soak: Soak) -> None:
    peak = peak_mib(place, tmp_path, 5000 * MIB)
    soak.tally(f"5 GB in and out of {place.url.partition(':')[0]}://: peak {peak:.0f} MiB")
    assert peak < 256


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[S3Place]:
    """A service of one's own, for what a real one does not do when asked to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with served(server):
        yield S3Place("bucket", "", f"http://127.0.0.1:{server.server_port}", "")


def say(handler: BaseHTTPRequestHandler, status: int, code: str, secret: str = "") -> None:
    body = f"<Error><Code>{code}</Code><Message>{secret}</Message></Error>".encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")


def test_a_connection_that_breaks_is_read_on_from_there(keys: None) -> None:
    starts: list[int] = []

    def cut(handler: BaseHTTPRequestHandler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        starts.append(start)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(BIG) - start))
        handler.end_headers()
        handler.wfile.write(BIG[start : start + (7 << 20)])

    with answering(cut) as place:
        assert b"".join(BotoObjects(place).stream("key", 0)) == BIG
    assert len(starts) == 3 and starts == sorted(set(starts))


def test_a_connection_that_breaks_at_once_again_and_again_is_a_failure(keys: None) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()

    with answering(cut) as place, pytest.raises(Unavailable, match=r"release\.store_failed"):
        list(BotoObjects(place).stream("key", 0))


def test_access_denied_names_the_rights_and_shows_nothing_of_the_answer(keys: None) -> None:
    with (
        answering(lambda handler: say(handler, 403, "AccessDenied", "hunter2")) as place,
        pytest.raises(Unavailable, match=r"AccessDenied.*\n.*s3:PutObject") as caught,
    ):
        BotoObjects(place).read("key", 10)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("code", ["hunter2 <b>", "", "A" * 10000])
def test_an_error_code_that_is_none_is_not_shown(keys: None, code: str) -> None:
    with (
        answering(lambda handler: say(handler, 400, code.replace("<", "&lt;"))) as place,
        pytest.raises(Unavailable, match=r"HTTP 400") as caught,
    ):
        BotoObjects(place).read("key", 10)
    assert len(str(caught.value)) < 500


def test_an_index_without_end_is_not_read_into_memory(keys: None) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("ETag", '"x"')
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1 << 16))
        except OSError:
            return

    with answering(endless) as place:
        held = BotoObjects(place).read("key", 1000)
    assert held is not None and len(held.data) == 1001


def test_only_an_s3_url_that_is_used_loads_botocore(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lockstep.stores import open_store\n"
        f"open_store('file://{tmp_path}').list()\nopen_store('s3://bucket/x')\n"
        "sys.exit(' '.join({'botocore', 'boto3', 'urllib3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
