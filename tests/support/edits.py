"""What somebody with access to a stack's files and processes could do to it: one edit each, and who finds it.

An edit says how it is done, and what `status` must then say. `mended` tells how it ends: `up` repairs it,
`itself` (supervisord brings a killed process back), `refused` (the next `up` says who is in the way), or
`declared` (a person's edit of what is declared: reported, and theirs to settle).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lockstep.audit.local import credentials_file, read_credentials
from lockstep.audit.s3 import S3Bucket
from lockstep.local import programs
from lockstep.local.stack import LocalStack
from tests.support.checkout import Checkout
from tests.support.children import awaited

BLUE, GREEN = "digits-local-a-blue", "digits-local-a-green"
Status = dict[str, Any]


@dataclass
class Scene:
    """A running stack with both slots of local-a in use, and what an edit has to remember."""

    checkout: Checkout
    plain: str
    better: str
    undo: list[Callable[[], None]] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def stack(self) -> LocalStack:
        return LocalStack(self.checkout.paths, "local")

    @property
    def run(self) -> Path:
        return self.stack.run

    def gateway(self, *parts: str) -> Path:
        return self.run.joinpath("gateways", "local-a", *parts)

    def pid(self, name: str) -> int:
        return self.checkout.supervisor.pids()[name]

    def bucket(self) -> S3Bucket:
        known = read_credentials(self.checkout.paths.stack("local"))
        assert known is not None
        return S3Bucket(**asdict(known))


@dataclass(frozen=True)
class Edit:
    name: str
    do: Callable[[Scene], None]
    found: Callable[[Status], bool]
    mended: str = "up"


# --- what status says


def drift(code: str, process: str = "", *, live: bool = True) -> Callable[[Status], bool]:
    """A line of drift with this code, for this process, and rightly called live or of a file alone."""

    def found(status: Status) -> bool:
        return any(
            each["code"] == code and each["process"].startswith(process) and each["live"] is live
            for each in status.get("drift", [])
        )

    return found


def file_alone(process: str, code: str = "route.file") -> Callable[[Status], bool]:
    """Said to be of the file alone, while the weights in force are said to be as recorded."""
    alone, other = drift(code, process, live=False), problem("is not what the record says")
    return lambda status: alone(status) and not other(status)


def problem(text: str) -> Callable[[Status], bool]:
    return lambda status: any(
        text in each for entry in status.get("regions", []) for each in entry["problems"]
    )


def error(code: str) -> Callable[[Status], bool]:
    return lambda status: str(status.get("error", {}).get("code", "")) == code


def either(*ways: Callable[[Status], bool]) -> Callable[[Status], bool]:
    return lambda status: any(way(status) for way in ways)


# --- how it is done


def send(name: str, number: signal.Signals) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        pid = scene.pid(name)
        scene.pids[name] = pid
        os.kill(pid, number)

    return do


def _daemon(scene: Scene) -> int:
    return int((scene.run / "supervisord.pid").read_text())


def kill_daemon(scene: Scene) -> None:
    family = scene.checkout.processes()
    os.kill(_daemon(scene), signal.SIGKILL)
    psutil.wait_procs(family, timeout=20)


def stop_daemon(scene: Scene) -> None:
    os.kill(_daemon(scene), signal.SIGSTOP)


def replace(path: Path, data: bytes) -> None:
    """As Envoy wants it: written beside and renamed, so that a watcher takes it."""
    beside = path.with_name(f".{path.name}.evil")
    beside.write_bytes(data)
    beside.replace(path)


def edit(*parts: str, old: bytes, new: bytes, inside: str = "gateways/local-a") -> Callable[[Scene], None]:
    """Edited where it lies: the same file, other bytes."""

    def do(scene: Scene) -> None:
        path = scene.run / inside / Path(*parts)
        data = path.read_bytes()
        assert old in data, f"{path} has no {old!r}"
        with path.open("r+b") as file:
            file.write(data.replace(old, new))
            file.truncate()

    return do


def remove(*parts: str, inside: str = "gateways/local-a") -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        path = scene.run / inside / Path(*parts)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return do


def other_weights(scene: Scene) -> bytes:
    """The route file with the two slots' weights swapped."""
    document = json.loads(scene.gateway("rds", "rds.json").read_text())
    for host in document["resources"][0]["virtual_hosts"]:
        for route in host["routes"]:
            clusters = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
            for cluster in clusters:
                cluster["weight"] = 1000 - int(cluster["weight"])
    return json.dumps({**document, "version_info": "0" * 16}).encode()


def rename_route(scene: Scene) -> None:
    replace(scene.gateway("rds", "rds.json"), other_weights(scene))
    admin = scene.stack.ports.get("gateway-local-a.admin") or 0
    from lockstep.local.live import read_live

    assert awaited(lambda: read_live(admin).version == "0" * 16)


def edit_route_in_place(scene: Scene) -> None:
    path, data = scene.gateway("rds", "rds.json"), other_weights(scene)
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def swap_clusters(scene: Scene) -> None:
    """What is for blue goes to green, with no weight changed."""
    path = scene.gateway("cds", "cds.json")
    ports = scene.stack.ports
    document = json.loads(path.read_text())
    for cluster in document["resources"]:
        if cluster["name"] == BLUE:
            at = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
            at["socket_address"]["port_value"] = ports.get(GREEN)
    replace(path, json.dumps({**document, "version_info": "1" * 16}).encode())
    from lockstep.local.admin import read_clusters

    admin, wanted = ports.get("gateway-local-a.admin") or 0, ("127.0.0.1", ports.get(GREEN))
    assert awaited(lambda: read_clusters(admin)[BLUE] == wanted)


def other_region(scene: Scene) -> None:
    """The entry point sends everything for local-b to local-a."""
    path = scene.run / "gateways" / "entry" / "eds" / "eds.json"
    ports = scene.stack.ports
    data = path.read_bytes().replace(
        str(ports.get("gateway-local-b")).encode(), str(ports.get("gateway-local-a")).encode()
    )
    replace(path, data.replace(b'"version_info": "', b'"version_info": "2'))
    from lockstep.local.live import read_gateways

    admin = ports.get("entry.admin") or 0
    assert awaited(lambda: len(set(read_gateways(admin).values())) == 1)


def another_command(scene: Scene) -> None:
    """supervisord is made to run something else under the name of a service."""
    conf = scene.run / "conf.d" / f"{BLUE}.conf"
    text = conf.read_text()
    conf.write_text(text.replace('"--slot" "blue"', '"--slot" "green"'))
    assert conf.read_text() != text
    rpc = scene.checkout.supervisor._rpc()
    rpc.reloadConfig()
    rpc.stopProcessGroup(BLUE)
    rpc.removeProcessGroup(BLUE)
    rpc.addProcessGroup(BLUE)


def a_stranger_on_its_port(scene: Scene) -> None:
    """The service is stopped, and somebody else's program answers on its port with the right words."""
    port = scene.stack.ports.get(BLUE) or 0
    scene.checkout.supervisor._rpc().stopProcessGroup(BLUE)
    code = f"""
        import http.server, json
        class Says(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({{"release": {scene.plain!r}, "ready": True}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *_): pass
        http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Says).serve_forever()
    """
    stranger = subprocess.Popen([sys.executable, "-S", "-c", textwrap.dedent(code)])
    scene.undo += [lambda: stranger.wait() and None, stranger.kill]
    assert awaited(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)


def bucket_says(method: str, query: str, body: str = "") -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        import base64
        import hashlib

        data = body.encode()
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        answer = scene.bucket()._ask(method, query={query: ""}, headers={"content-md5": md5}, body=data)
        assert answer.status in (200, 204), answer

    return do


def bucket_attribute(name: str, value: bytes | None) -> Callable[[Scene], None]:
    """versitygw keeps a bucket's settings in extended attributes of its folder."""

    def do(scene: Scene) -> None:
        folder = scene.checkout.paths.stack("local").bucket_data / "lockstep-audit"
        if value is None:
            os.removexattr(folder, name)
        else:
            os.setxattr(folder, name, value)

    return do


def let_all_in(scene: Scene) -> None:
    folder = scene.checkout.paths.stack("local").bucket_data / "lockstep-audit"
    acl = json.loads(os.getxattr(folder, "user.acl"))
    acl["Grantees"].append({"Permission": "READ", "Access": "all-users", "Type": "Group"})
    os.setxattr(folder, "user.acl", json.dumps(acl).encode())


def bucket_versions_gone(scene: Scene) -> None:
    shutil.rmtree(scene.checkout.paths.stack("local").bucket_versions)


def change_bundle(scene: Scene) -> None:
    path = programs.bundle_of(scene.stack, scene.plain) / "labels.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"7", b"8"))
    path.chmod(0o444)


def _prefix(scene: Scene) -> Path:
    return Path(psutil.Process(scene.pid(BLUE)).cmdline()[0]).parents[1]


def change_environment(scene: Scene) -> None:
    """A module of the serving environment, its size and times as they were."""
    path = next(_prefix(scene).rglob("onnxruntime/__init__.py"))
    status, data = path.stat(), path.read_bytes()
    path.unlink()  # not through the link that other folders may share
    path.write_bytes(data[:-1] + b"#")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def other_policies(scene: Scene) -> None:
    path = scene.checkout.paths.policies / "step_size" / "step_size.rego"
    before = path.read_bytes()
    path.write_bytes(before + b"\n# more lenient\n")
    scene.undo.append(lambda: path.write_bytes(before) and None)


def trust_a_stranger(scene: Scene) -> None:
    path = scene.checkout.paths.local_trust
    document = json.loads(path.read_bytes())
    document["people"]["local-builder"]["roles"] = ["approver", "builder"]
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))


def edit_state(scene: Scene) -> None:
    """The weights in the engine's own state."""
    path = scene.checkout.paths.backend / ".pulumi" / "stacks" / "lockstep" / "local.json"
    text = path.read_text()
    changed = re.sub(r'("green_weight": ?)5\b', r"\g<1>55", text)
    assert changed != text
    path.write_text(changed)


def declare_by_hand(scene: Scene) -> None:
    before = scene.checkout.stack_file.read_bytes()
    scene.checkout.declare(local_a={"green_weight": 10})
    scene.undo.append(lambda: scene.checkout.stack_file.write_bytes(before) and None)


def credentials_gone(scene: Scene) -> None:
    credentials_file(scene.checkout.paths.stack("local")).unlink()


def credentials_edited(scene: Scene) -> None:
    path = credentials_file(scene.checkout.paths.stack("local"))
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "secret": "x" * 43}, sort_keys=True, separators=(",", ":")))


def credentials_nonsense(scene: Scene) -> None:
    path = credentials_file(scene.checkout.paths.stack("local"))
    before = path.read_bytes()
    path.write_bytes(b"{")
    scene.undo.append(path.unlink)
    assert before


def ports_nonsense(scene: Scene) -> None:
    path = scene.run / "ports.json"
    before = path.read_bytes()
    path.write_bytes(b"[")
    scene.undo.append(lambda: path.write_bytes(before) and None)


def tool(scene: Scene, name: str) -> Path:
    return Path(scene.stack.toolchain.bin_dir) / name


def replace_program(scene: Scene) -> None:
    """Another versitygw in the cache, of the same size and times."""
    path = Path(psutil.Process(scene.pid("audit-bucket")).cmdline()[0])
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace(path, bytes(data))
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


KILLED = [
    Edit(f"{name} killed", send(name, signal.SIGKILL), lambda status: True, "itself")
    for name in (BLUE, "gateway-local-a", "audit-bucket", "entry")
]
STOPPED = [
    Edit(f"{name} stopped by a signal", send(name, signal.SIGSTOP), drift("process.stopped", name))
    for name in (BLUE, "gateway-local-a", "entry", "audit-bucket")
]
DAEMON = [
    Edit("supervisord killed", kill_daemon, drift("process.down", "audit-bucket")),
    Edit("supervisord stopped by a signal", stop_daemon, drift("supervisor.stopped")),
]
IN_THE_WAY = [
    Edit("a stranger on a port", a_stranger_on_its_port, drift("process.down", BLUE), "port.in_use"),
    Edit(
        "ports.json is nonsense", ports_nonsense, error("port.registry_malformed"), "port.registry_malformed"
    ),
    Edit(
        "credentials are nonsense",
        credentials_nonsense,
        error("audit.credentials_malformed"),
        "audit.credentials_malformed",
    ),
]
LIVE = [
    Edit("route file replaced", rename_route, problem("is not what the record says")),
    Edit("another command under a service's name", another_command, drift("process.other", BLUE)),
    Edit("entry point's regions replaced", other_region, drift("route.moved", "entry")),
    Edit("credentials edited", credentials_edited, drift("process.other", "audit-bucket")),
]
CLUSTERS = [
    Edit("clusters replaced", swap_clusters, drift("route.moved", "gateway-local-a")),
    Edit("credentials removed", credentials_gone, drift("bucket.credentials")),
]
FILES = [
    Edit("route file edited in place", edit_route_in_place, file_alone("gateway-local-a")),
    Edit(
        "route source edited",
        edit("routes", "digits-local-a.json", old=b'"50"', new=b'"90"'),
        file_alone("gateway-local-a"),
    ),
    Edit(
        "services file edited",
        edit("backends.json", old=b"127.0.0.1", new=b"127.0.0.9"),
        file_alone("gateway-local-a"),
    ),
    Edit(
        "gateway bootstrap edited",
        edit("bootstrap.json", old=b'"gateway"', new=b'"getaway"'),
        file_alone("gateway-local-a"),
    ),
    Edit(
        "entry config edited",
        edit("bootstrap.json", old=b"true", new=b"false", inside="gateways/entry"),
        file_alone("entry"),
    ),
    Edit(
        "entry's regions edited in place",
        edit("eds", "eds.json", old=b"127.0.0.1", new=b"127.0.0.9", inside="gateways/entry"),
        file_alone("entry"),
    ),
    Edit(
        "supervisor program file edited",
        edit("entry.conf", old=b"autorestart=true", new=b"autorestart=false", inside="conf.d"),
        file_alone("entry", "process.file"),
    ),
    Edit(
        "supervisord.conf edited",
        edit("supervisord.conf", old=b"umask=077", new=b"umask=000", inside="."),
        file_alone("supervisord", "supervisor.file"),
    ),
    Edit("policies swapped", other_policies, lambda status: not status["policies"]["same"], "declared"),
    Edit("stack file edited by hand", declare_by_hand, problem("is not in force yet"), "declared"),
    Edit("trust file edited", trust_a_stranger, drift("trust.edited")),
]
GONE = [
    Edit("route file removed", remove("rds", "rds.json"), file_alone("gateway-local-a")),
    Edit("route source removed", remove("routes", "digits-local-a.json"), file_alone("gateway-local-a")),
    Edit("cluster file removed", remove("cds", "cds.json"), file_alone("gateway-local-a")),
    Edit("versions folder removed", bucket_versions_gone, drift("bucket.folder")),
    Edit("release file in the bundle changed", change_bundle, drift("release.changed", BLUE)),
    Edit("engine's state edited", edit_state, lambda status: True, "preview"),
]
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
BUCKET = [
    Edit(
        "bucket's versioning switched off",
        bucket_attribute("user.versioning", b"\x00"),
        drift("bucket.settings"),
    ),
    Edit(
        "bucket's object lock taken away",
        bucket_attribute("user.bucket-lock", None),
        drift("bucket.settings"),
    ),
    Edit("bucket's access list opened", let_all_in, drift("bucket.settings")),
    Edit("serving environment changed", change_environment, drift("environment.changed", BLUE)),
    Edit("a program in the cache replaced", replace_program, lambda status: True, "toolchain"),
]
BATCHES: dict[str, list[Edit]] = {
    "files": FILES,
    "gone": GONE,
    "bucket": BUCKET,
    "live": LIVE,
    "clusters": CLUSTERS,
    "stopped": STOPPED,
    "daemon killed": DAEMON[:1],
    "daemon stopped": DAEMON[1:],
    "killed": KILLED,
    **{each.name: [each] for each in IN_THE_WAY},
}
ALL = [each for batch in BATCHES.values() for each in batch]


def undo(scene: Scene) -> None:
    while scene.undo:
        scene.undo.pop()()


def names(edits: Iterable[Edit]) -> list[str]:
    return [each.name for each in edits]
