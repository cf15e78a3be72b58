"""The machine and this user's place on it: folders, space, ports, sockets, the way out. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from lockstep.errors import LockstepError, Unavailable, UsageError
from lockstep.paths import Paths, cache
from lockstep.toolchain import golang
from lockstep.toolchain.part import Part

GIB = 1 << 30
MIB = 1 << 20
ROOM_TO_START = 64 * MIB
"""What a first `up` writes into the state folder is 10 MB; below this it says so before it begins."""
MEMORY_TO_RUN = 4 * GIB  # both slots in both regions
NETWORK_S = 5.0


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def writable(name: str, folder: Path) -> Part:
    there = existing(folder)
    who = f"uid {os.getuid()}"
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".lockstep-"):
            pass
    except OSError as error:
        moves = {
            "state": "set LOCKSTEP_STATE to a folder of yours",
            "cache": "set LOCKSTEP_CACHE to a folder of yours",
        }
        remedy = moves.get(name, "clone it into a folder of yours")
        return Part(name, False, f"{who} cannot write to {there}: {error.strerror}", remedy)
    return Part(name, True, f"{who} can write to {there}")


def umask() -> Part:
    """A mask that takes the owner's own rights away makes folders that nobody can enter."""
    mask = os.umask(0o077)
    os.umask(mask)
    remedy = "set another one in this shell: umask 022"
    return Part("umask", not mask & 0o700, f"{mask:04o}", remedy)


def xattrs(state: Path) -> Part:
    """The audit bucket keeps object locks in user extended attributes."""
    remedy = (
        "set LOCKSTEP_STATE to a folder on ext4, xfs or btrfs: the audit bucket's locks live in user xattrs"
    )
    folder = existing(state)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.lockstep", b"1")
    except OSError as error:
        return Part("xattrs", False, f"{folder}: {error.strerror}", remedy)
    return Part("xattrs", True, f"user xattrs work in {folder}")


def sockets() -> Part:
    """supervisord is spoken to over a unix socket in /tmp, whatever TMPDIR says."""
    from lockstep.local.daemon import SOCKETS

    remedy = f"make {SOCKETS} a folder that everybody can write to (mode 1777) and that holds unix sockets"
    try:
        with (
            tempfile.TemporaryDirectory(dir=SOCKETS, prefix="lockstep-") as folder,
            socket.socket(socket.AF_UNIX) as probe,
        ):
            probe.bind(str(Path(folder) / "probe.sock"))
    except OSError as error:
        return Part("sockets", False, f"no unix socket can be made in {SOCKETS}: {error.strerror}", remedy)
    return Part("sockets", True, f"unix sockets work in {SOCKETS}")


def loopback() -> Part:
    """Everything talks over 127.0.0.1; a container or namespace without `lo` has a network that is none."""
    remedy = "bring the loopback interface up: ip link set lo up"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=NETWORK_S).close()
    except OSError as error:
        return Part("loopback", False, f"127.0.0.1 does not answer itself: {error}", remedy)
    return Part("loopback", True, "127.0.0.1 answers")


def port(paths: Paths) -> Part:
    """The entry point's port: ours already, or free."""
    from lockstep.local.ports import holder, is_free
    from lockstep.local.stack import LocalStack
    from lockstep.workspace import LOCAL

    try:
        wanted = declared_port(paths)
    except LockstepError as error:
        return Part("entry port", False, error.message, error.remedy)
    if "entry" in LocalStack(paths, LOCAL).alive():
        return Part("entry port", True, f"{wanted}: the stack is up")
    if is_free(wanted):
        return Part("entry port", True, f"{wanted} is free")
    file = "Pulumi.local.yaml" if (paths.root / "Pulumi.local.yaml").exists() else "Pulumi.local.yaml.example"
    remedy = f"stop that process, or write another number into {file}, under config: `lockstep:port: 18680`"
    return Part("entry port", False, f"{wanted} is in use by {holder(wanted)}", remedy)


def declared_port(paths: Paths) -> int:
    """What the stack file, or before the first `up` its example, says. Raises UsageError `config.*`."""
    from lockstep.stackfile import StackFile

    written = paths.root / "Pulumi.local.yaml"
    file = written if written.exists() else written.with_name("Pulumi.local.yaml.example")
    text = file.read_text().replace("${plain}", "sha256:" + "0" * 64)
    return StackFile(file, paths.root / "Pulumi.yaml").settings(text.encode()).port


def disk(folder: Path, name: str, wanted: int) -> Part:
    free = shutil.disk_usage(existing(folder)).free
    remedy = f"free some space below {folder}: {wanted // GIB} GiB are needed"
    return Part(f"{name} disk", free >= wanted, f"{_size(free)} free for {folder}", remedy)


def require_room(paths: Paths) -> None:
    """Raise UsageError `disk.full` where an update would only get stuck half-way."""
    for folder in (paths.state, cache()):
        free = shutil.disk_usage(existing(folder)).free
        if free < ROOM_TO_START:
            raise UsageError(
                f"only {_size(free)} are free for {folder}, so nothing was begun",
                code="disk.full",
                remedy=f"free some space there: {DOCTOR}",
            )


DOCTOR = "`./lockstep doctor` says how much is needed"


def _size(count: int) -> str:
    return f"{count / GIB:.0f} GiB" if count >= 10 * GIB else f"{count / MIB:.0f} MiB"


def memory() -> Part:
    import psutil

    available = psutil.virtual_memory().available
    remedy = "end something else: a stack with both slots filled takes up to 4 GiB"
    return Part(
        "memory", available >= MEMORY_TO_RUN, f"{available / GIB:.1f} GiB available", remedy, needed=False
    )


def network() -> Part:
    """Whether Go's module proxy answers; asked only while there is something to build."""
    remedy = "see that this machine can reach it, or set GOPROXY to one that it can reach"
    unasked = Part("network", True, "no Go says which module proxy it would ask; not asked", needed=False)
    try:
        go = golang.find_go((1,))
        said = subprocess.run(
            [go, "env", "GOPROXY"], env=golang.environment(), capture_output=True, text=True, timeout=60
        ).stdout
    except (Unavailable, OSError, subprocess.TimeoutExpired):
        return unasked
    proxy = said.strip().replace("|", ",").partition(",")[0]
    if not proxy:
        return unasked
    if not proxy.startswith("http"):
        return Part("network", True, f"GOPROXY is {proxy}; not asked", needed=False)
    shown = _without_password(proxy)
    try:
        urllib.request.urlopen(proxy, timeout=NETWORK_S).close()
    except urllib.error.HTTPError:
        pass  # an answer is an answer
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Part("network", False, f"Go's module proxy {shown} does not answer: {reason}", remedy)
    return Part("network", True, f"Go's module proxy {shown} answers")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
