"""What verification finds: problems with a code, each naming the object it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

INFORMATION = frozenset(
    {
        "audit.pending",
        "audit.lock_ended",
        "audit.lock_ends_soon",
        "audit.lock_lapsed",
        "audit.pruned",
        "audit.gone_over",
        "audit.written_apart",
    }
)


@dataclass(frozen=True)
class Problem:
    """code: stable and machine-readable; index: of the record, key: of the object, where there is one."""

    code: str
    message: str
    index: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "index": self.index, "key": self.key}


@dataclass(frozen=True)
class Report:
    """The answer of a verification. size and root (hex) are those of the newest head that verifies.

    notes: findings that are no problem, such as a record that the next writer will complete. since: the
    first record that was read; those before it were pruned on the record.
    """

    size: int
    root: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    since: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "size": self.size,
            "since": self.since,
            "root": self.root,
            "problems": [problem.as_json() for problem in self.problems],
            "notes": [note.as_json() for note in self.notes],
        }


@dataclass
class Findings:
    """Collects problems while a verification runs; each (code, key) once."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, *, index: int | None = None, key: str | None = None) -> None:
        problem = Problem(code, message, index, key)
        found = self.notes if code in INFORMATION else self.problems
        if problem not in found:
            found.append(problem)
