"""A kube-apiserver over HTTPS: apply, read, delete, and which kinds it knows.

Written on the standard library: the stand-in needs six calls of an interface whose Python client is 30 MB.
"""

from __future__ import annotations

import http
import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias
from urllib.parse import urlencode

from lockstep.errors import LockstepError, Unavailable

Object: TypeAlias = dict[str, Any]
TIMEOUT_S = 30.0
BUSY_S = 20.0
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Access:
    """How an API server is reached. authority: the PEM of what has signed its certificate."""

    host: str
    port: int
    token: str
    authority: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    """What the server calls a kind. namespaced: its objects lie in namespaces; kept: they can be deleted, so
    they are more than a question."""

    version: str
    name: str
    plural: str
    namespaced: bool
    kept: bool

    def path(self, namespace: str, name: str = "") -> str:
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}" + (f"/{name}" if name else "")


class Refused(LockstepError):
    """The server said no. status: HTTP; reason: its own word, `Invalid`, `Forbidden`, `NotFound`, ..."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(
            message,
            code=f"kubernetes.{reason or status}",
            remedy="mend what the server names in the object",
        )
        self.status = status
        self.reason = reason


class UnknownKind(LockstepError):
    """The server does not know the kind: its definition is missing."""

    def __init__(self, version: str, kind: str) -> None:
        super().__init__(
            f'no matches for kind "{kind}" in version "{version}"',
            code="kubernetes.NoMatch",
            remedy=f"let the object depend on the definition that brings {kind}",
        )


@dataclass(frozen=True)
class Answer:
    """What came back. warnings: the texts of the server's Warning headers."""

    document: Object
    warnings: tuple[str, ...]


class Api:
    """One server. Safe to share between threads: each has a connection of its own."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._context = ssl.create_default_context(cadata=access.authority)
        self._connections = threading.local()
        self._kinds: dict[str, dict[str, Kind]] = {}

    def kind(self, version: str, kind: str) -> Kind:
        """Raises UnknownKind; a kind that was not there is asked for again."""
        if kind not in self._kinds.get(version, {}):
            self._kinds[version] = self._discover(version)
        found = self._kinds[version].get(kind)
        if found is None:
            raise UnknownKind(version, kind)
        return found

    def apply(self, thing: Object, manager: str, *, dry_run: bool = False, force: bool = False) -> Answer:
        """Server-side apply with strict field validation. Raises Refused, UnknownKind."""
        kind = self.kind(thing["apiVersion"], thing["kind"])
        about = thing["metadata"]
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = kind.path(about.get("namespace", ""), about["name"])
        return self.request("PATCH", path, query, thing, APPLY)

    def try_create(self, thing: Object) -> Answer:
        """A dry run of a plain creation, for objects that only a controller makes. Raises Refused."""
        kind = self.kind(thing["apiVersion"], thing["kind"])
        path = kind.path(thing["metadata"].get("namespace", ""))
        return self.request("POST", path, {"dryRun": "All", "fieldValidation": "Strict"}, thing)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """None where it is not."""
        try:
            return self.request("GET", kind.path(namespace, name)).document
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Every object of a kind, in one namespace or in all."""
        items = self.request("GET", kind.path(namespace)).document.get("items") or []
        return [{"apiVersion": kind.version, "kind": kind.name, **item} for item in items]

    def groups(self) -> list[str]:
        """Every group and version that is served, as `apiVersion` says it."""
        groups = self.request("GET", "/apis").document["groups"]
        return ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]

    def kinds(self, version: str) -> Mapping[str, Kind]:
        """The kinds of one group and version, as they are now."""
        self._kinds[version] = self._discover(version)
        return self._kinds[version]

    def _discover(self, version: str) -> dict[str, Kind]:
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            document = self.request("GET", path).document
        except Refused as refusal:
            if refusal.status == 404:
                return {}
            raise
        return {
            entry["kind"]: Kind(
                version, entry["kind"], entry["name"], entry["namespaced"], "delete" in entry["verbs"]
            )
            for entry in document["resources"]
            if "/" not in entry["name"]
        }

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Raises Refused for an answer that is not 2xx, Unavailable `kubernetes.unreachable` for none. A
        server that is busy, with a new definition say, is asked again for a while, as its clients do."""
        headers = {"Authorization": f"Bearer {self._access.token}", "Content-Type": content_type}
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body).encode()
        patience = time.monotonic() + BUSY_S
        try:
            status, said, warnings = self._exchange(method, target, content, headers)
            while status == http.HTTPStatus.TOO_MANY_REQUESTS and time.monotonic() < patience:
                time.sleep(0.1)
                status, said, warnings = self._exchange(method, target, content, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"the API server at {self._access.host}:{self._access.port} does not answer: {error}",
                code="kubernetes.unreachable",
                remedy="see whether it still runs",
            ) from error
        if not 200 <= status < 300:
            raise _refusal(status, said)
        return Answer(json.loads(said) if said.startswith(b"{") else {}, warnings)

    def _exchange(
        self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, tuple[str, ...]]:
        connection = getattr(self._connections, "one", None)
        if connection is None:
            connection = self._connections.one = http.client.HTTPSConnection(
                self._access.host, self._access.port, timeout=TIMEOUT_S, context=self._context
            )
        try:
            connection.request(method, target, content, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(), _warnings(answer.msg.get_all("Warning") or ())
        except BaseException:
            connection.close()
            self._connections.one = None
            raise


def _warnings(headers: Any) -> tuple[str, ...]:
    """`299 - "text"`, quotes in the text escaped (RFC 7234, section 5.5)."""
    texts = (header.partition('"')[2].rpartition('"')[0] for header in headers)
    return tuple(text.replace('\\"', '"').replace("\\\\", "\\") for text in texts)


def _refusal(status: int, said: bytes) -> Refused:
    try:
        document = json.loads(said)
    except ValueError:
        document = {}
    message = document.get("message") or said.decode(errors="replace")[:500] or f"HTTP {status}"
    return Refused(message, status=status, reason=document.get("reason") or "")
