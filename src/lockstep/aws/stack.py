"""One stack on AWS: its log, and what its clusters show when they are asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import Unavailable
from lockstep.paths import Paths
from lockstep.table import SLOTS, Cell, Table, cells, release_in

if TYPE_CHECKING:
    from lockstep.audit.opened import OpenLog
    from lockstep.aws.cluster import Cluster
    from lockstep.aws.proxies import Way
    from lockstep.evidence.keys import Trust
    from lockstep.gate.judge import Observed, Place
    from lockstep.local.drift import Drift
    from lockstep.release.store import Store

Json = dict[str, Any]
SILENT = ("aws.silent", "cluster.silent")
"""What an unreachable region answers: it counts as the record says, and holds up no other region."""
AT_ONCE = 8
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
DEPLOYMENTS = "/apis/apps/v1/deployments"
VACANT: Cell = {"blue": None, "green": None, "green_weight": 0}
OURS = "app.kubernetes.io/part-of=lockstep"
PROXIES_S = 10.0
"""For all of a region's proxies together: what they say is no reason to hold up a rollback."""
PROXY_S = 5.0


@dataclass(frozen=True)
class AwsStack:
    """home: the region of the audit bucket and the signing keys. See lockstep.ledger.stack for what each
    method promises. environment: it names keys and clusters."""

    paths: Paths
    name: str
    home: str
    environment: str

    @property
    def opa(self) -> Path:
        from lockstep.toolchain import require

        return require().opa

    @property
    def patience_s(self) -> float:
        return 60.0

    @property
    def history(self) -> Path | str:
        return "the state backend is a bucket, whose history is no file of this machine"

    def open_log(self, *, environment: str, bucket: str, write: bool) -> OpenLog | None:
        from lockstep.aws.log import open_aws

        return open_aws(
            self.name, self.paths, home=self.home, environment=environment, bucket=bucket, write=write
        )

    def trust(self, environment: str) -> Trust:
        from lockstep.evidence.keys import load_trust

        return load_trust(self.paths.policies, environment)

    def store(self, url: str) -> Store:
        from lockstep.stores import open_store, url_of

        return open_store(url_of(url, self.paths.store))

    def observe(self, recorded: Table, regions: Collection[str]) -> Observed:
        """All regions at once; raises what `look_at` raises for one of them."""
        from lockstep.aws.cluster import cluster_of
        from lockstep.gate.judge import Observed

        def look(region: str) -> Observed:
            return look_at(region, recorded, lambda: cluster_of(self.environment, region))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            seen = list(pool.map(look, sorted(regions)))
        live = {place: cell for one in seen for place, cell in one.live.items()}
        serving = {place: slots for one in seen for place, slots in one.serving.items()}
        return Observed(live, serving, {place: why for one in seen for place, why in one.doubts.items()})

    def strays(self, regions: Iterable[str]) -> Sequence[Drift]:
        """None: what is attached to a gateway beyond our routes makes the region odd when it is looked at."""
        return ()

    def drift(
        self, recorded: Table, *, bucket: str, port: int, regions: Sequence[str], runtime: str
    ) -> Sequence[Drift]:
        """None: the engine's own refresh shows it for every resource of a cloud stack."""
        return ()

    @property
    def answers(self) -> bool:
        return True

    def alive(self) -> Collection[str]:
        return ()


def look_at(region: str, recorded: Table, reach: Callable[[], Cluster | None]) -> Observed:
    """What one region shows. reach: how to get at its cluster; None where there is none.

    A region that cannot be reached answers None for each of its recorded places. Raises UsageError for
    credentials that are not there, Unavailable `route.gateway_odd`, `cluster.refused`.
    """
    from lockstep.gate.judge import Observed

    known = {(model, at): cell for model, at, cell in cells(recorded) if at == region}
    try:
        cluster = reach()
        if cluster is None:
            return Observed({}, {})
        return _answered(cluster, known)
    except Unavailable as error:
        if error.code not in SILENT:
            raise
        return Observed(dict.fromkeys(known), {})


def _answered(cluster: Cluster, known: dict[Place, Cell]) -> Observed:
    from lockstep.aws.kubernetes import Kubernetes
    from lockstep.aws.live import cells_of, is_programmed, serving_of
    from lockstep.aws.proxies import LABELS, NAMESPACE
    from lockstep.gate.judge import Observed

    api = Kubernetes(cluster)
    try:
        gateways, routes = api.objects(GATEWAYS), api.objects(ROUTES)
        live = cells_of(cluster.region, gateways, routes)
        serving = serving_of(cluster.region, api.objects(DEPLOYMENTS, OURS))
        programmed = is_programmed(gateways)
        pods = api.objects(f"/api/v1/namespaces/{NAMESPACE}/pods", LABELS) if programmed else []
    finally:
        api.close()
    for place, cell in known.items():
        if place not in live and any(release_in(cell, slot) is not None for slot in SLOTS):
            live[place] = dict(VACANT) if programmed else None
    untaken = [place for place, cell in live.items() if cell is None]
    why = "Envoy Gateway has not taken its route" if programmed else "the gateway is not programmed"
    found = dict.fromkeys(untaken, why) | (_doubts(cluster, live, routes, pods) if programmed else {})
    return Observed({**live, **dict.fromkeys(found)}, serving, found)


def _doubts(
    cluster: Cluster, live: Mapping[Place, Cell | None], routes: Sequence[Json], pods: Sequence[Json]
) -> dict[Place, str]:
    """Why Envoy's word keeps a place from being known."""
    from lockstep.aws.live import routes_of
    from lockstep.aws.proxies import doubts, is_ready

    if not live:
        return {}
    placed, others = routes_of(cluster.region, routes)
    names = [str(pod["metadata"]["name"]) for pod in pods if is_ready(pod)]
    places = {place: placed.get(place) for place in live}
    return doubts(cluster.region, places, others, ask_proxies(cluster, names))


def ask_proxies(cluster: Cluster, names: Sequence[str]) -> dict[str, dict[str, Way] | str]:
    """What each of these proxies routes, or why it does not say; asked at once, and in `PROXIES_S` or not."""
    from lockstep.aws.kubernetes import Kubernetes
    from lockstep.aws.proxies import ENDPOINTS, NAMESPACE, PATH, PORT, ROUTES, routed

    until = time.monotonic() + PROXIES_S

    def ask(name: str) -> dict[str, Way] | str:
        left = until - time.monotonic()
        if left <= 0:
            return "was not asked in time"
        api = Kubernetes(cluster, min(left, PROXY_S))
        try:
            answers = []
            for part in (f"resource={ROUTES}", f"resource={ENDPOINTS}&include_eds"):
                answer = api.ask(NAMESPACE, name, PORT, f"{PATH}?{part}", until)
                if isinstance(answer, str):
                    return answer
                answers.append(answer)
        finally:
            api.close()
        try:
            return routed(*answers)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return f"says what cannot be read: {type(error).__name__} {error}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(ask, names), strict=True))
