"""Life with it: two checkouts on one machine, another user, an odd folder, and taking it all away again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from lockstep.local import procfs
from tests.support.checkout import Checkout, make, own_cache
from tests.support.children import awaited

ODD = """it's "quoted" & ünï cødé $HOME"""


@pytest.fixture(scope="module")
def odd(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A git checkout in a folder whose name has all that shells and config files trip over."""
    checkout = make(tmp_path_factory.mktemp("odd") / ODD, built)
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(checkout.root), *words], check=True, capture_output=True)
    yield checkout
    checkout.close()


def everything(checkout: Checkout) -> set[str]:
    """What git sees in the checkout that is not part of it, ignored or not."""
    said = subprocess.run(
        ["git", "-C", str(checkout.root), "status", "--porcelain", "-z", "--ignored", "-uall"],
        check=True,
        capture_output=True,
    )
    return {entry[3:] for entry in said.stdout.decode().split("\0") if entry}


def ports_of(checkout: Checkout) -> set[int]:
    return set(json.loads((checkout.paths.stack("local").run / "ports.json").read_text()).values())


def of_stack(checkout: Checkout) -> list[psutil.Process]:
    """Every process that has the checkout's folder in its command, its environment or as its place."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except psutil.Error:
            continue
        if any(str(checkout.root) in word for word in told) and process.pid != os.getpid():
            found.append(process)
    return found


def test_a_purge_leaves_nothing_behind(odd: Checkout, image: bytes) -> None:
    """Two checkouts side by side; the second one's port is taken; then the first goes without a trace."""
    odd.run("up")
    assert odd.shares(10, image)[1] == 0
    assert all(entry["healthy"] for entry in odd.status().values())
    ports = [
        int(port) for port in json.loads((odd.paths.stack("local").run / "ports.json").read_text()).values()
    ]
    socket = odd.supervisor.socket
    assert socket.exists()
    told = odd.json("down", "--purge", "--dry-run")
    assert told["log"]["records"] == odd.json("audit", "verify")["size"] > 0
    assert told["log"]["head"]
    assert str(odd.stack_file) in told["removes"]
    text = odd.run("down", "--purge", "--dry-run").stdout
    assert "./lockstep audit export" in text
    assert f"rm -rf '{odd.root / '.venv'}'" in text
    refused = odd.run("down", "--purge", expect=2)
    assert "pass --yes" in refused.stderr
    assert odd.status()["local-a"]["healthy"], "asked for, refused, and nothing was touched"
    odd.run("down", "--purge", "--yes")
    assert everything(odd) == set()
    assert of_stack(odd) == []
    assert not socket.parent.exists()
    from lockstep.local.ports import is_free

    assert all(is_free(port) for port in ports)
    assert odd.json("down", "--purge", "--yes")["removes"] == [], "a second purge finds nothing"


def test_a_broken_half_up_stack_is_purged_all_the_same(checkout: Checkout) -> None:
    """Killed in the middle of its first `up`, and then its stack file and state are nonsense."""
    process = checkout.start("up")
    assert awaited(lambda: bool(checkout.supervisor.pids()), 120)
    for pid in procfs.family(process.pid)[1:]:
        if "supervisor" not in " ".join(procfs.command(pid)):
            procfs.send(pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    checkout.stack_file.write_text("config: [")
    checkout.paths.backend.joinpath(".pulumi", "stacks", "lockstep", "local.json").write_text("{")
    checkout.stack_file.write_text("config:\n  lockstep:allow_destroy: false\n  nonsense\n")
    assert checkout.json("down", "--purge", "--yes", expect=5)["error"]["code"] == "destroy.not_allowed"
    checkout.stack_file.write_text("config: [")
    (checkout.paths.state.parent / ".lockstep.purging-x").mkdir()  # of one that was interrupted
    checkout.run("down", "--purge", "--yes")
    assert of_stack(checkout) == []
    assert not checkout.paths.state.exists()
    assert not list(checkout.root.glob(".lockstep*"))
    assert not checkout.stack_file.exists()
    assert not checkout.paths.local_trust.exists()


def test_a_purge_that_was_killed_goes_on(built: Path, tmp_path: Path) -> None:
    checkout = make(tmp_path / "c", built)
    process = checkout.start("down", "--purge", "--yes")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    checkout.run("down", "--purge", "--yes")
    assert not list(checkout.root.glob(".lockstep*"))
    assert not checkout.paths.local_trust.exists()
    assert (checkout.root / "lockstep").exists()


def test_a_second_checkout_says_who_has_its_port(built: Path, tmp_path: Path) -> None:
    """Each has its own ports and data; on the same port the second says whose it is and how to move."""
    first, second = make(tmp_path / "first", built), make(tmp_path / "second", built)
    example = second.root / "Pulumi.local.yaml.example"
    moved, example_text = second.port, example.read_text()
    example.write_text(example_text.replace(f"port: {moved}", f"port: {first.port}"))
    try:
        first.run("up")
        second.port = first.port
        doctor = second.json("doctor", expect=2)
        part = next(part for part in doctor["parts"] if part["name"] == "entry port")
        assert f"of the stack in {first.root}" in part["found"], part
        assert "lockstep:port" in part["remedy"]
        error = second.json("up", expect=1)["error"]
        assert (
            f"port {first.port}" in error["message"] and f"of the stack in {first.root}" in error["message"]
        )
        assert "lockstep:port" in error["remedy"] + error["message"]
        document = yaml.safe_load(second.stack_file.read_text())
        document["config"]["lockstep:port"] = moved
        second.stack_file.write_text(yaml.safe_dump(document))
        second.port = moved
        second.run("up")
        assert all(entry["healthy"] for each in (first, second) for entry in each.status().values())
        assert first.json("status")["drift"] == second.json("status")["drift"] == []
        assert not ports_of(first) & ports_of(second)
        second.run("down", "--purge", "--yes")
        assert all(entry["healthy"] for entry in first.status().values()), "the other is not touched"
    finally:
        first.close()
        second.close()


def test_the_first_up_goes_on_where_it_was_killed(built: Path, tmp_path: Path) -> None:
    """Killed while the second release is built: the first one is kept, and the next `up` asks nothing."""
    checkout = make(tmp_path / "c", built)
    shutil.rmtree(checkout.paths.store)
    process = checkout.start("up")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("training digits better"):
            break
    process.kill()
    process.communicate()
    kept = {entry["name"] for entry in checkout.json("release", "list")["releases"]}
    assert kept == {"digits-plain"}
    assert not checkout.stack_file.exists()
    again = checkout.start("up", "--dry-run")
    _, said = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert "training digits plain" not in said
    assert "training digits better" in said


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="takes the rights of another user")


@needs_root
def test_as_somebody_who_is_not_root(built: Path, request: pytest.FixtureRequest) -> None:
    """What `doctor` looks at, under another uid with a home of its own: sockets, ports, locks in xattrs.

    Not below pytest's own folder, which each session of root's closes to everybody else.
    """
    place = Path(tempfile.mkdtemp(prefix="lockstep-nobody-", dir="/tmp"))
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    checkout = make(place / "c", built)
    home = place / "home"
    home.mkdir()
    cache = home / ".cache" / "lockstep"
    own_cache(cache)
    subprocess.run(["chown", "-R", "65534:65534", str(checkout.root), str(home)], check=True)
    nobody = Nobody(checkout.root, checkout.port, {"HOME": str(home), "LOCKSTEP_CACHE": str(cache)})
    try:
        doctor = nobody.json("doctor")
        assert doctor["ok"], [part for part in doctor["parts"] if not part["ok"]]
    finally:
        checkout.close()


class Nobody(Checkout):
    """A checkout used by uid 65534."""

    def start(self, *words: str) -> subprocess.Popen[str]:
        import sys

        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
        return subprocess.Popen(
            [*command, sys.executable, "-m", "lockstep.cli", *words],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@needs_root
def test_a_tiny_disk_is_said_before_anything_begins(built: Path, tmp_path: Path) -> None:
    checkout = make(tmp_path / "c", built)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount")
    checkout.extra["LOCKSTEP_STATE"] = str(small / "state")
    try:
        error = checkout.json("up", expect=2)["error"]
        assert error["code"] == "disk.full"
        assert str(small) in error["message"]
        parts = {part["name"]: part for part in checkout.json("doctor", expect=2)["parts"]}
        assert not parts["state disk"]["ok"] and "free" in parts["state disk"]["remedy"]
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
