"""Logs for tests: keys of their own, a short story of a promotion, and the clock that it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstep.audit.bucket import Bucket
from lockstep.audit.drafts import draft_intent, draft_outcome
from lockstep.audit.log import Log
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.problem import Report
from lockstep.audit.record import Record, draft
from lockstep.audit.verify import verify
from lockstep.evidence.keys import Person, Signer, Trust
from lockstep.table import Table

ORIGIN = "lockstep/local"
START = datetime(2026, 11, 21, 2, 51, 23, 123456, tzinfo=UTC)
RETENTION = timedelta(days=3650)
PLAIN = "sha256:" + "1a" * 32
BETTER = "sha256:" + "2b" * 32
EVIDENCE = "sha256:" + "e1" * 32
WHO = "ann@laptop"


def public_key(signer: Signer) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(signer.public_pem.encode())


def person(name: str, role: str, signer: Signer) -> Person:
    return Person(name, frozenset({role}), {signer.keyid: public_key(signer)})


def trust_of(deployer: Signer, log: Signer) -> Trust:
    people = [person("local-deployer", "deployer", deployer), person("local-log", "log", log)]
    return Trust("local", {one.name: one for one in people})


def note_key(signer: Signer, origin: str = ORIGIN) -> NoteKey:
    return NoteKey(origin, public_key(signer).public_bytes_raw())


def cell(blue: str | None, green: str | None = None, weight: float = 0) -> dict[str, Any]:
    return {"blue": blue, "green": green, "green_weight": weight}


def table(a: dict[str, Any], b: dict[str, Any]) -> Table:
    return {"digits": {"local-a": a, "local-b": b}}


def decision(*looked: str) -> dict[str, Any]:
    return {
        "allow": True,
        "violations": [],
        "looked": dict.fromkeys(looked, 1),
        "revision": "checkout:0123456789abcdef",
        "input_digest": "sha256:" + "77" * 32,
    }


@dataclass
class Writer:
    """A log that is being written, with a clock that moves a second a record."""

    bucket: Bucket
    origin: str = ORIGIN
    deployer: Signer = field(default_factory=Signer.generate)
    log_signer: Signer = field(default_factory=Signer.generate)
    ticks: int = 0

    def __post_init__(self) -> None:
        self.trust = trust_of(self.deployer, self.log_signer)
        self.key = note_key(self.log_signer, self.origin)
        self.log = self.open()

    def open(self, kept: Sequence[Head] = ()) -> Log:
        return Log(self.bucket, self.origin, self.deployer, self.log_signer, self.trust, self.key, kept=kept)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.ticks)

    def append(self, made: dict[str, Any]) -> Record:
        self.ticks += 1
        size = self.log.head().size
        return self.log.append(made, expect_size=size, now=self.now, retention=RETENTION)

    def note(self, count: int = 1) -> None:
        """Records that say nothing, to make the log longer."""
        for _ in range(count):
            self.append(draft("history", claimed=WHO, history_reason="nothing to list"))

    def change(
        self, to: Table, change: str = "step", marked: Any = None, result: str = "complete", **fields: Any
    ) -> Record:
        """An intent and its outcome."""
        before = self.log.state()
        intent = self.append(
            draft_intent(
                claimed=WHO,
                from_=before.table,
                to=to,
                change=change,
                decision=decision("step.size", "step.ladder", "release.exists"),
                marked=marked or {},
                evidence=[EVIDENCE],
                git={"commit": "3f2a1bc9" * 5, "dirty": False},
                **fields,
            )
        )
        slots = {"blue": True, "green": True}
        ready = {model: dict.fromkeys(regions, slots) for model, regions in to.items()}
        made = draft_outcome(self.log.state(), intent, live=to, ready=ready, result=result, claimed=WHO)
        return self.append(made)

    def story(self) -> None:
        """First placement, a candidate in green, 5 percent of one region: six records."""
        first = table(cell(PLAIN), cell(PLAIN))
        self.change(first, "first", {"digits": {"local-a": PLAIN, "local-b": PLAIN}})
        self.change(table(cell(PLAIN, BETTER), cell(PLAIN)))
        self.change(table(cell(PLAIN, BETTER, 5), cell(PLAIN)))

    def verify(self, bucket: Bucket | None = None, **options: Any) -> Report:
        return verify(bucket or self.bucket, self.origin, self.trust, [self.key], now=self.now, **options)


def codes(report: Report) -> list[str]:
    return [problem.code for problem in report.problems]
