"""Lists of objects from a Kubernetes API server, over plain HTTPS; nothing is ever written."""

from __future__ import annotations

import http.client
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

from lockstep.aws.cluster import Cluster
from lockstep.canonical import parse
from lockstep.errors import IntegrityError, Unavailable

Json = dict[str, Any]
TIMEOUT_S = 10.0
PAGE = 500
MAX_PAGE_BYTES = 32 << 20


class Kubernetes:
    """One connection to one cluster; closed by `close`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        parts = urlsplit(cluster.server)
        try:
            trusted = ssl.create_default_context(cadata=cluster.ca)
        except (ssl.SSLError, ValueError):
            raise self._silent("nobody vouches for it: its certificate authority cannot be read") from None
        self._http = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=TIMEOUT_S, context=trusted
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

    def _get(self, target: str) -> Json | None:
        headers = {"authorization": f"Bearer {self._cluster.token}", "accept": "application/json"}
        try:
            self._http.request("GET", target, headers=headers)
            answer = self._http.getresponse()
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
