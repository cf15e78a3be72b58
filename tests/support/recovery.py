"""What must hold of a stack after a fault and one `./lockstep up`: looked at from outside, all of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from lockstep.audit.local import open_local
from lockstep.audit.record import Record
from tests.support.checkout import Checkout

NEVER = ("Traceback (most recent call last)", "this is a bug in lockstep")


def said_well(text: str) -> None:
    """Whatever happened, the words are for a person."""
    for words in NEVER:
        assert words not in text, text


def records(checkout: Checkout, since: int = 0) -> list[Record]:
    audit = open_local("local", checkout.paths)
    return [] if audit is None else audit.log.tail(since)


@dataclass
class Witness:
    """Keeps what was acknowledged: the leaf of each record, and the newest head."""

    checkout: Checkout
    leaves: list[str] = field(default_factory=list)
    head: str = ""

    def keep(self) -> None:
        audit = open_local("local", self.checkout.paths)
        assert audit is not None
        self.head = str(audit.log.head())
        self.leaves += [record.digest for record in audit.log.tail(len(self.leaves))]

    def nothing_lost(self) -> None:
        """Every acknowledged record is where it was, and the log grows from the head that was kept."""
        now = [record.digest for record in records(self.checkout)]
        assert now[: len(self.leaves)] == self.leaves
        report = self.checkout.json("audit", "verify", "--head", self.head, "--history", "auto")
        assert report["ok"], report


def state_loads(checkout: Checkout) -> None:
    """The engine's own load of the state, and the state as a file."""
    json.loads((checkout.paths.backend / ".pulumi" / "stacks" / "lockstep" / "local.json").read_bytes())
    assert json.loads(checkout.pulumi("stack", "export").stdout)["deployment"]


def open_intents_show(checkout: Checkout) -> int | None:
    """An intent that the log has no outcome for is the one that `status` names; its index."""
    audit = open_local("local", checkout.paths)
    assert audit is not None
    told = [*audit.log.tail(0), *filter(None, [audit.log.pending()])]
    closed = {record["intent"] for record in told if record.kind == "outcome"}
    opened = [record.index for record in told if record.kind == "intent"]
    left = [index for index in opened if index not in closed]
    shown = checkout.json("status")["open_intent"]
    assert left == ([] if shown is None else [shown])
    return None if shown is None else int(shown)


def whole(checkout: Checkout, *, copies: bool = True) -> dict[str, Any]:
    """Up and as declared, recorded and live; each process once; each file whole; nothing left over.

    copies: whether the engine's copies of its state must be whole, too. Pulumi 3.259.0 renames a copy that a
    full disk cut short over its name (backups, `.bak`, the checkpoint beside a history entry); it reads none
    of them. The state itself is put back by the next `up`. Returns what `status` says.
    """
    status = checkout.json("status")
    assert status["up"], status
    assert status["open_intent"] is None, status
    for region in status["regions"]:
        assert region["healthy"], status
        assert not region.get("problems"), status
    one_of_each(checkout)
    files_parse(checkout, copies=copies)
    nothing_left_over(checkout)
    return status


def one_of_each(checkout: Checkout) -> None:
    """Each process that supervisord should run, once, on its own port, and nobody else of this checkout."""
    pids = checkout.supervisor.pids()
    declared = {path.stem for path in (checkout.paths.stack("local").run / "conf.d").glob("*.conf")}
    assert set(pids) == declared, (pids, declared)
    daemon = checkout.supervisor._daemon_pid()
    assert daemon is not None
    ours = {daemon, *(process.pid for process in psutil.Process(daemon).children(recursive=True))}
    strays = {process.pid: words for process, words in _of(checkout) if process.pid not in ours}
    assert not strays, strays
    ports = json.loads((checkout.paths.stack("local").run / "ports.json").read_bytes())
    listening: Counter[int] = Counter()
    for each in psutil.net_connections(kind="tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port in ports.values():
            assert each.pid in ours, each
            listening[each.laddr.port] += 1
    assert all(count == 1 for count in listening.values()), listening


def of_checkout(checkout: Checkout) -> list[psutil.Process]:
    """The processes that work in this checkout, or name it; without this one."""
    return [process for process, _ in _of(checkout)]


def _of(checkout: Checkout) -> list[tuple[psutil.Process, str]]:
    """Those processes, each with the words of its command as they were when it was found."""
    root, found = str(checkout.root), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if (root in words or process.cwd().startswith(root)) and process.pid != os.getpid():
                found.append((process, words))
    return found


def files_parse(checkout: Checkout, *, copies: bool) -> None:
    run, backend = checkout.paths.stack("local").run, checkout.paths.backend
    for path in [*run.rglob("*.json"), *backend.rglob("*.json"), *backend.rglob("*.yaml")]:
        a_copy = "backups" in path.parts or path.name.endswith(".checkpoint.json")
        if "bundles" not in path.parts and (copies or not a_copy):
            parse(path)
    parse(checkout.stack_file)


def parse(path: Path) -> Any:
    data = path.read_bytes()
    assert data, f"{path} is empty"
    return json.loads(data) if path.suffix == ".json" else yaml.safe_load(data)


def nothing_left_over(checkout: Checkout) -> None:
    """No half-written file beside one that somebody reads, and nothing aside that a command would act on."""
    stack = checkout.paths.stack("local")
    locks = checkout.paths.backend / ".pulumi" / "locks"
    left = [
        *checkout.root.glob(".Pulumi.*"),
        *stack.root.glob("stack-file-before.json"),
        *(path for path in locks.rglob("*") if path.is_file()),
        *stack.run.rglob("gateways/*/*/.*.json.*"),
    ]
    assert not left, left
