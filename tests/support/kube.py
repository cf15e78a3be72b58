"""A Kubernetes API over TLS in this process: the lists that a look asks for, and nothing else."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.aws.route import answering
from lockstep.aws.proxies import LABELS, NAMESPACE, PATH, PORT
from lockstep.local.httproute import ANNOTATION, backend_name, http_route
from lockstep.table import SLOTS, Cell
from tests.support import proxies
from tests.support.loopback import Handler, SecureServer, served

Json = dict[str, Any]
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
KINDS = {
    "/apis/gateway.networking.k8s.io/v1/httproutes": "HTTPRoute",
    "/apis/gateway.networking.k8s.io/v1/gateways": "Gateway",
    "/apis/apps/v1/deployments": "Deployment",
    PODS: "Pod",
}
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


def condition(kind: str, generation: int, status: str = "True") -> Json:
    return {"type": kind, "status": status, "observedGeneration": generation, "reason": kind}


def gateway() -> Json:
    return {
        "kind": "Gateway",
        "metadata": {"name": "lockstep", "namespace": "models", "generation": 2},
        "status": {"conditions": [condition("Accepted", 2), condition("Programmed", 2)]},
    }


def accepted(route: Json, generation: int = 1) -> Json:
    """A route as the API server gives it back, after Envoy Gateway has taken it."""
    route["metadata"] |= {"namespace": "models", "generation": generation}
    for parent in route["spec"]["parentRefs"]:
        parent |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    for rule in route["spec"]["rules"]:
        for backend in rule.get("backendRefs", []):
            backend |= {"group": "", "kind": "Service"}
    route["status"] = {
        "parents": [
            {
                "controllerName": CONTROLLER,
                "parentRef": route["spec"]["parentRefs"][0],
                "conditions": [condition("Accepted", generation), condition("ResolvedRefs", generation)],
            }
        ]
    }
    return route


def deployment(model: str, region: str, slot: Any, release: str) -> Json:
    labels = {
        "app.kubernetes.io/part-of": "lockstep",
        ANNOTATION + "model": model,
        ANNOTATION + "slot": slot,
    }
    container = {"name": "server", "args": ["--bundle", "/release/bundle", "--release", release]}
    return {
        "kind": "Deployment",
        "metadata": {"name": backend_name(model, region, slot), "generation": 3, "labels": labels},
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": {
            "observedGeneration": 3,
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": 2,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


def written(model: str, region: str, cell: Cell, intent: int = 0) -> Json:
    """The route as the program writes it."""
    return answering(http_route(model, region, cell, intent=intent, record="sha256:" + "e" * 64))


def placed(model: str, region: str, cell: Cell, intent: int = 0) -> list[Json]:
    """The route and the deployments of one cell, all of them in force and ready."""
    route = accepted(written(model, region, cell, intent))
    slots = [(slot, cell.get(slot)) for slot in SLOTS]
    return [route, *(deployment(model, region, slot, release) for slot, release in slots if release)]


@dataclass
class FakeCluster:
    """objects: of all kinds; page: how many a list gives at once."""

    region: str
    token: str = "let-me-in"
    objects: list[Json] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    """Kinds that the cluster does not have."""
    page: int = 500
    status: int = 200
    port: int = 0
    ca: str = ""
    proxies: dict[str, list[Json] | int | None] = field(default_factory=lambda: {"envoy-0": None})
    """Envoys by name: the HTTPRoutes that each goes by (None: the newest), or the status that it answers."""
    unready: set[str] = field(default_factory=set)

    def put(self, *objects: Json) -> None:
        """Have exactly these objects, and a gateway."""
        self.objects = [gateway(), *objects]

    @property
    def entry(self) -> Json:
        return {"server": f"https://127.0.0.1:{self.port}", "token": self.token, "ca": self.ca}

    def answer(self, target: str, authorization: str) -> tuple[int, Json]:
        if authorization != f"Bearer {self.token}":
            return 401, {"kind": "Status", "code": 401}
        if self.status != 200:
            return self.status, {"kind": "Status", "code": self.status}
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if (asked := re.fullmatch(rf"{PODS}/([^/]+):{PORT}/proxy{PATH}", parts.path)) is not None:
            return self.proxied(asked[1], query)
        kind = KINDS.get(parts.path)
        if kind is None or kind in self.missing:
            return 404, {"kind": "Status", "code": 404}
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        found = [
            each
            for each in [*self.objects, *(pod(name, name not in self.unready) for name in self.proxies)]
            if each["kind"] == kind and wanted.items() <= (each["metadata"].get("labels") or {}).items()
        ]
        start = int(query.get("continue") or 0)
        end = start + min(int(query.get("limit") or self.page), self.page)
        following = {"continue": str(end)} if end < len(found) else {}
        return 200, {"kind": f"{kind}List", "metadata": following, "items": found[start:end]}

    def proxied(self, name: str, query: dict[str, str]) -> tuple[int, Json]:
        """What an Envoy shows of itself."""
        goes_by = self.proxies[name]
        if isinstance(goes_by, int):
            return goes_by, {"kind": "Status", "code": goes_by}
        routes = (
            [each for each in self.objects if each["kind"] == "HTTPRoute"] if goes_by is None else goes_by
        )
        return 200, proxies.shown(routes, query)


def pod(name: str, ready: bool = True) -> Json:
    """A proxy of the gateway, as Envoy Gateway starts it."""
    labels = dict(each.split("=") for each in LABELS.split(","))
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def certificate(folder: Path) -> tuple[Path, str]:
    """A key and a certificate for 127.0.0.1 that vouches for itself: (file with both, PEM of the latter)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both = folder / "server.pem"
    both.write_bytes(private + pem)
    return both, pem.decode()


@contextlib.contextmanager
def serving(cluster: FakeCluster) -> Iterator[FakeCluster]:
    class Lists(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, value = cluster.answer(self.path, self.headers.get("authorization", ""))
            self.say(status, value)

    with tempfile.TemporaryDirectory() as folder:
        both, cluster.ca = certificate(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
    server = SecureServer(Lists, context)
    cluster.port = server.server_address[1]
    with served(server):
        yield cluster
