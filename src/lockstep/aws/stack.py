"""One stack on AWS: its log, and what its clusters show when they are asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import Unavailable
from lockstep.paths import Paths
from lockstep.table import SLOTS, Cell, Table, cells, release_in

if TYPE_CHECKING:
    from lockstep.audit.opened import OpenLog
    from lockstep.aws.cluster import Cluster
    from lockstep.evidence.keys import Trust
    from lockstep.gate.judge import Observed, Place
    from lockstep.local.drift import Drift
    from lockstep.release.store import Store

SILENT = ("aws.silent", "cluster.silent")
"""What an unreachable region answers: it counts as the record says, and holds up no other region."""
AT_ONCE = 8
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/gateways"
DEPLOYMENTS = "/apis/apps/v1/deployments"
VACANT: Cell = {"blue": None, "green": None, "green_weight": 0}
OURS = "app.kubernetes.io/part-of=lockstep"


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
        return Observed(live, {place: slots for one in seen for place, slots in one.serving.items()})

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
    from lockstep.gate.judge import Observed

    api = Kubernetes(cluster)
    try:
        gateways = api.objects(GATEWAYS)
        live = cells_of(cluster.region, gateways, api.objects(ROUTES))
        serving = serving_of(cluster.region, api.objects(DEPLOYMENTS, OURS))
    finally:
        api.close()
    for place, cell in known.items():
        if place not in live and any(release_in(cell, slot) is not None for slot in SLOTS):
            live[place] = dict(VACANT) if is_programmed(gateways) else None
    return Observed(live, serving)
