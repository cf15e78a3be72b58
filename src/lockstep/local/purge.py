"""Taking away everything that this checkout's `up` has made, records and all: what `down --purge` does.

The order makes an interrupted purge one that goes on: processes first; then the files beside the state
folder, which the next `up` would write again; then the state folder leaves its name in one rename, after
which the checkout is as it was cloned, and what is left to remove lies under a name that nobody reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from lockstep.errors import LockstepError
from lockstep.local.stack import LocalStack
from lockstep.lock import LockHeld, locked
from lockstep.paths import Paths

CODE = ("src", "infra", "models", "tests", "benchmarks")
"""Where Python leaves its bytecode."""


@dataclass(frozen=True)
class Purge:
    """What is to go. `places` are there now; the record's own facts are the caller's to tell."""

    paths: Paths
    stack: LocalStack

    @property
    def files(self) -> list[Path]:
        """Beside the state folder."""
        return [self.paths.root / f"Pulumi.{self.stack.name}.yaml", self.paths.local_trust]

    def places(self) -> list[Path]:
        return [path for path in (*self.files, self.paths.state, *self._leftovers()) if path.exists()]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other command changes the stack, or prepares to. Raises LockstepError `change.locked`."""
        root = self.paths.stack(self.stack.name).root
        held = [file for file in (self.paths.state / "prepare.lock", root / "change.lock") if file.exists()]
        with ExitStack() as locks:
            try:
                for file in held:
                    locks.enter_context(locked(file, deadline_s=0))
            except LockHeld:
                raise LockstepError(
                    f"another command is changing the stack {self.stack.name}",
                    code="change.locked",
                    remedy="wait for it to end, then purge; a killed one holds nothing",
                ) from None
            yield

    def stop(self) -> None:
        """Every process of the stack, also those that a dead supervisord left."""
        if self.stack.run.exists():
            self.stack.supervisor.stop_all()

    def remove(self) -> None:
        """Everything in `places`, and the bytecode. To be called after `stop`; again after a kill."""
        for path in self.files:
            path.unlink(missing_ok=True)
        if self.paths.state.exists():
            aside = Path(mkdtemp(prefix=self._prefix, dir=self.paths.state.parent))
            self.paths.state.rename(aside / "state")
        for leftover in self._leftovers():
            shutil.rmtree(leftover)
        for folder in CODE:
            for cache in (self.paths.root / folder).rglob("__pycache__"):
                shutil.rmtree(cache, ignore_errors=True)

    @property
    def _prefix(self) -> str:
        return f"{self.paths.state.name}.purging-"

    def _leftovers(self) -> list[Path]:
        """Of a purge that was interrupted."""
        return sorted(self.paths.state.parent.glob(f"{self._prefix}*"))
