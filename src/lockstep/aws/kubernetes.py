"""What a Kubernetes API server says, and what pods say by way of it, over plain HTTPS; nothing is written."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import Any
from urllib.parse import quote, urlsplit

from lockstep.aws.cluster import Cluster
from lockstep.canonical import parse
from lockstep.errors import IntegrityError, Unavailable

Json = dict[str, Any]
TIMEOUT_S = 10.0
PAGE = 500
MAX_PAGE_BYTES = 32 << 20
MAX_ANSWER_BYTES = 8 << 20
"""Of a pod: some thousand routes."""
CHUNK = 1 << 16


class Kubernetes:
    """One connection to one cluster; closed by `close`. timeout_s: for how long it may be silent."""

    def __init__(self, cluster: Cluster, timeout_s: float = TIMEOUT_S) -> None:
        self._cluster = cluster
        parts = urlsplit(cluster.server)
        try:
            trusted = ssl.create_default_context(cadata=cluster.ca)
        except (ssl.SSLError, ValueError):
            raise self._silent("nobody vouches for it: its certificate authority cannot be read") from None
        self._http = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout_s, context=trusted
        )

    def close(self) -> None:
        self._http.close()

    def objects(self, path: str, labels: str = "") -> list[Json]:
        """All objects of a kind, over all namespaces. path: such as `/apis/apps/v1/deployments`.

        A kind that the cluster does not have has no objects. Raises Unavailable `cluster.silent` for a server
        that does not answer, `cluster.refused` for one that will not show them.
        """
        found: list[Json] = []
        following = ""
        while True:
            query = f"limit={PAGE}&labelSelector={quote(labels)}&continue={quote(following)}"
            page = self._get(f"{path}?{query}")
            if page is None:
                return []
            found += page.get("items") or []
            following = (page.get("metadata") or {}).get("continue") or ""
            if not following:
                return found

    def ask(self, namespace: str, pod: str, port: int, target: str, until: float) -> Json | str:
        """What a pod answers to a GET, or in words why there is no answer; never later than `until` (of the
        monotonic clock) by more than this connection's timeout."""
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}:{port}/proxy{target}"
        data = b""
        try:
            answer = self._send(path)
            while len(data) <= MAX_ANSWER_BYTES and (chunk := answer.read1(CHUNK)):
                data += chunk
                if time.monotonic() > until:
                    raise TimeoutError("it takes too long")
            answer.close()  # after `read1` the connection would go on waiting for the end
        except (OSError, http.client.HTTPException) as error:
            return f"does not answer: {error or type(error).__name__}"
        if answer.status in (401, 403):
            return f"may not be asked with these credentials: HTTP {answer.status}"
        try:
            value = parse(data) if answer.status == 200 and len(data) <= MAX_ANSWER_BYTES else None
        except IntegrityError:
            value = None
        return value if isinstance(value, dict) else f"does not answer as it should: HTTP {answer.status}"

    def _send(self, target: str) -> http.client.HTTPResponse:
        headers = {"authorization": f"Bearer {self._cluster.token}", "accept": "application/json"}
        self._http.request("GET", target, headers=headers)
        return self._http.getresponse()

    def _get(self, target: str) -> Json | None:
        try:
            answer = self._send(target)
            data = answer.read(MAX_PAGE_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(str(error) or type(error).__name__) from None
        if answer.status == 404:
            return None
        if answer.status in (401, 403):
            raise Unavailable(
                f"the cluster of {self._cluster.region} does not show its routes: HTTP {answer.status}",
                code="cluster.refused",
                remedy="see whose credentials these are, and which role of docs/aws.md may look at clusters",
            )
        try:
            value = parse(data) if answer.status == 200 and len(data) <= MAX_PAGE_BYTES else None
        except IntegrityError:
            value = None
        if not isinstance(value, dict):
            raise self._silent(f"HTTP {answer.status}")
        return value

    def _silent(self, why: str) -> Unavailable:
        return Unavailable(
            f"the cluster of {self._cluster.region} does not answer: {why}",
            code="cluster.silent",
            remedy="see whether this machine reaches it: a private endpoint needs a way into the network",
        )
