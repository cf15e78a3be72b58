"""A real Envoy with the configuration that Envoy Gateway gives its own.

Only three things differ: where its configuration comes from (files for the connection to Envoy Gateway), its
ports, and that it listens on loopback alone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.aws.window import ADMIN_PORT
from lockstep.aws.proxies import PORT
from lockstep.local import envoy
from tests.support.fleet import free_port

Json = dict[str, Any]
CONTROLLER = "xds_cluster"
START_S = 30


@contextlib.contextmanager
def running(folder: Path, configuration: Json) -> Iterator[int]:
    """The port of its window. configuration: what egctl says of a gateway."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = {ADMIN_PORT: free_port(), PORT: free_port()}
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(json.dumps(_bootstrap(folder, _parts(configuration), ports)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            envoy.gateway_argv(envoy.binary(), bootstrap), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait(process, ports[ADMIN_PORT], folder / "log")
        yield ports[PORT]
    finally:
        process.kill()
        process.wait()


def _parts(configuration: Json) -> dict[str, Json]:
    """`BootstrapConfigDump` and so on -> what it says."""
    return {part["@type"].rsplit(".", 1)[1]: part for part in configuration["configs"]}


def _bootstrap(folder: Path, parts: dict[str, Json], ports: dict[int, int]) -> Json:
    routes = {
        each["routeConfig"]["name"]: each["routeConfig"]
        for each in parts["RoutesConfigDump"]["dynamicRouteConfigs"]
    }
    groups = {
        each["endpointConfig"]["clusterName"]: each["endpointConfig"]
        for each in parts["EndpointsConfigDump"]["dynamicEndpointConfigs"]
    }

    def filed(value: Any) -> Any:
        """The same with files where Envoy Gateway would be asked."""
        if isinstance(value, list):
            return [filed(each) for each in value]
        if not isinstance(value, dict):
            return value
        made = {key: filed(each) for key, each in value.items()}
        if "edsConfig" in made and made["serviceName"] in groups:
            made["edsConfig"] = _source(folder, [groups[made["serviceName"]]])
        if "routeConfigName" in made:
            made["configSource"] = _source(folder, [routes[made["routeConfigName"]]])
        return made

    clusters = [filed(each["cluster"]) for each in parts["ClustersConfigDump"]["dynamicActiveClusters"]]
    listeners = [
        filed(each["activeState"]["listener"]) for each in parts["ListenersConfigDump"]["dynamicListeners"]
    ]
    made: Json = filed(parts["BootstrapConfigDump"]["bootstrap"])
    static = made["staticResources"]
    static["clusters"] = [
        each for each in static["clusters"] if each["type"] != "EDS" and each["name"] != CONTROLLER
    ]
    del made["clusterManager"]  # it names the cluster of its own zone, which Envoy Gateway would fill
    made["node"] = {"id": "envoy", "cluster": "envoy"}
    made["dynamicResources"] = {
        "cdsConfig": _source(folder, clusters),
        "ldsConfig": _source(folder, [_on_loopback(each, {}) for each in listeners]),
    }
    return _on_loopback(made, ports)


def _source(folder: Path, resources: list[Json]) -> Json:
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps({"version_info": "1", "resources": resources}))
    return {"pathConfigSource": {"path": str(path)}, "resourceApiVersion": "V3"}


def _on_loopback(value: Any, ports: dict[int, int]) -> Any:
    """The same with every listener, and Envoy's admin, on loopback: on the port given for its own, or any."""
    if isinstance(value, list):
        return [_on_loopback(each, ports) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: _on_loopback(each, ports) for key, each in value.items()}
    socket = made.get("socketAddress")
    if socket is not None and socket["address"] in ("0.0.0.0", "127.0.0.1"):
        made["socketAddress"] = {"address": "127.0.0.1", "portValue": ports.get(socket["portValue"], 0)}
    return made


def _wait(process: subprocess.Popen[bytes], admin: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while not _is_ready(admin):
        said = re.sub(r"\s+", " ", log.read_text(errors="replace"))[-1000:]
        assert process.poll() is None and time.monotonic() < until, f"Envoy does not start: {said}"
        time.sleep(0.05)


def _is_ready(admin: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
