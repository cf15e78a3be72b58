"""Many at one stack: one changes it, the others say who does; a writer that was overtaken cannot go on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import Soak
from tests.support import recovery
from tests.support.checkout import Checkout
from tests.support.kills import family, own
from tests.support.watch import watching

CROWD = 8
ENDS_S = 240.0


def test_crowd(checkout: Checkout) -> None:
    checkout.run("up")
    better = checkout.releases()["digits-better"]
    _eight_updates_at_once(checkout, better)
    _a_cancelled_writer_cannot_append(checkout)


@pytest.mark.soak
def test_larger_crowd(checkout: Checkout, soak: Soak) -> None:
    checkout.run("up")
    better = checkout.releases()["digits-better"]
    checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
    checkout.run("promote", "digits", better, "--share", "25", "--region", "local-a")
    for _ in range(max(soak.rounds // 10, 1)):
        _eight_promotions_at_once(checkout, better)
        _an_update_beside_a_plain_one(checkout)
        _an_intent_of_a_cancelled_writer_moves_nothing(checkout, better)
        checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
        checkout.run("promote", "digits", better, "--share", "25", "--region", "local-a")
    soak.tally(f"crowds of {CROWD}: {max(soak.rounds // 10, 1)}")


def _intents(checkout: Checkout) -> int:
    return sum(record.kind == "intent" for record in recovery.records(checkout))


def _crowd(checkout: Checkout, *words: str) -> tuple[int, list[str]]:
    """How many of eight commands at once did it, and what the others said; all of them say why."""
    started = [checkout.start(*words) for _ in range(CROWD)]
    done, refused = 0, []
    for process in started:
        out, err = process.communicate(timeout=ENDS_S)
        recovery.said_well(out + err)
        done += process.returncode == 0
        refused += [err] if process.returncode else []
    pids = {process.pid for process in started}
    for said in refused:
        named = re.search(r"another command is changing the stack local: pid (\d+) \((.*)\) \[", said)
        if named is not None:
            assert int(named[1]) in pids, said
            assert named[2] == f"./lockstep {' '.join(words)}"
        else:
            assert "[promote.nothing_to_do]" in said, said  # it came when all was done
    assert any("change.locked" in said for said in refused), refused
    return done, refused


def _eight_updates_at_once(checkout: Checkout, better: str) -> None:
    checkout.declare(local_a={"green": better})
    witness, before = recovery.Witness(checkout), _intents(checkout)
    witness.keep()
    done, _ = _crowd(checkout, "up")
    assert done >= 1
    assert _intents(checkout) == before + 1, "one of them placed the candidate, once"
    assert checkout.status()["local-a"]["green"] == {"release": better, "ready": True}
    recovery.whole(checkout)
    witness.nothing_lost()


def _eight_promotions_at_once(checkout: Checkout, better: str) -> None:
    before = _intents(checkout)
    done, _ = _crowd(checkout, "promote", "digits", better, "--share", "50", "--region", "local-a")
    assert done == 1
    assert _intents(checkout) == before + 1
    assert checkout.status()["local-a"]["live"] == {"green_weight": 50}
    recovery.whole(checkout)


def _plain(checkout: Checkout) -> subprocess.Popen[str]:
    """`pulumi up`, begun, by someone who does not use `./lockstep`."""
    checkout.pulumi("stack", "ls")
    return subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--color", "never"],
        cwd=checkout.root,
        env={**checkout.environment(), **checkout.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _an_update_beside_a_plain_one(checkout: Checkout) -> None:
    checkout.declare(local_a={"green_weight": 25})
    before = _intents(checkout)
    plain, ours = _plain(checkout), checkout.start("up")
    said, _ = plain.communicate(timeout=ENDS_S)
    out, err = ours.communicate(timeout=ENDS_S)
    recovery.said_well(out + err)
    assert 0 in (plain.returncode, ours.returncode), said + err
    if ours.returncode:
        assert f"(pid {plain.pid})" in err, err
    if plain.returncode:
        assert "currently locked" in said, said
    checkout.run("up")
    assert _intents(checkout) == before + 1
    assert checkout.status()["local-a"]["live"] == {"green_weight": 25}
    recovery.whole(checkout)


@contextmanager
def _stopped(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def _appears(folder: Path, name: str, process: subprocess.Popen[str]) -> None:
    with watching(folder) as watch:
        while process.poll() is None:
            for path, appeared in watch.events(0.2):
                if appeared and path.name == name:
                    return
    raise AssertionError(process.communicate())


def _an_intent_of_a_cancelled_writer_moves_nothing(checkout: Checkout, better: str) -> None:
    """Stopped after its intent; the next writer closes that intent, so the routes refuse the first one."""
    size = len(recovery.records(checkout))
    log = checkout.paths.stack("local").bucket_data / "lockstep-audit"
    checkout.declare(local_a={"green_weight": 50})
    first = checkout.start("up")
    _appears(log / "head", f"{size + 1:010}", first)
    with _stopped(own(family(first.pid), "plugin")):
        checkout.pulumi("cancel", "--yes", "local")
        said = checkout.run("up", expect=1).stderr
        assert f"pid {first.pid} (./lockstep up)" in said, "cancelling the engine frees no change of ours"
        checkout.declare(local_a={"green_weight": 0})
        checkout.pulumi("up", "--yes", "--skip-preview")
    _, err = first.communicate(timeout=ENDS_S)
    recovery.said_well(err)
    assert first.returncode == 1, err
    told = [
        (each.kind, each["result"]) for each in recovery.records(checkout, size) if each.kind != "history"
    ]
    assert told == [("intent", None), ("outcome", "interrupted"), ("intent", None), ("outcome", "complete")]
    assert checkout.status()["local-a"]["live"] == {"green_weight": 0}
    checkout.run("up")
    recovery.whole(checkout)
    checkout.run("retry", better, "--reason", "only overtaken")


def _a_cancelled_writer_cannot_append(checkout: Checkout) -> None:
    """Stopped while its receipt looks at what is live: what it then writes was decided on a stale head."""
    size = len(recovery.records(checkout))
    service = psutil.Process(checkout.supervisor.pids()["digits-local-a-blue"])
    port = json.loads((checkout.paths.stack("local").run / "ports.json").read_bytes())["digits-local-a-blue"]
    checkout.declare(local_a={"green_weight": 5})
    first = checkout.start("up")
    routes = checkout.paths.stack("local").run / "gateways" / "local-a" / "rds"
    _appears(routes, "rds.json", first)
    with _stopped([service]):
        plugin = _that_asks(first, port)
        plugin.send_signal(signal.SIGSTOP)
    try:
        checkout.pulumi("cancel", "--yes", "local")
        checkout.pulumi("up", "--yes", "--skip-preview")
        settled = len(recovery.records(checkout))
    finally:
        plugin.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=ENDS_S)
    recovery.said_well(err)
    assert first.returncode == 1, err
    assert "audit.stale_head" in err, err
    assert len(recovery.records(checkout)) == settled, "the overtaken writer has added nothing"
    assert "interrupted" in [each["result"] for each in recovery.records(checkout, size)]
    checkout.run("up")
    assert checkout.status()["local-a"]["live"] == {"green_weight": 5}
    recovery.whole(checkout)


def _that_asks(command: subprocess.Popen[str], port: int) -> psutil.Process:
    """The command's plugin, once it has a connection to that port."""
    deadline = time.monotonic() + ENDS_S
    while time.monotonic() < deadline and command.poll() is None:
        for plugin in own(family(command.pid), "plugin"):
            if any(each.raddr and each.raddr.port == port for each in plugin.net_connections(kind="tcp")):
                return plugin
        time.sleep(0.005)
    raise AssertionError("the receipt never asked the service")
