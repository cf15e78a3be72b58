"""Control planes for judging: one etcd and one kube-apiserver a region, on loopback, gone with their parent.

No scheduler, no controllers, no nodes: objects are checked, stored and read back, and nothing acts on them.
`running` starts several at once; `access.write` tells a stand-in where each is reached. etcd has no password:
what it holds are objects of tests.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import Unavailable
from lockstep.standin.kubernetes import child, credentials, definitions
from lockstep.standin.kubernetes.access import PREVIEW_NAMESPACES
from lockstep.standin.kubernetes.api import Access, Api, Refused

START_S = 90.0
PORTS = range(20000, 32000)
"""Below the range from which the kernel gives ports to clients: a port that is free now stays so."""
USER = "lockstep-standin"
ADMISSION = """\
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: privileged, enforce-version: latest}
    exemptions: {}
"""
EGRESS = """\
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {{uds: {{udsName: {socket}}}}}
"""


@dataclass
class Cluster:
    """One control plane. root: its files; programs: name -> binary, for etcd and kube-apiserver; egress: the
    unix socket of an HTTP proxy by which pods are reached, None where there is no way to any."""

    root: Path
    programs: Mapping[str, Path]
    egress: Path | None = None

    def __post_init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self._access: Access | None = None

    @property
    def access(self) -> Access:
        assert self._access is not None, "the cluster was not started"
        return self._access

    @property
    def api(self) -> Api:
        return Api(self.access)

    def start(self) -> None:
        """Start both programs; `wait` says when they answer."""
        self.root.mkdir(parents=True, exist_ok=True)
        etcd, peer, port = _free_ports(3)
        self._run("etcd", _etcd_arguments(self.root, etcd, peer))
        files = credentials.write(self.root)
        token = secrets.token_hex(32)
        tokens = self.root / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{token},{USER},{USER},system:masters\n")
        (self.root / "admission.yaml").write_text(ADMISSION)
        arguments = _apiserver_arguments(self.root, files, port, etcd)
        if self.egress is not None:
            (self.root / "egress.yaml").write_text(EGRESS.format(socket=self.egress))
            arguments.append(f"--egress-selector-config-file={self.root / 'egress.yaml'}")
        self._run("kube-apiserver", arguments)
        self._access = Access("127.0.0.1", port, token, files.authority.read_text())

    def wait(self) -> None:
        """Until it answers as ready. Raises Unavailable `kubernetes.no_start` with the end of its log."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            ended = next((one for one in self.processes if one.poll() is not None), None)
            if ended is not None or time.monotonic() > deadline:
                raise Unavailable(
                    f"the control plane in {self.root} does not start: {self._last_words()}",
                    code="kubernetes.no_start",
                    remedy="run it again; `./lockstep doctor` says whether there is memory enough",
                )
            time.sleep(0.05)

    def namespace(self, name: str, *, level: str = "restricted") -> None:
        """A namespace whose pods must keep to a Pod Security level."""
        labels = {"pod-security.kubernetes.io/enforce": level}
        thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.api.apply(thing, USER, force=True)

    def stop(self) -> None:
        """At once: nothing of it is needed any more."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def _run(self, name: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-I", "-S", child.__file__, str(self.programs[name]), *arguments]
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.defpath}
            )
        self.processes.append(process)

    def _is_ready(self) -> bool:
        try:
            self.api.request("GET", "/readyz")
        except (Unavailable, Refused):
            return False
        return True

    def _last_words(self) -> str:
        logs = [self.root / f"{name}.log" for name in self.programs]
        return " | ".join(log.read_text(errors="replace")[-300:].strip() for log in logs if log.exists())


@contextmanager
def running(
    root: Path,
    names: Sequence[str],
    judges: Mapping[str, Path],
    *,
    definitions_of: Sequence[str] = (),
    egress: Mapping[str, Path] | None = None,
) -> Iterator[dict[str, Cluster]]:
    """Clusters by name, with the definitions of custom resources in them, until the block ends.

    names: regions or clusters, as the stand-in looks for them; judges: what `toolchain.judges.ensure` gave
    for `etcd`, `kube-apiserver` and each of definitions_of; egress: name -> the socket by which its pods are
    reached.
    """
    programs = {name: judges[name] for name in ("etcd", "kube-apiserver")}
    clusters = {name: Cluster(root / name, programs, (egress or {}).get(name)) for name in names}
    with ExitStack() as ending:
        for cluster in clusters.values():
            ending.callback(shutil.rmtree, cluster.root, ignore_errors=True)
            ending.callback(cluster.stop)
            cluster.start()
        for cluster in clusters.values():
            cluster.wait()
            for level, namespace in PREVIEW_NAMESPACES.items():
                cluster.namespace(namespace, level=level)
            definitions.install(cluster.api, [*(judges[name] for name in definitions_of), definitions.OURS])
        yield clusters


def _etcd_arguments(root: Path, port: int, peer: int) -> list[str]:
    client, between = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={between}",
        f"--initial-advertise-peer-urls={between}",
        f"--initial-cluster=default={between}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_arguments(root: Path, files: credentials.ServerFiles, port: int, etcd: int) -> list[str]:
    """A pod's service account and its token come from controllers; here nobody makes them, so the plugin
    that asks for them is off. Everything else that a cluster checks by default is on."""
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=192.0.2.1",  # only endpoints would name it, and those are not kept
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--tls-cert-file={files.certificate}",
        f"--tls-private-key-file={files.key}",
        f"--service-account-signing-key-file={files.account_key}",
        f"--service-account-key-file={files.account_public}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--token-auth-file={root / 'tokens.csv'}",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        f"--admission-control-config-file={root / 'admission.yaml'}",
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",  # as everywhere: Pod Security says no, where it is to be said
        "--profiling=false",
        "--v=0",
    ]


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, at random, so that several test runs seldom meet."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise Unavailable("no port is free", code="kubernetes.no_port", remedy="end something that listens")
