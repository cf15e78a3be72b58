"""Real control planes for tests: made once a run, with the definitions that the program's objects need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from lockstep.aws.proxies import NAMESPACE, PORT
from lockstep.standin.kubernetes import access, status
from lockstep.standin.kubernetes.api import MERGE, Api, Object
from lockstep.standin.kubernetes.cluster import Cluster, running
from lockstep.toolchain import judges
from tests.support import kube, proxies
from tests.support.egress import egress as way_to

PROGRAMS = ("etcd", "kube-apiserver")
DEFINITIONS = ("gateway-api-crds", "envoy-gateway-crds", "karpenter-crds", "keda-crds")


@contextlib.contextmanager
def clusters(
    root: Path,
    names: Sequence[str],
    *,
    definitions: Sequence[str] = DEFINITIONS,
    egress: Mapping[str, Path] | None = None,
) -> Iterator[dict[str, Cluster]]:
    """One a name, until the block ends; the judges are made first where they are not there yet. egress: name
    -> the socket by which its pods are reached."""
    made = judges.ensure([*PROGRAMS, *definitions], lambda line: click.echo(line, err=True))
    with running(root, names, made, definitions_of=definitions, egress=egress) as started:
        yield started


@contextlib.contextmanager
def clusters_with_proxies(
    root: Path, names: Sequence[str], *, definitions: Sequence[str] = DEFINITIONS
) -> Iterator[dict[str, Cluster]]:
    """Clusters with a way to the proxy that the stand-in gives a gateway. It says what the HTTPRoutes come to
    that the controller has taken, and takes no traffic."""
    with contextlib.ExitStack() as opened:
        ways = {name: opened.enter_context(way_to()) for name in names}
        sockets = {name: way.socket for name, way in ways.items()}
        started = opened.enter_context(clusters(root, names, definitions=definitions, egress=sockets))
        for name, cluster in started.items():
            port = opened.enter_context(proxies.serving(partial(_taken, cluster.api)))
            ways[name].ways[f"{status.ADDRESS}:{PORT}"] = port
        yield started


def start_proxy(api: Api, name: str, address: str, *, ready: bool = True) -> None:
    """A proxy of the gateway, whose namespace is there, as its controller would start it."""
    spec = {"containers": [{"name": "envoy", "image": "envoy.invalid/none"}]}
    pod = {**kube.pod(name), "apiVersion": "v1", "spec": spec}
    said = {**pod.pop("status"), "podIP": address, "podIPs": [{"ip": address}]}
    said["conditions"][0]["status"] = str(ready)
    api.apply(pod, "envoy-gateway", force=True)
    path = api.kind("v1", "Pod").path(NAMESPACE, name)
    api.request("PATCH", f"{path}/status", {}, {"status": said}, MERGE)


def _taken(api: Api) -> list[Object]:
    found = api.all(api.kind("gateway.networking.k8s.io/v1", "HTTPRoute"))
    return [route for route in found if _is_taken(route)]


def _is_taken(route: Object) -> bool:
    parents = (route.get("status") or {}).get("parents") or []
    said = [each["status"] for parent in parents for each in parent["conditions"]]
    return bool(said) and set(said) == {"True"}


def tell(folder: Path, started: dict[str, Cluster]) -> None:
    """Say to a stand-in with this state folder which clusters run, and where charts find definitions."""
    made = judges.ensure(DEFINITIONS, lambda line: click.echo(line, err=True))
    access.write(folder, {name: each.access for name, each in started.items()}, made)
