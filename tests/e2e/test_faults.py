"""Faults on a running stack: power cuts, killed updates, lost state, hurried neighbours."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import yaml

from lockstep.local import procfs
from tests.support import kills, recovery
from tests.support.checkout import Checkout
from tests.support.children import awaited


def test_faults(checkout: Checkout, image: bytes, tmp_path: Path) -> None:
    checkout.run("up")
    better = checkout.releases()["digits-better"]
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
    _reboot(checkout, image)
    _a_region_dies_and_its_traffic_moves(checkout, image)
    _replace_does_not_reset_the_ladder(checkout)
    _lost_gate_in_the_state_does_not_reset_the_ladder(checkout)
    _a_kill_between_intent_and_outcome(checkout, better)
    _two_updates_at_once(checkout)
    _a_killed_command_leaves_no_update_behind(checkout)
    _a_plugin_killed_between_record_and_head(checkout)
    _a_state_that_was_cut_short_is_put_back(checkout)
    _an_edited_history_file_is_named(checkout, tmp_path)
    _a_region_leaves_in_two_updates(checkout)
    checkout.run("down", "--yes")
    assert checkout.json("audit", "verify")["ok"]


def _reboot(checkout: Checkout, image: bytes) -> None:
    checkout.crash()
    status = checkout.json("status")
    assert not status["up"]
    assert not any(entry["healthy"] for entry in status["regions"])
    assert checkout.json("audit", "verify")["ok"], "the log must verify with everything stopped"
    assert "update" in checkout.pulumi("preview").stdout  # Diff asks what is alive
    checkout.run("up")
    after = checkout.status()
    assert after["local-a"]["live"] == {"green_weight": 5}
    assert all(entry["healthy"] for entry in after.values())
    assert checkout.shares(40, image)[1] == 0


def _a_region_dies_and_its_traffic_moves(checkout: Checkout, image: bytes) -> None:
    for name, pid in checkout.supervisor.pids().items():
        if name.startswith("digits-local-b") or name == "gateway-local-b":
            os.kill(pid, signal.SIGSTOP if name.startswith("digits") else signal.SIGKILL)
    try:
        answers = [answer for answer in checkout.ask(40, image) if answer is not None]
        assert len(answers) >= 20, "the other region must answer"
    finally:
        for name, pid in checkout.supervisor.pids().items():
            if name.startswith("digits-local-b"):
                os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 30
    while checkout.shares(10, image)[1]:
        assert time.monotonic() < deadline, "supervisord must bring the gateway back"


def _gate_urn(checkout: Checkout) -> str:
    exported = json.loads(checkout.pulumi("stack", "export").stdout)
    return next(
        resource["urn"]
        for resource in exported["deployment"]["resources"]
        if resource["type"] == "lockstep:index:PromotionGate"
    )


def _size(checkout: Checkout) -> int:
    return int(checkout.json("audit", "verify")["size"])


def _refused_at_80(checkout: Checkout) -> None:
    """The ladder still knows that green has 5 %."""
    before = checkout.stack_file.read_bytes()
    checkout.declare(local_a={"green_weight": 80})
    said = checkout.pulumi("preview", expect=1).stdout
    checkout.stack_file.write_bytes(before)
    assert "step.ladder" in said
    assert "from 5 % to 80 %" in said


def _replace_does_not_reset_the_ladder(checkout: Checkout) -> None:
    size = _size(checkout)
    checkout.pulumi("up", "--yes", "--skip-preview", "--replace", _gate_urn(checkout))
    assert _size(checkout) == size, "nothing moved, so nothing is recorded"
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}
    _refused_at_80(checkout)


def _lost_gate_in_the_state_does_not_reset_the_ladder(checkout: Checkout) -> None:
    checkout.pulumi("state", "delete", _gate_urn(checkout), "--yes", "--force", "--target-dependents")
    _refused_at_80(checkout)
    checkout.run("up")
    status = checkout.status()
    assert status["local-a"]["live"] == {"green_weight": 5}
    assert all(entry["healthy"] for entry in status.values())


def _intent_is_open(checkout: Checkout, size: int) -> bool:
    return (
        checkout.paths.stack("local").bucket_data / "lockstep-audit" / "head" / f"{size + 1:010}"
    ).exists()


def _a_kill_between_intent_and_outcome(checkout: Checkout, better: str) -> None:
    """The services of a placement take seconds to get ready: the update dies in that time. Then somebody
    puts a route of theirs into a gateway, and the next `up` has both to mend."""
    checkout.declare(local_b={"green": better})
    size = _size(checkout)
    process = checkout.start("up")
    deadline = time.monotonic() + 120
    while not _intent_is_open(checkout, size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in procfs.family(process.pid)[1:]:
        procfs.send(pid, signal.SIGKILL)
    process.kill()
    process.communicate()
    status = checkout.json("status")
    assert status["open_intent"] == size
    checkout.add_stray_route("local-a")
    assert awaited(lambda: "local-a" in checkout.json("status")["odd"])
    started = time.monotonic()
    checkout.run("up")
    print(f"recovered in {time.monotonic() - started:.1f} s")
    after = checkout.json("status")
    assert after["open_intent"] is None
    assert after["odd"] == ""
    assert all(entry["healthy"] for entry in after["regions"])
    report = checkout.json("audit", "verify", "--history", "auto")
    assert report["ok"], report
    shown = checkout.json("audit", "show", "--last", str(report["size"] - size))
    told = [entry["record"] for entry in shown["records"]]
    results = [record["result"] for record in told if record["kind"] == "outcome"]
    assert results == ["interrupted", "complete"]


def _two_updates_at_once(checkout: Checkout) -> None:
    checkout.declare(local_a={"green_weight": 10})
    first, second = checkout.start("up"), checkout.start("up")
    ended = []
    for process in (first, second):
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in out + err
        ended.append((process.returncode, err))
    assert sorted(code for code, _ in ended)[0] == 0, ended
    for code, err in ended:
        if code:
            assert "is running" in err or "locked" in err or "stale" in err, err
    assert checkout.status()["local-a"]["live"] == {"green_weight": 10}
    assert checkout.json("audit", "verify")["ok"]


def _a_killed_command_leaves_no_update_behind(checkout: Checkout) -> None:
    """Only the command is killed: its engine and its plugin go on by themselves, and `up` comes at once."""
    checkout.declare(local_a={"green_weight": 25})
    size = _size(checkout)
    process = checkout.start("up")
    before = _killed_at(checkout, "first head (after the intent)", size, process, "cli")
    checkout.run("up")
    process.communicate()
    assert not [other.cmdline() for other in before if other.is_running()]
    recovery.whole(checkout)
    assert checkout.status()["local-a"]["live"] == {"green_weight": 25}


def _a_plugin_killed_between_record_and_head(checkout: Checkout) -> None:
    checkout.declare(local_a={"green_weight": 10})
    size = _size(checkout)
    process = checkout.start("up")
    _killed_at(checkout, "first record, before its head", size, process, "plugin")
    recovery.said_well("".join(process.communicate()))
    assert process.returncode == 1
    checkout.run("up")
    recovery.whole(checkout)
    assert checkout.status()["local-a"]["live"] == {"green_weight": 10}


def _a_state_that_was_cut_short_is_put_back(checkout: Checkout) -> None:
    """As the engine leaves it when the disk was full."""
    state = checkout.paths.backend / ".pulumi" / "stacks" / "lockstep" / "local.json"
    state.write_bytes(state.read_bytes()[:4096])
    checkout.run("up")
    recovery.whole(checkout)
    recovery.state_loads(checkout)


def _killed_at(
    checkout: Checkout, point: str, size: int, process: subprocess.Popen[str], role: str
) -> list[psutil.Process]:
    """Kill one process of a running `up` at a point; the processes that there were."""
    wanted = next(each for each in kills.points(checkout, size, kills.UP) if each.name == point)
    assert kills.met(wanted, process, 120), process.communicate()
    before = kills.kill(checkout, process.pid, role, random.Random(0))
    assert before is not None
    return before


def _an_edited_history_file_is_named(checkout: Checkout, tmp_path: Path) -> None:
    folder = checkout.paths.backend / ".pulumi" / "history" / "lockstep" / "local"
    file = sorted(folder.glob("*.history.json"))[0]
    shutil.copy2(file, tmp_path / "kept")
    file.write_bytes(file.read_bytes().replace(b'"update"', b'"updaTe"', 1))
    bad = checkout.json("audit", "verify", "--history", "auto", expect=1)
    assert any(p["code"] == "audit.history_edited" and file.name in p["message"] for p in bad["problems"])
    shutil.copy2(tmp_path / "kept", file)
    assert checkout.json("audit", "verify", "--history", "auto")["ok"]


def _a_region_leaves_in_two_updates(checkout: Checkout) -> None:
    before = checkout.stack_file.read_bytes()
    document = yaml.safe_load(before)
    del document["config"]["lockstep:models"]["digits"]["local-b"]
    checkout.stack_file.write_text(yaml.safe_dump(document))
    assert "table.withdraw_first" in checkout.pulumi("preview", expect=1).stdout
    checkout.stack_file.write_bytes(before)
    checkout.run("withdraw", "digits", "--region", "local-b", "--yes")
    status = checkout.status()
    assert set(status) == {"local-a"}
    assert status["local-a"]["healthy"]
    assert not any(name.startswith("digits-local-b") for name in checkout.supervisor.pids())
