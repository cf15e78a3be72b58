"""Objects of any size where a record should be: memory stays bounded, and the object is named.

Each read runs in a process of its own that may have 1 GiB of address space: less than the object has. An
object of 10 GiB is hashed for half a minute, so that size is a soak.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lockstep.audit.export import export
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.s3 import S3Bucket
from tests.support.audit import ORIGIN
from tests.support.forged import Forged
from tests.support.loopback import calls
from tests.support.versity import BUCKET, versity

HUGE = 10 * 1024**3
SPACE = 1024**3
LARGE = [pytest.param(2 * 1024**3, id="2 GiB"), pytest.param(HUGE, id="10 GiB", marks=pytest.mark.soak)]

READER = """
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, ({space}, {space}))
from lockstep.audit.export import ExportFolder
from lockstep.audit.folder import VersityFolder
from lockstep.audit.note import NoteKey
from lockstep.audit.s3 import S3Bucket
from lockstep.audit.verify import verify
from lockstep.errors import LockstepError
from lockstep.evidence.keys import load_trust
given = json.loads(sys.argv[1])
bucket = {{"export": lambda: ExportFolder(Path(given["export"])),
          "folder": lambda: VersityFolder(*map(Path, given["folder"][:2]), given["folder"][2]),
          "s3": lambda: S3Bucket(*given["s3"])}}[given["kind"]]()
from lockstep.evidence.keys import Trust
trust = Trust("local", {{}})
key = NoteKey.parse(given["key"])
report = verify(bucket, given["origin"], trust, [key], now=datetime.now(UTC))
try:
    bucket.get(given["object"])
    got = "read"
except LockstepError as error:
    got = error.code
said = {{"problems": [[one.code, one.key] for one in report.problems], "get": got,
         "peak": int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024}}
print(json.dumps(said))
"""


def read(forged: Forged, key: str, **where: Any) -> dict[str, Any]:
    """What a reader with little memory says about a log with something huge under `key`."""
    given = {**where, "key": str(forged.key), "origin": ORIGIN, "object": key}
    code = textwrap.dedent(READER).format(space=SPACE)
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["peak"] < 256 * 1024**2, said["peak"]
    return said


def sparse(path: Path, size: int) -> None:
    """So many bytes that take no room on the disk."""
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("key", [record_key(3), head_key(6), tile_key(0, 0, 6)])
def test_gigabytes_in_an_export(forged: Forged, tmp_path: Path, key: str, size: int) -> None:
    out = tmp_path / "out"
    export(forged.bucket, out, forged.log.head(), [forged.key], {})
    sparse(out / key, size)
    said = read(forged, key, kind="export", export=str(out))
    assert said["get"] == "audit.object_too_large"
    assert ["audit.object_too_large", key] in said["problems"]


def test_a_version_list_of_ten_gigabytes(forged: Forged, tmp_path: Path) -> None:
    from lockstep.audit.export import ExportFolder
    from lockstep.errors import UsageError

    out = tmp_path / "out"
    export(forged.bucket, out, forged.log.head(), [forged.key], {})
    sparse(out / "versions.json", HUGE)
    with pytest.raises(UsageError) as refused:
        ExportFolder(out)
    assert refused.value.code == "audit.not_an_export"


@pytest.mark.parametrize("size", LARGE)
def test_gigabytes_in_the_bucket(genuine: Forged, tmp_path: Path, size: int) -> None:
    """Served by versitygw, and read from its folder when that is down."""
    with versity(tmp_path) as server:
        forged = Forged(server.bucket())  # type: ignore[arg-type]
        forged.story()
        sparse(server.data / BUCKET / record_key(3), size)
        served = [server.endpoint, BUCKET, server.access, server.secret]
        said = read(forged, record_key(3), kind="s3", s3=served)
        folder = [str(server.data), str(server.versions), BUCKET]
        also = read(forged, record_key(3), kind="folder", folder=folder)
    for one in (said, also):
        assert one["get"] == "audit.object_too_large"
        assert ["audit.object_too_large", record_key(3)] in one["problems"]


def liar(head: bytes, body: bytes, times: int) -> AbstractContextManager[int]:
    """A server that answers every request with this, the body as often as it is taken. Yields its port."""

    def answer(connection: socket.socket) -> None:
        connection.settimeout(60)
        while not connection.recv(65536).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(head)
        for _ in range(times):
            connection.sendall(body)

    return calls(answer)


PIECE = b"x" * 65536
ENDLESS = HUGE // len(PIECE)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % HUGE, PIECE),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"10000\r\n" + PIECE + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", PIECE),
        (b"HTTP/1.1 500 Broken\r\ncontent-length: %d\r\n\r\n" % HUGE, PIECE),
        (b"HTTP/1.1 200 OK\r\n", b"x-header: " + PIECE[:60000] + b"\r\n"),
        (b"HTTP/1.1 200 ", PIECE),
    ],
    ids=["declared", "chunked", "until-closed", "an-error", "headers", "status"],
)
def test_a_server_that_does_not_stop(head: bytes, body: bytes) -> None:
    from lockstep.errors import LockstepError

    before = _resident()
    with liar(head, body, ENDLESS) as port:
        bucket = S3Bucket(f"http://127.0.0.1:{port}", BUCKET, "a", "s", timeout_s=20)
        for ask in (
            lambda: bucket.get(record_key(0)),
            lambda: bucket.versions("record/"),
            bucket.check,
        ):
            with pytest.raises(LockstepError) as refused:
                ask()
            assert refused.value.code in (
                "audit.object_too_large",
                "audit.bucket_unreachable",
                "audit.bucket_refused",
                "audit.bucket_nonsense",
            )
    assert _resident() - before < 128 * 1024**2


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_list_that_goes_in_circles() -> None:
    from lockstep.errors import Unavailable

    page = (
        b"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>record/1</NextKeyMarker>"
        b"<NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>"
    )
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(page)
    with liar(head, page, 1) as port:
        bucket = S3Bucket(f"http://127.0.0.1:{port}", BUCKET, "a", "s", timeout_s=20)
        with pytest.raises(Unavailable) as refused:
            bucket.versions("record/")
    assert refused.value.code == "audit.bucket_nonsense"


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 9" + b"9" * 5000,
        b"content-length: -5",
        "content-length: ٣".encode(),
        b"content-length: 0\r\nx-amz-checksum-sha256: !!!!",
        b"content-length: 0\r\nx-amz-object-lock-mode: COMPLIANCE\r\n"
        b"x-amz-object-lock-retain-until-date: soon",
        b"content-length: 0\r\nx-amz-object-lock-mode: COMPLIANCE\r\n"
        b"x-amz-object-lock-retain-until-date: 0001-01-01T00:00:00+23:59",
        b"content-length: 0\r\nx-amz-object-lock-retain-until-date: 2030-01-01T00:00:00",
    ],
)
def test_odd_answers_about_an_object_are_refused_or_say_nothing(headers: bytes) -> None:
    from lockstep.errors import LockstepError

    with liar(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + headers + b"\r\n\r\n", b"", 0) as port:
        bucket = S3Bucket(f"http://127.0.0.1:{port}", BUCKET, "a", "s", timeout_s=20)
        try:
            found = bucket.head(record_key(0))
            assert found is not None and found.locked_until() is None and found.sha256 is None
        except LockstepError as error:
            assert error.code in ("audit.bucket_nonsense", "audit.bucket_unreachable")
