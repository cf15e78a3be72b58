"""What each process of a stack is started as, computed from what is declared and from nothing else.

So whoever looks can say whether what runs is what was started, without trusting a file that it was
started from. Nothing here writes or starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.canonical import digest
from lockstep.errors import Unavailable, UsageError
from lockstep.local import entrypoint, envoy
from lockstep.local.gateway import bootstrap_bytes
from lockstep.local.ports import ENTRY
from lockstep.local.supervisord import Program
from lockstep.paths import cache
from lockstep.serving import gpu
from lockstep.table import Slot

if TYPE_CHECKING:
    from lockstep.audit.local import BucketCredentials
    from lockstep.local.stack import LocalStack

BUCKET = "audit-bucket"


def gateway_name(region: str) -> str:
    return f"gateway-{region}"


def service_name(model: str, region: str, slot: Slot) -> str:
    return f"{model}-{region}-{slot}"


def admin_of(name: str) -> str:
    return f"{name}.admin"


def port_of(stack: LocalStack, name: str) -> int:
    port = stack.ports.get(name)
    if port is None:
        raise Unavailable(
            f"{name} has no port: it was never started",
            code="process.no_port",
            remedy="run `./lockstep up`, which starts it",
        )
    return port


def bucket(stack: LocalStack, credentials: BucketCredentials) -> Program:
    from lockstep.audit.versity import server_command

    place = stack.paths.stack(stack.name)
    command = server_command(
        stack.toolchain.versitygw,
        place.bucket_data,
        place.bucket_versions,
        port_of(stack, BUCKET),
        credentials.access,
        credentials.secret,
    )
    # A put takes milliseconds; asked to end, it waits ten seconds for anybody who keeps a connection open.
    return Program(BUCKET, command.argv, dict(command.env), place.root, stop_seconds=2)


def gateway_bootstrap(stack: LocalStack, region: str) -> bytes:
    name = gateway_name(region)
    port, admin = port_of(stack, name), port_of(stack, admin_of(name))
    return bootstrap_bytes(envoy.gateway_bootstrap(name, port, admin, stack.gateway_folder(region)))


def entry_bootstrap(stack: LocalStack, port: int) -> bytes:
    admin = port_of(stack, admin_of(ENTRY))
    return bootstrap_bytes(entrypoint.entry_bootstrap(ENTRY, port, admin, stack.gateway_folder(ENTRY)))


def gateway(stack: LocalStack, region: str) -> Program:
    return _envoy(stack, gateway_name(region), stack.gateway_folder(region), gateway_bootstrap(stack, region))


def entry(stack: LocalStack, port: int) -> Program:
    return _envoy(stack, ENTRY, stack.gateway_folder(ENTRY), entry_bootstrap(stack, port))


def _envoy(stack: LocalStack, name: str, folder: Path, bootstrap: bytes) -> Program:
    """Its environment names the bootstrap's content, so that another one is another program."""
    argv = envoy.gateway_argv(stack.toolchain.envoy, folder / "bootstrap.json")
    return Program(name, argv, {"LOCKSTEP_BOOTSTRAP": digest(bootstrap)}, folder)


def service(stack: LocalStack, model: str, region: str, slot: Slot, *, release: str, runtime: str) -> Program:
    """A release that has been materialized. Its environment names when, so that a release that was put
    back after somebody changed it is another program: the one that runs may have read the changed files."""
    from lockstep.local.environments import launch, place

    name = service_name(model, region, slot)
    bundle = bundle_of(stack, release)
    lock = (bundle / lock_title(bundle, runtime)).read_bytes()
    python = place(lock, cache=cache() / "envs", python=Path(sys.executable)) / "bin" / "python"
    options = {
        "release": release,
        "slot": slot,
        "region": region,
        "model": model,
        "port": str(port_of(stack, name)),
        "runtime": runtime,
    }
    command = launch(python, bundle, stack.run / "bentoml" / name, options)
    made = (bundle / "manifest.json").stat()
    environment = {**command.env, "LOCKSTEP_BUNDLE": f"{made.st_ino}-{made.st_mtime_ns}"}
    return Program(name, command.argv, environment, stack.run)


def bundle_of(stack: LocalStack, release: str) -> Path:
    return stack.run / "bundles" / release.removeprefix("sha256:")


def lock_title(bundle: Path, runtime: str) -> str:
    """The file name of the lock for a runtime, as the release's config says. Raises UsageError
    `serving.no_lock`, Unavailable `serving.needs_gpu`."""
    if runtime == "tensorrt":
        gpu.require()
    title = {"onnx": "serving.lock", "torch": "serving-torch.lock", "tensorrt": "serving-tensorrt.lock"}[
        runtime
    ]
    if not (bundle / title).exists():
        raise UsageError(
            f"the release has no {title}, and the runtime is {runtime}",
            code="serving.no_lock",
            remedy="build the release again, or set lockstep:runtime to one that it has a lock file for",
        )
    return title
