"""The one error tree. Each error says what was refused, its code, and what to do next.

LockstepError            exit 1   something failed that the user can read about and act on
├── UsageError           exit 2   a wrong word, key or value in config or on the command line
├── Denied               exit 5   policy said no: carries every rule that said so
├── Cancelled            exit 8   the user or the engine stopped it
├── DeadlineExceeded     exit 9   it took longer than it was given
├── IntegrityError       exit 1   bytes are not what their digest, signature or record says
└── Unavailable          exit 1   an outside part (OPA, bucket, gateway, service) does not answer as it should

`code` is stable and machine-readable (`<area>.<what>`); `remedy` is the next step for the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class LockstepError(Exception):
    """Base of every error that Lockstep raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, code: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.message} [{self.code}]"
        return f"{text}\n  next: {self.remedy}" if self.remedy else text


class UsageError(LockstepError):
    """A word, key or value that cannot be used: nothing was started."""

    exit_code = 2


@dataclass(frozen=True)
class Violation:
    """One rule's "no".

    code: `<package>.<rule>` of the Rego rule; cell: `model/region` it is about, or "".
    """

    code: str
    message: str
    remedy: str
    cell: str = ""

    def __str__(self) -> str:
        where = f" ({self.cell})" if self.cell else ""
        return f"{self.code}{where}: {self.message}\n    remedy: {self.remedy}"


class Denied(LockstepError):
    """Policy refused the change. Nothing was changed."""

    exit_code = 5

    def __init__(self, violations: Sequence[Violation], *, code: str = "gate.denied") -> None:
        self.violations = tuple(violations)
        lines = "\n".join(f"  {violation}" for violation in self.violations)
        super().__init__(f"denied by policy:\n{lines}", code=code)


class Cancelled(LockstepError):
    exit_code = 8


class DeadlineExceeded(LockstepError):
    exit_code = 9


class IntegrityError(LockstepError):
    """Bytes do not match what names them. Never retried, never ignored."""


class Unavailable(LockstepError):
    """An outside part did not answer as it must. Fails closed."""
