"""A gateway's folder: the HTTPRoutes it was given, and the files that its Envoy watches.

    bootstrap.json        read once, when Envoy starts
    routes/<name>.json    the HTTPRoute objects as written: the source of what follows
    backends.json         service name -> [host, port]
    cds/cds.json          clusters   } watched by Envoy; a rename into the folder is the change
    rds/rds.json          routes     }
    eds/eds.json          an entry point has only this one: the regions' gateways

A change either is in force when the call returns, or is taken back. Clusters come first: a route is
written only when the gateway knows every service it names, and a service leaves only when no route
names it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep.canonical import canonical, parse
from lockstep.errors import LockstepError
from lockstep.files import write_atomic
from lockstep.local import entrypoint, envoy, inforce, live
from lockstep.local.admin import rejections
from lockstep.local.translate import ROUTE_TYPE, discovery, translate
from lockstep.lock import locked

Json = dict[str, Any]
Backends = dict[str, tuple[str, int]]
DEADLINE_S = 10.0
"""Seconds a change may take until it is in force; 4 ms is usual."""


def render_gateway(
    folder: Path,
    *,
    name: str,
    port: int,
    admin_port: int,
    routes: Mapping[str, Json] | None = None,
    backends: Backends | None = None,
) -> Path:
    """Make or repair a gateway's folder; the bootstrap's path.

    routes, backends: what it is to hold; None: what its files say. The watched files are written afresh, so
    that neither a half-done change of a killed writer nor somebody's edit lasts.
    """
    with locked(folder / "lock"):
        for part in ("routes", "cds", "rds"):
            _make_folder(folder / part)
        held = read_backends(folder) if backends is None else backends
        _write_clusters(folder, held)
        _write_routes(folder, read_routes(folder) if routes is None else routes, held)
        path = folder / "bootstrap.json"
        write_atomic(path, bootstrap_bytes(envoy.gateway_bootstrap(name, port, admin_port, folder)))
        return path


def render_entry(
    folder: Path, *, name: str, port: int, admin_port: int, gateways: Mapping[str, tuple[str, int]]
) -> Path:
    """Make or repair an entry point's folder; gateways: region -> (host, port). The bootstrap's path."""
    with locked(folder / "lock"):
        _make_folder(folder / "eds")
        _write_gateways(folder, gateways)
        path = folder / "bootstrap.json"
        write_atomic(path, bootstrap_bytes(entrypoint.entry_bootstrap(name, port, admin_port, folder)))
        return path


def set_gateways(folder: Path, gateways: Mapping[str, tuple[str, int]]) -> None:
    """Tell a running entry point which regions there are; no restart, no connection closed."""
    with locked(folder / "lock"):
        _write_gateways(folder, gateways)


def read_routes(folder: Path) -> dict[str, Json]:
    """Name -> HTTPRoute as written."""
    return {path.stem: parse(path.read_bytes()) for path in sorted((folder / "routes").glob("*.json"))}


def read_backends(folder: Path) -> Backends:
    """Service name -> (host, port) as written."""
    try:
        known = parse((folder / "backends.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {name: (str(host), int(port)) for name, (host, port) in known.items()}


def set_backend(
    folder: Path, admin_port: int, name: str, port: int, *, deadline_s: float = DEADLINE_S
) -> None:
    """Add or move one slot's service, and wait until the gateway knows it.

    Raises as `live.wait_clusters`; the service is then as it was before.
    """
    with locked(folder / "lock"):
        before = read_backends(folder)
        after = {**before, name: (envoy.LOOPBACK, port)}
        _change_clusters(folder, admin_port, before, after, deadline_s)


def note_backend(folder: Path, name: str, port: int) -> None:
    """Add or move a service in the files of a gateway that is down, or just starting: it reads them then."""
    with locked(folder / "lock"):
        _write_clusters(folder, {**read_backends(folder), name: (envoy.LOOPBACK, port)})


def remove_backend(folder: Path, name: str) -> None:
    """Forget a service. Raises LockstepError `route.backend_in_use` while a route sends it traffic.

    Absent is fine, and so is a gateway that does not run.
    """
    with locked(folder / "lock"):
        backends = read_backends(folder)
        if backends.pop(name, None) is None:
            return
        routes = read_routes(folder)
        try:
            translate(list(routes.values()), backends)
        except LockstepError as error:
            raise LockstepError(
                f"service {name} cannot go: {error.message}",
                code="route.backend_in_use",
                remedy="move its traffic to the other slot first",
            ) from None
        _write_routes(folder, routes, backends)
        _write_clusters(folder, backends)


def set_route(
    folder: Path,
    admin_port: int,
    route: Json,
    *,
    deadline_s: float = DEADLINE_S,
    before: Callable[[], None] = lambda: None,
) -> str:
    """Put one HTTPRoute in force, in place of the one of its name; the version in force.

    before: called when nobody else can write to this gateway any more; what it raises stops the change.
    Open connections and requests under way are not touched. Raises LockstepError `route.rejected`,
    `route.no_backend`, DeadlineExceeded `route.not_in_force`, Unavailable `route.gateway_silent`; the
    former route then stays, or is back.
    """
    name = str(route["metadata"]["name"])

    def with_it(routes: dict[str, Json]) -> dict[str, Json]:
        before()
        return {**routes, name: route}

    return _change_routes(folder, admin_port, with_it, deadline_s)


def remove_route(folder: Path, admin_port: int, name: str, *, deadline_s: float = DEADLINE_S) -> str:
    """Take one HTTPRoute away; its path then answers 404. Absent is fine. Raises as `set_route`."""

    def without(routes: dict[str, Json]) -> dict[str, Json]:
        return {key: value for key, value in routes.items() if key != name}

    return _change_routes(folder, admin_port, without, deadline_s)


def forget_route(folder: Path, name: str) -> None:
    """Take a route out of the files of a gateway that does not run. Absent is fine."""
    with locked(folder / "lock"):
        routes = read_routes(folder)
        if routes.pop(name, None) is not None:
            _write_routes(folder, routes, read_backends(folder))


def _change_routes(
    folder: Path, admin_port: int, change: Callable[[dict[str, Json]], dict[str, Json]], deadline_s: float
) -> str:
    with locked(folder / "lock"):
        backends = read_backends(folder)
        before = read_routes(folder)
        after = change(before)
        refused = rejections(admin_port)  # also: a gateway that is down is not written to
        _settle_clusters(folder, admin_port, backends, deadline_s, refused)
        try:
            version = _write_routes(folder, after, backends)
            live.wait_in_force(admin_port, version, deadline_s=deadline_s, rejected_before=refused)
        except LockstepError as error:
            _write_routes(folder, before, backends)
            if error.code == "route.rejected":
                raise _with_reason(error, after, backends) from None
            raise
        return version


def _settle_clusters(
    folder: Path, admin_port: int, backends: Backends, deadline_s: float, refused: int
) -> None:
    """Have exactly our services in force before a route names them, whatever somebody put there."""
    meant = _clusters(backends)
    if inforce.has_clusters(admin_port, meant):
        return
    _write_clusters(folder, backends)
    what = f"services {', '.join(sorted(backends))}"
    settled = functools.partial(inforce.has_clusters, admin_port, meant)
    live.wait_until(admin_port, settled, what, deadline_s, refused)


def _with_reason(error: LockstepError, routes: Mapping[str, Json], backends: Backends) -> LockstepError:
    """The gateway's refusal together with what Envoy has to say about these routes."""
    translated = translate(list(routes.values()), backends)
    reason = envoy.objection(envoy.binary(), translated, _clusters(backends))
    message = f"{error.message}: {reason}" if reason else error.message
    return LockstepError(message, code=error.code, remedy=error.remedy)


def _change_clusters(
    folder: Path, admin_port: int, before: Backends, after: Backends, deadline_s: float
) -> None:
    refused = rejections(admin_port)
    try:
        _write_clusters(folder, after)
        live.wait_clusters(admin_port, after, deadline_s=deadline_s, rejected_before=refused)
    except LockstepError:
        _write_clusters(folder, before)
        raise


def _write_routes(folder: Path, routes: Mapping[str, Json], backends: Backends) -> str:
    """Write the routes and what Envoy makes of them; the version. Refuses before it writes anything."""
    combined = discovery(ROUTE_TYPE, [translate(list(routes.values()), backends)])
    for name, route in routes.items():
        path, data = folder / "routes" / f"{name}.json", canonical(route)
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
    for path in (folder / "routes").glob("*.json"):
        if path.stem not in routes:
            path.unlink()
    write_atomic(folder / "rds" / "rds.json", _bytes(combined))
    return str(combined["version_info"])


def _write_clusters(folder: Path, backends: Backends) -> None:
    write_atomic(folder / "backends.json", canonical(backends))
    write_atomic(folder / "cds" / "cds.json", _bytes(discovery(envoy.CLUSTER_TYPE, _clusters(backends))))


def _clusters(backends: Backends) -> list[Json]:
    return [envoy.service_cluster(name, *backends[name]) for name in sorted(backends)]


def _write_gateways(folder: Path, gateways: Mapping[str, tuple[str, int]]) -> None:
    write_atomic(folder / "eds" / "eds.json", _endpoints(gateways))


def _endpoints(gateways: Mapping[str, tuple[str, int]]) -> bytes:
    return _bytes(discovery(envoy.ENDPOINTS_TYPE, [entrypoint.gateway_endpoints(gateways)]))


def _make_folder(folder: Path) -> None:
    """The folder, without what a killed writer left beside its file."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.json.*"):
        leftover.unlink()


def bootstrap_bytes(bootstrap: Json) -> bytes:
    return json.dumps(bootstrap, indent=1).encode()


def _bytes(document: Json) -> bytes:
    return json.dumps(document).encode()


def gateway_files(folder: Path, routes: Mapping[str, Json], backends: Backends) -> dict[Path, bytes]:
    """What a gateway's files are to hold for these routes and services; its bootstrap left out."""
    combined = discovery(ROUTE_TYPE, [translate(list(routes.values()), backends)])
    return {
        **{folder / "routes" / f"{name}.json": canonical(route) for name, route in routes.items()},
        folder / "backends.json": canonical(backends),
        folder / "cds" / "cds.json": _bytes(discovery(envoy.CLUSTER_TYPE, _clusters(backends))),
        folder / "rds" / "rds.json": _bytes(combined),
    }


def entry_files(folder: Path, gateways: Mapping[str, tuple[str, int]]) -> dict[Path, bytes]:
    return {folder / "eds" / "eds.json": _endpoints(gateways)}
