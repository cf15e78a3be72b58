"""Control planes for tests: what they need to start, and that they never outlive who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lockstep.errors import LockstepError, Unavailable
from lockstep.standin.kubernetes.cluster import PORTS, Cluster
from lockstep.standin.kubernetes.plugin import KubernetesStandIn
from lockstep.standin.provider import Call
from tests.support.clusters import PROGRAMS, clusters, tell

STARTS = """
import sys
from pathlib import Path
from tests.support.clusters import clusters
with clusters(Path(sys.argv[1]), ["one"], definitions=()) as started:
    print(" ".join(str(each.pid) for each in started["one"].processes), flush=True)
    sys.stdin.read()
"""


def test_killed_together_with_who_started_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    children = [psutil.Process(int(word)) for word in process.stdout.readline().split()]
    assert [child.name() for child in children] == list(PROGRAMS)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    gone, alive = psutil.wait_procs(children, timeout=90)
    assert not alive and len(gone) == len(PROGRAMS)


def test_nothing_is_left_after_the_block(tmp_path: Path) -> None:
    with clusters(tmp_path, ["one", "two"], definitions=()) as started:
        pids = [process.pid for each in started.values() for process in each.processes]
        started["one"].namespace("here")
        kind = started["one"].api.kind("v1", "Namespace")
        assert started["one"].api.get(kind, "", "here") is not None
        assert started["two"].api.get(kind, "", "here") is None, "each is a world of its own"
        ports = [each.access.port for each in started.values()]
        assert all(port in PORTS for port in ports), "below the range that the kernel gives to clients"
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == [], "keys and tokens go with it"


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\necho no disk for me >&2\nexit 3\n")
    program.chmod(0o755)
    cluster = Cluster(tmp_path / "one", {name: program for name in PROGRAMS})
    cluster.start()
    try:
        with pytest.raises(Unavailable, match="no disk for me") as caught:
            while cluster.processes[0].poll() is None:
                time.sleep(0.01)
            cluster.wait()
        assert caught.value.code == "kubernetes.no_start"
    finally:
        cluster.stop()


def test_a_definition_is_there_when_a_chart_has_brought_it(tmp_path: Path) -> None:
    """In a cluster that has none: an object that does not wait for its chart fails, as it would for real."""
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "digits", "namespace": "default"},
        "spec": {"rules": [{"backendRefs": [{"name": "digits-blue", "port": 8080}]}]},
    }
    routed = Call(
        "urn:pulumi:s::lockstep::r::digits", f"kubernetes:{route['apiVersion']}:HTTPRoute", "digits"
    )
    released = Call("urn:pulumi:s::lockstep::h::eg", "kubernetes:helm.sh/v3:Release", "eg")
    chart = {"chart": "oci://docker.io/envoyproxy/gateway-helm", "namespace": "default"}
    with clusters(tmp_path / "clusters", ["one"], definitions=()) as started:
        tell(tmp_path, started)
        provider = KubernetesStandIn(tmp_path, None, "4")
        provider.configure({"clusterIdentifier": "one"})
        provider.create(released, {**chart, "skipCrds": True})
        with pytest.raises(LockstepError, match='no matches for kind "HTTPRoute"'):
            provider.create(routed, route)
        for _ in range(2):
            provider.create(released, chart)
        assert provider.create(routed, route)[0] == "default/digits"
