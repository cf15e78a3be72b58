"""One stack's processes on this machine: how each is started, and what they show when asked.

The provider starts and stops through this; gate, receipt and `status` look through it. Ports belong
to names (`audit-bucket`, `gateway-<region>`, `<model>-<region>-<slot>`, `entry`; `.admin` for Envoy's
admin port), see lockstep.local.ports.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.canonical import parse
from lockstep.errors import IntegrityError, LockstepError, Unavailable
from lockstep.local import programs
from lockstep.local.ports import ENTRY, Ports, listens, require_free
from lockstep.local.probe import get
from lockstep.local.programs import BUCKET, admin_of, gateway_name
from lockstep.local.supervisor import Supervisor
from lockstep.local.supervisord import Program
from lockstep.lock import locked
from lockstep.paths import Paths, cache
from lockstep.table import SLOTS, Cell, Slot, Table

if TYPE_CHECKING:
    from lockstep.audit.opened import OpenLog
    from lockstep.evidence.keys import Trust
    from lockstep.gate.judge import Observed, Place
    from lockstep.local.drift import Drift
    from lockstep.release.store import Store
    from lockstep.toolchain import Toolchain

READY_S = 120.0
POLL_S = 0.05
ALIVE = ("RUNNING", "STARTING")


@dataclass(frozen=True)
class LocalStack:
    paths: Paths
    name: str

    @property
    def run(self) -> Path:
        return self.paths.stack(self.name).run

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.run)

    @property
    def ports(self) -> Ports:
        return Ports(self.run / "ports.json")

    @cached_property
    def toolchain(self) -> Toolchain:
        from lockstep.toolchain import require

        return require()

    # --- what the ledger asks (lockstep.ledger.stack)

    @property
    def opa(self) -> Path:
        return self.toolchain.opa

    @property
    def patience_s(self) -> float:
        return 5.0

    @property
    def history(self) -> Path:
        return self.paths.history(self.name)

    @property
    def answers(self) -> bool:
        return bool(self.alive())

    def open_log(self, *, environment: str, bucket: str, write: bool) -> OpenLog | None:
        from lockstep.audit.local import open_local

        return open_local(self.name, self.paths, write=write, environment=environment, bucket=bucket)

    def trust(self, environment: str) -> Trust:
        from lockstep.evidence.keys import load_trust

        return load_trust(self.paths.policies, environment)

    def store(self, url: str) -> Store:
        from lockstep.stores import open_store, url_of

        return open_store(url_of(url, self.paths.store))

    # --- starting

    def start_bucket(self, bucket: str, *, near: int) -> str:
        """The audit bucket's server, up, with an object-locked bucket; its endpoint."""
        from lockstep.audit.local import BucketCredentials, read_credentials, write_credentials
        from lockstep.audit.s3 import S3Bucket
        from lockstep.audit.versity import new_credentials
        from lockstep.local.bucket_settings import mend_settings

        place = self.paths.stack(self.name)
        for folder in (place.bucket_data, place.bucket_versions):
            folder.mkdir(parents=True, exist_ok=True)
        port = self.ports.assign(BUCKET, near=near)
        endpoint = f"http://127.0.0.1:{port}"
        known = read_credentials(place)
        if known is not None and known.bucket != bucket:
            raise IntegrityError(
                f"this stack's records are in the bucket {known.bucket}, not in {bucket}",
                code="audit.other_bucket",
                remedy="put lockstep:audit.bucket back; a log is never begun a second time",
            )
        access, secret = (known.access, known.secret) if known else new_credentials()
        credentials = BucketCredentials(endpoint, access, secret, bucket)
        if credentials != known:
            write_credentials(place, credentials)
        program = programs.bucket(self, credentials)
        self._start(program, port, lambda: get(port, "/") is not None, deadline_s=30)
        if (place.bucket_data / bucket / "record").is_dir():  # ours: another one that lies there is refused
            mend_settings(**asdict(credentials))
        S3Bucket(**asdict(credentials)).create()
        return endpoint

    def start_gateway(
        self, region: str, *, near: int, vouched: Callable[[Place, Cell], bool] = lambda place, cell: True
    ) -> None:
        """The region's Envoy, with those of its routes that `vouched` knows; see vouched.vouched_routes."""
        from lockstep.local.admin import is_ready, rejections
        from lockstep.local.gateway import render_gateway
        from lockstep.local.live import wait_clusters
        from lockstep.local.vouched import known_backends, vouched_routes

        name, folder = gateway_name(region), self.gateway_folder(region)
        port, admin = self.ports.assign(name, near=near), self.ports.assign(admin_of(name), near=near)
        backends = known_backends(folder, self.ports.all())
        routes = vouched_routes(folder, admin, vouched)
        render_gateway(folder, name=name, port=port, admin_port=admin, routes=routes, backends=backends)
        self._stop_strange(name, admin, programs.gateway_bootstrap(self, region))
        self._start(programs.gateway(self, region), port, lambda: is_ready(admin), deadline_s=30)
        wait_clusters(admin, backends, deadline_s=10, rejected_before=rejections(admin))

    def mend_gateways(self, vouched: Callable[[Place, Cell], bool], *, deadline_s: float = 10) -> None:
        """Give gateways with routes that are not ours their own again, those that `vouched` knows.

        Returns when none is odd any more, or after the deadline: then looking says which is.
        """
        from lockstep.local import look

        alive = self.alive()  # on a port that was a gateway's there may be a stranger
        ours = {name: port for name, port in self.ports.all().items() if name.removesuffix(".admin") in alive}
        for region in look.odd(ours):
            self.start_gateway(region, near=ours[gateway_name(region)], vouched=vouched)
        until = time.monotonic() + deadline_s
        while look.odd(ours) and time.monotonic() < until:
            time.sleep(POLL_S)

    def start_entry(self, port: int, regions: list[str]) -> None:
        from lockstep.local.admin import is_ready
        from lockstep.local.gateway import render_entry

        self.ports.declare(ENTRY, port)
        admin = self.ports.assign(admin_of(ENTRY), near=port)
        gateways = self.gateway_addresses(regions)
        render_entry(self.gateway_folder(ENTRY), name=ENTRY, port=port, admin_port=admin, gateways=gateways)
        self._stop_strange(ENTRY, admin, programs.entry_bootstrap(self, port))
        self._start(programs.entry(self, port), port, lambda: is_ready(admin), deadline_s=30)

    def _stop_strange(self, name: str, admin: int, bootstrap: bytes) -> None:
        """Stop an Envoy that was started with another bootstrap than its own, whatever its file says now."""
        from lockstep.local.inforce import bootstrap_strays

        try:
            strange = name in self.alive() and bootstrap_strays(admin, parse(bootstrap))
        except Unavailable:
            return  # it does not answer: starting it says why
        if strange:
            self.supervisor.stop(name)

    def gateway_addresses(self, regions: list[str]) -> dict[str, tuple[str, int]]:
        known = self.ports.all()
        return {region: ("127.0.0.1", known[gateway_name(region)]) for region in regions}

    def start_service(
        self, model: str, region: str, slot: Slot, *, release: str, runtime: str, store_url: str, near: int
    ) -> None:
        """A release, verified, materialized and served; its gateway knows where.

        Raises UsageError `release.unknown`, IntegrityError `release.corrupt`, Unavailable
        `process.not_ready`.
        """
        from lockstep.local.environments import ensure
        from lockstep.local.gateway import note_backend, set_backend

        bundle = self._materialize(release, store_url)
        ensure(
            (bundle / programs.lock_title(bundle, runtime)).read_bytes(),
            cache=cache() / "envs",
            uv=Path(sys.executable).parent / "uv",
            python=Path(sys.executable),
        )
        name = programs.service_name(model, region, slot)
        known, port = self.ports.get(name), self.ports.assign(name, near=near)
        program = programs.service(self, model, region, slot, release=release, runtime=runtime)
        try:
            self._start(program, port, lambda: self._serves(port, release), deadline_s=READY_S)
        except LockstepError:
            if known is None:  # it never was: nothing may look for it
                self.ports.release(name)
            raise
        admin = self.ports.get(admin_of(gateway_name(region)))
        if admin is None:
            return
        try:
            set_backend(self.gateway_folder(region), admin, name, port)
        except Unavailable as error:
            if error.code != "route.gateway_silent":
                raise
            note_backend(self.gateway_folder(region), name, port)  # it is being started beside us

    def _materialize(self, release: str, store_url: str) -> Path:
        """The release's folder; one that somebody changed is thrown away and made again from the store."""
        from lockstep.release.bundle import verify_bundle
        from lockstep.stores import open_store, url_of

        folder = self.run / "bundles"
        folder.mkdir(parents=True, exist_ok=True)
        there = programs.bundle_of(self, release)
        with locked(folder / ".mending"):
            try:
                if there.exists():
                    verify_bundle(there, release)
            except (IntegrityError, OSError):
                aside = Path(tempfile.mkdtemp(prefix=".changed-", dir=folder))
                there.rename(aside / there.name)
                shutil.rmtree(aside)
        return open_store(url_of(store_url, self.paths.store)).materialize(release, folder)

    def _start(self, program: Program, port: int, ready: Any, *, deadline_s: float) -> None:
        self.supervisor.recover()
        if program.name not in self.alive() or self._moved(program.name, port):
            require_free(port, program.name)
        self.supervisor.start(program, ready, deadline_s=deadline_s)

    @staticmethod
    def _serves(port: int, release: str) -> bool:
        from lockstep.local.look import release_at

        ready = get(port, "/readyz")
        return ready is not None and ready[0] == 200 and release_at(port) == release

    def _moved(self, name: str, port: int) -> bool:
        """Whether a running process listens somewhere else than where it is now to listen."""
        pid = self.supervisor.pids().get(name)
        return pid is not None and not listens(pid, port)

    # --- stopping

    def stop_gateway(self, region: str) -> None:
        """Stop it and forget its routes: the next gateway routes nothing before a record says so."""
        self.supervisor.stop(gateway_name(region))
        shutil.rmtree(self.gateway_folder(region), ignore_errors=True)

    def stop_service(self, model: str, region: str, slot: Slot) -> None:
        from lockstep.local.gateway import remove_backend
        from lockstep.local.httproute import backend_name

        remove_backend(self.gateway_folder(region), backend_name(model, region, slot))
        self.supervisor.stop(programs.service_name(model, region, slot))
        self.ports.release(programs.service_name(model, region, slot))

    # --- routes

    def gateway_folder(self, region: str) -> Path:
        return self.run / "gateways" / region

    def set_route(
        self, model: str, region: str, cell: Cell, *, intent: int, recorded: Callable[[], None]
    ) -> None:
        """Put a cell in force in the region's Envoy; returns when it is.

        recorded: raises unless the record says so; asked while the gateway is locked, before it is written.
        """
        from lockstep.local.gateway import set_route
        from lockstep.local.httproute import http_route

        admin = self.ports.get(admin_of(gateway_name(region)))
        if admin is None:
            raise Unavailable(
                f"{region} has no gateway",
                code="route.gateway_silent",
                remedy="run `./lockstep up`, which starts it",
            )
        route = http_route(model, region, cell, intent=intent)
        set_route(self.gateway_folder(region), admin, route, before=recorded)

    def remove_route(self, model: str, region: str) -> None:
        from lockstep.local.gateway import forget_route, remove_route
        from lockstep.local.httproute import route_name

        admin = self.ports.get(admin_of(gateway_name(region)))
        try:
            if admin is not None:
                remove_route(self.gateway_folder(region), admin, route_name(model, region))
                return
        except Unavailable:
            pass  # a gateway that is down routes nothing; its files must still forget the route
        if self.gateway_folder(region).exists():
            forget_route(self.gateway_folder(region), route_name(model, region))

    # --- looking

    def alive(self) -> set[str]:
        """Names of the processes that run."""
        return {name for name, state in self.supervisor.states().items() if state in ALIVE}

    def live(self, *, strict: bool = True) -> dict[Place, Cell | None]:
        """The cells in force; see lockstep.local.look."""
        from lockstep.local import look

        return look.live(self.run / "gateways", self.ports.all(), strict=strict)

    def serving(self) -> dict[Place, dict[str, str | None]]:
        """The release that each slot's service says it serves; see lockstep.local.look. A stranger on a
        service's port says nothing."""
        from lockstep.local import look
        from lockstep.local.listeners import alone_on

        found = look.serving(self.run / "gateways")
        pids, ports = self.supervisor.pids(), self.ports.all()
        for (model, region), slots in found.items():
            for slot in SLOTS:
                name = programs.service_name(model, region, slot)
                if slots[slot] is not None and not alone_on(ports.get(name, 0), pids.get(name, 0)):
                    slots[slot] = None
        return found

    def drift(
        self, recorded: Table, *, bucket: str, port: int, regions: Sequence[str], runtime: str
    ) -> list[Drift]:
        """What is otherwise on this machine than Lockstep left it; see lockstep.local.drift."""
        from lockstep.local.drift import of_stack

        return list(
            of_stack(self, recorded, bucket=bucket, port=port, regions=list(regions), runtime=runtime)
        )

    def strays(self, regions: Iterable[str]) -> list[Drift]:
        """What these regions' gateways do with requests that nobody told them."""
        from lockstep.local.drift import strays

        return strays(self, regions)

    def observe(self, recorded: Table | None = None, regions: Collection[str] = ()) -> Observed:
        """All that runs here, whatever the record says: gateways and services are known by their ports."""
        from lockstep.gate.judge import Observed

        return Observed(self.live(), self.serving())
