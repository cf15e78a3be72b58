"""One stack's processes on this machine: how each is started, and what they show when asked.

The provider starts and stops through this; gate, receipt and `status` look through it. Ports belong
to names (`audit-bucket`, `gateway-<region>`, `<model>-<region>-<slot>`, `entry`; `.admin` for Envoy's
admin port), see lockstep.local.ports.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError
from lockstep.local.ports import ENTRY, Ports, listens, require_free
from lockstep.local.probe import get
from lockstep.local.supervisor import Supervisor
from lockstep.local.supervisord import Program
from lockstep.paths import Paths, cache
from lockstep.table import Cell, Slot

if TYPE_CHECKING:
    from lockstep.gate.judge import Observed, Place
    from lockstep.toolchain import Toolchain

BUCKET = "audit-bucket"
READY_S = 120.0
ALIVE = ("RUNNING", "STARTING")


def gateway_name(region: str) -> str:
    return f"gateway-{region}"


def admin_of(name: str) -> str:
    return f"{name}.admin"


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
        from lockstep.toolchain import find

        found = find()
        if found is None:
            raise UsageError(
                "the outside programs are not there",
                code="toolchain.missing",
                remedy="run `./lockstep doctor`, or `./lockstep up`, which gets them",
            )
        return found

    # --- starting

    def start_bucket(self, bucket: str, *, near: int) -> str:
        """The audit bucket's server, up, with an object-locked bucket; its endpoint."""
        from lockstep.audit.local import BucketCredentials, read_credentials, write_credentials
        from lockstep.audit.s3 import S3Bucket
        from lockstep.audit.versity import new_credentials, server_command

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
        write_credentials(place, credentials)
        command = server_command(
            self.toolchain.versitygw, place.bucket_data, place.bucket_versions, port, access, secret
        )
        program = Program(BUCKET, command.argv, dict(command.env), place.root)
        self._start(program, port, lambda: get(port, "/") is not None, deadline_s=30)
        served = S3Bucket(**asdict(credentials))
        served.create()
        return endpoint

    def start_gateway(self, region: str, *, near: int) -> None:
        from lockstep.local.admin import is_ready
        from lockstep.local.gateway import render_gateway

        name = gateway_name(region)
        port, admin = self.ports.assign(name, near=near), self.ports.assign(admin_of(name), near=near)
        bootstrap = render_gateway(self.gateway_folder(region), name=name, port=port, admin_port=admin)
        self._start(self._envoy(name, bootstrap), port, lambda: is_ready(admin), deadline_s=30)

    def start_entry(self, port: int, regions: list[str]) -> None:
        from lockstep.local.admin import is_ready
        from lockstep.local.gateway import render_entry

        self.ports.declare(ENTRY, port)
        admin = self.ports.assign(admin_of(ENTRY), near=port)
        known = self.ports.all()
        gateways = {region: ("127.0.0.1", known[gateway_name(region)]) for region in regions}
        folder = self.run / "gateways" / ENTRY
        bootstrap = render_entry(folder, name=ENTRY, port=port, admin_port=admin, gateways=gateways)
        self._start(self._envoy(ENTRY, bootstrap), port, lambda: is_ready(admin), deadline_s=30)

    def start_service(
        self, model: str, region: str, slot: Slot, *, release: str, runtime: str, store_url: str, near: int
    ) -> None:
        """A release, verified, materialized and served; its gateway knows where.

        Raises UsageError `release.unknown`, IntegrityError `release.corrupt`, Unavailable
        `process.not_ready`.
        """
        from lockstep.local.environments import ensure, launch
        from lockstep.local.gateway import set_backend
        from lockstep.local.httproute import backend_name
        from lockstep.stores import open_store, url_of

        name = f"{model}-{region}-{slot}"
        store = open_store(url_of(store_url, self.paths.store))
        bundle = store.materialize(release, self.run / "bundles")
        environment = ensure(
            (bundle / _lock_title(bundle, runtime)).read_bytes(),
            cache=cache() / "envs",
            uv=Path(sys.executable).parent / "uv",
            python=Path(sys.executable),
        )
        port = self.ports.assign(name, near=near)
        options = {
            "release": release,
            "slot": slot,
            "region": region,
            "model": model,
            "port": str(port),
            "runtime": runtime,
        }
        command = launch(environment, bundle, self.run / "bentoml" / name, options)
        program = Program(name, command.argv, command.env, self.run)
        self._start(program, port, lambda: self._serves(port, release), deadline_s=READY_S)
        admin = self.ports.get(admin_of(gateway_name(region)))
        if admin is not None:
            set_backend(self.gateway_folder(region), admin, backend_name(model, region, slot), port)

    def _start(self, program: Program, port: int, ready: Any, *, deadline_s: float) -> None:
        if program.name not in self.alive() or self._moved(program.name, port):
            require_free(port, program.name)
        self.supervisor.start(program, ready, deadline_s=deadline_s)

    def _envoy(self, name: str, bootstrap: Path) -> Program:
        """An Envoy; its environment names the bootstrap's content, so that another one is another program."""
        from lockstep.canonical import digest
        from lockstep.local.envoy import gateway_argv

        env = {"LOCKSTEP_BOOTSTRAP": digest(bootstrap.read_bytes())}
        return Program(name, gateway_argv(self.toolchain.envoy, bootstrap), env, bootstrap.parent)

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
        self.supervisor.stop(f"{model}-{region}-{slot}")

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
        """The release that each slot's service says it serves; see lockstep.local.look."""
        from lockstep.local import look

        return look.serving(self.run / "gateways")

    def observe(self) -> Observed:
        from lockstep.gate.judge import Observed

        return Observed(self.live(), self.serving())


def _lock_title(bundle: Path, runtime: str) -> str:
    """The file name of the lock for a runtime, as the release's config says."""
    titles = {"onnx": "serving.lock", "torch": "serving-torch.lock"}
    title = titles.get(runtime)
    if title is None or not (bundle / title).exists():
        raise LockstepError(
            f"the runtime {runtime} cannot run on this machine: TensorRT needs an NVIDIA GPU",
            code="serving.needs_gpu",
            remedy="set lockstep:runtime to onnx or torch",
        )
    return title
