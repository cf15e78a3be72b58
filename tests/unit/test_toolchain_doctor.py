"""`./lockstep doctor`: what it says of a whole, a missing and a changed toolchain; and progress lines."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.cli.__main__ import run
from lockstep.paths import Paths, cache, here
from lockstep.toolchain import ensure, find, machine
from lockstep.toolchain.progress import step
from tests.support.children import free_port

PROGRAMS = {"pulumi", "opa", "versitygw"}


def examine(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    code = run(["doctor", "--output", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lockstep.doctor/1"
    assert document["ok"] == (code == 0)
    return code, {part["name"]: part for part in document["parts"]}


def test_all_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    ensure(lambda line: None)
    code, parts = examine(capsys)
    assert code == 0, parts
    assert PROGRAMS | {"python", "packages", "go", "envoy", "language host", "xattrs", "git"} < parts.keys()
    assert "3.259.0 sha256:" in parts["pulumi"]["found"]
    assert all(part["remedy"] == "" for part in parts.values() if part["ok"])


def test_what_up_will_make_is_named_and_is_not_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("GOPROXY", "off")
    assert find() is None
    code, parts = examine(capsys)
    assert code == 0
    later = {name for name, part in parts.items() if not part["ok"] and part["later"]}
    assert later == PROGRAMS | {"language host"}
    assert all(part["remedy"] for part in parts.values() if not part["ok"])
    assert parts["go"]["needed"], "without programs, Go is what makes them"
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "later    pulumi" in text
    assert "makes what is not there yet: pulumi" in text.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


@pytest.mark.parametrize("path", [None, os.defpath], ids=["PATH as it is", "no Go on PATH"])
def test_no_network_is_wrong_while_there_is_something_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str | None
) -> None:
    if path is not None:
        monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("GOPROXY", f"http://me:secret@127.0.0.1:{free_port()}")
    assert "network" not in examine(capsys)[1], "nothing is to be fetched"
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "empty"))
    code, parts = examine(capsys)
    assert code == 2
    assert "does not answer" in parts["network"]["found"]
    assert "secret" not in parts["network"]["found"]
    assert "GOPROXY" in parts["network"]["remedy"]


def test_without_any_go_no_network_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    part = machine.network()
    assert not part.wrong
    assert part.found.startswith("no Go says") and "not asked" in part.found


def test_a_go_that_names_no_proxy_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\n[ $1 = env ] || echo go version go1.99 linux/amd64\n")
    go.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    part = machine.network()
    assert not part.wrong
    assert part.found.startswith("no Go says")


def test_a_port_that_is_taken_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "c"
    root.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.local.yaml.example"):
        shutil.copy(here().root / name, root / name)
    example = root / "Pulumi.local.yaml.example"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        example.write_text(example.read_text() + f"  lockstep:port: {port}\n")
        part = machine.port(Paths(root, root / ".lockstep"))
    assert part.wrong
    assert f"{port} is in use by" in part.found and f"(pid {os.getpid()})" in part.found
    assert "lockstep:port" in part.remedy and "Pulumi.local.yaml.example" in part.remedy
    assert machine.port(Paths(root, root / ".lockstep")).ok, "free again"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_wrong(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert machine.writable("state", tmp_path / "state").wrong


def test_a_place_without_write_is_wrong_whoever_looks() -> None:
    """/proc refuses everybody, root too."""
    part = machine.writable("cache", Path("/proc/lockstep"))
    assert part.wrong
    assert "LOCKSTEP_CACHE" in part.remedy
    assert machine.xattrs(Path("/proc/lockstep")).wrong


def test_a_machine_without_loopback_is_wrong() -> None:
    """As in a fresh network namespace, where no interface is up."""
    code = "from lockstep.toolchain.machine import loopback as l; p = l(); print(p.wrong, p.remedy)"
    said = subprocess.run(["unshare", "-rn", sys.executable, "-c", code], capture_output=True, text=True)
    if "unshare" in said.stderr:
        pytest.skip("this user may not make a network namespace")
    assert said.stdout.startswith("True bring the loopback interface up"), said
    assert machine.loopback().ok


def test_a_umask_that_locks_its_owner_out_is_wrong() -> None:
    before = os.umask(0o777)
    try:
        assert machine.umask().wrong
    finally:
        os.umask(before)
    assert machine.umask().ok or before & 0o700


@pytest.mark.parametrize(
    ("file", "part"),
    [("opa", "opa"), ("language_host.py", "language host"), ("pulumi-language-python-exec", "pulumi")],
)
def test_a_changed_byte_is_found_though_size_and_time_are_the_same(
    file: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ensure(lambda line: None).bin_dir.parent
    copy = tmp_path / made.relative_to(cache())
    shutil.copytree(made, copy, copy_function=os.link)
    status = (copy / "bin" / file).stat()
    content = bytearray((copy / "bin" / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "bin" / file).unlink()
    (copy / "bin" / file).write_bytes(content)
    (copy / "bin" / file).chmod(status.st_mode)
    os.utime(copy / "bin" / file, ns=(status.st_atime_ns, status.st_mtime_ns))
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    monkeypatch.setenv("GOPROXY", "off")  # whether there is a network is not asked
    code, parts = examine(capsys)
    assert code == 2
    changed = {name for name, item in parts.items() if not item["ok"] and item["needed"]}
    assert not any(item["later"] for item in parts.values())
    assert changed == {part}
    assert "changed since it was made" in parts[part]["found"]


def test_a_step_says_when_it_starts_and_how_long_it_took() -> None:
    said: list[str] = []
    with step("making a thing", said.append) as detail:
        detail("not for a log")
        assert said == ["making a thing ..."]
    assert said[1].startswith("making a thing: done in 0.")
    assert len(said) == 2


def test_a_step_that_fails_does_not_say_it_is_done() -> None:
    said: list[str] = []
    with pytest.raises(OSError, match="no"), step("making a thing", said.append):
        raise OSError("no")
    assert said == ["making a thing ..."]
