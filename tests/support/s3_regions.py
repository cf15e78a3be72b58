"""One S3 server seen as S3 in many regions: versitygw knows one, and refuses what is signed for others.

What is signed for the server's own region passes as it is. What is signed for another one, as for the bucket
of a copy, is asked again for the server's own; and so is what names the owner that it expects, because the
server's buckets belong to its own kind of user, and here to an account.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from lockstep.audit.s3http import SignedHttp
from lockstep.audit.sigv4 import Credentials
from tests.support.loopback import Handler, served
from tests.support.versity import Server

TIMEOUT_S = 60
ANSWERED = ("connection", "content-length", "date", "server", "transfer-encoding")
Reply = tuple[int, list[tuple[str, str]], bytes]


@dataclass
class Regions:
    """account: whose the buckets are. regions: bucket -> where it is said to be, for each not at home. fault:
    a status to answer everything with."""

    server: Server
    account: str
    regions: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fault: int = 0
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        self.asked.append(f"{method} {target}")
        if self.fault:
            return self.fault, [], b""
        owner = headers.get("x-amz-expected-bucket-owner")
        if owner not in (None, self.account):
            return 403, [], b""
        region = headers.get("authorization", "").partition("Credential=")[2].split("/")[2:3]
        if owner is None and region in ([], [self.server.region]):
            return self._passed(method, target, headers, body)
        where = urlsplit(target)
        who = Credentials(self.server.access, self.server.secret, self.server.region)
        http = SignedHttp(self.server.endpoint, lambda: who, TIMEOUT_S, lambda: datetime.now(UTC))
        query = dict(parse_qsl(where.query, keep_blank_values=True))
        said = http.ask(method, unquote(where.path), query, {}, body)
        kept = {**said.headers, "x-amz-bucket-region": self._region(where.path)}
        return said.status, list(kept.items()), said.body

    def _region(self, path: str) -> str:
        return self.regions.get(path.strip("/").split("/")[0], self.server.region)

    def _passed(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, headers)
            said = connection.getresponse()
            return said.status, said.getheaders(), said.read()
        finally:
            connection.close()


@contextlib.contextmanager
def serving(regions: Regions) -> Iterator[Regions]:
    class Way(Handler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, said, data = regions.answer(self.command, self.path, headers, body)
            except OSError:
                self.close_connection = True  # as silent as the server behind it
                return
            lengths = [value for name, value in said if name.lower() == "content-length"]
            self.send_response(status)
            for name, value in said:
                if name.lower() not in ANSWERED:
                    self.send_header(name, value)
            length = lengths[0] if self.command == "HEAD" and lengths else str(len(data))
            self.send_header("content-length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    regions.port = server.server_address[1]
    with served(server):
        yield regions
