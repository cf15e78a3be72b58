"""What one plugin process knows: where things are, and what it has been asked so far.

One process serves one operation (a preview, an update, a destroy), so what Check saw tells Delete
whether the program still declares the gate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lockstep.ledger import Ledger
from lockstep.ledger.stack import Stack
from lockstep.local.moment import Moment
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths
from lockstep.targets import stack_of

if TYPE_CHECKING:
    from lockstep.local.drift import Drift

Seen = TypeVar("Seen")


@dataclass
class Session:
    paths: Paths
    checked: set[str] = field(default_factory=set)
    """URNs of all resources that this operation has checked; a destroy checks none."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What Check found out, for the Diff that follows in the same operation."""
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    writing: threading.Lock = field(default_factory=threading.Lock)
    reading: threading.RLock = field(default_factory=threading.RLock)
    restarting: threading.Lock = field(default_factory=threading.Lock)
    """Held while a service that serves is started anew, so that the others go on answering."""
    _seen: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _stacks: dict[str, LocalStack] = field(default_factory=dict)

    def stack(self, name: str) -> LocalStack:
        if name not in self._stacks:
            self._stacks[name] = LocalStack(self.paths, name)
        return self._stacks[name]

    def stack_of(self, name: str, *, target: str, environment: str, home: str) -> Stack:
        """The stack where it runs; the one on this machine is shared with its processes."""
        found = stack_of(self.paths, name, target=target, environment=environment, home=home)
        return self.stack(name) if isinstance(found, LocalStack) else found

    def alive(self, name: str) -> set[str]:
        """The stack's processes that run, asked at most once a second."""
        return self._recent(f"alive/{name}", lambda: self.stack(name).alive())

    def drift(self, name: str, process: str, look: Callable[[Moment], list[Drift]]) -> list[Drift]:
        """What is otherwise about one process than Lockstep left it; looked at once a second at most."""
        return self._recent(f"drift/{name}/{process}", lambda: look(self._moment(name)))

    def _moment(self, name: str) -> Moment:
        return self._recent(f"moment/{name}", lambda: Moment(self.stack(name)))

    def live(self, name: str) -> dict[tuple[str, str], dict[str, Any] | None]:
        """The live cells, read at most once a second; those of an odd gateway are left out."""
        return self._recent(f"live/{name}", lambda: self.stack(name).live(strict=False))

    def _recent(self, key: str, read: Callable[[], Seen]) -> Seen:
        with self.reading:
            at, value = self._seen.get(key, (0.0, None))
            if time.monotonic() - at > 1.0:
                value = read()
                self._seen[key] = (time.monotonic(), value)
            found: Seen = value
            return found
