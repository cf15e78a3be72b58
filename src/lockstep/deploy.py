"""The engine: the only user of Pulumi's Automation API.

It runs updates and says what they touched and why they failed. It knows nothing of policies or
records; callers read those from the log.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import Cancelled, LockstepError
from lockstep.toolchain import Toolchain
from lockstep.workspace import Workspace

if TYPE_CHECKING:
    from pulumi.automation import EngineEvent, Stack

Progress = Callable[[str], None]
LOCKED = "the stack is currently locked"
SAME = ("same", "read", "refresh")


@dataclass(frozen=True)
class Touch:
    """One resource that an update changes. op: create, update, delete, replace..."""

    op: str
    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.op} {self.type.rsplit(':', 1)[-1]} {self.name}"


@dataclass
class _Watch:
    """Collects what the engine says while it runs."""

    progress: Progress
    touched: list[Touch] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        step = event.resource_pre_event
        if step is not None:
            op = str(getattr(step.metadata.op, "value", step.metadata.op))
            kind, name = step.metadata.type, step.metadata.urn.rsplit("::", 1)[-1]
            if op not in SAME and not kind.startswith("pulumi:"):
                touch = Touch(op, kind, name)
                self.touched.append(touch)
                self.progress(str(touch))
        diagnostic = event.diagnostic_event
        if diagnostic is not None and diagnostic.severity == "error":
            self.errors.append(_plain(diagnostic.message))


@dataclass(frozen=True)
class Engine:
    workspace: Workspace
    toolchain: Toolchain
    progress: Progress

    def preview(self) -> list[Touch]:
        """What an update would touch, without saying so. Raises LockstepError `engine.*`."""
        quiet = replace(self, progress=lambda _: None)
        return quiet._run("preview", lambda stack, watch: stack.preview(on_event=watch, color="never"))

    def up(self) -> list[Touch]:
        """Run an update. Raises LockstepError `engine.*`, Cancelled."""
        self._recover()
        return self._run(
            "update", lambda stack, watch: stack.up(on_event=watch, color="never", show_secrets=False)
        )

    def destroy(self) -> list[Touch]:
        self._recover()
        return self._run(
            "destroy", lambda stack, watch: stack.destroy(on_event=watch, color="never", show_secrets=False)
        )

    def ensure_stack(self) -> None:
        """Make the stack in the backend if it is not there, and select it for plain `pulumi`."""
        if not self.workspace.state_file.exists():
            self._stack(create=True)

    def _stack(self, *, create: bool = False) -> Stack:
        from pulumi import automation

        environment = self.workspace.environment(self.toolchain)
        os.environ.update(environment)  # the Automation API looks for the CLI on this process's PATH
        options = automation.LocalWorkspaceOptions(
            work_dir=str(self.workspace.paths.root),
            env_vars=environment,
            pulumi_home=environment["PULUMI_HOME"],
        )
        work = automation.LocalWorkspace(**vars(options))
        if create or not self.workspace.state_file.exists():
            return automation.Stack.create_or_select(self.workspace.stack, work)
        return automation.Stack.select(self.workspace.stack, work)

    def _run(self, verb: str, call: Callable[[Stack, _Watch], Any]) -> list[Touch]:
        from pulumi.automation.errors import CommandError

        watch = _Watch(self.progress)
        stack = self._stack()
        with _interruptible() as interrupted:
            try:
                call(stack, watch)
            except CommandError as error:
                raise self._failure(verb, watch, str(error), interrupted) from None
        return watch.touched

    def _failure(self, verb: str, watch: _Watch, raw: str, interrupted: list[int]) -> LockstepError:
        if interrupted:
            return Cancelled(
                f"the {verb} was interrupted", code="engine.cancelled", remedy="run `./lockstep up` to go on"
            )
        if LOCKED in raw:
            return LockstepError(
                f"another update of {self.workspace.stack} is running: {self._holders()}",
                code="engine.locked",
                remedy="wait for it to end; a lock whose holder is dead is cleared by `./lockstep up`",
            )
        said = "\n".join(dict.fromkeys(watch.errors)) or raw.strip()[-2000:]
        return LockstepError(
            f"the {verb} failed:\n{said}", code="engine.failed", remedy="mend what it says and run it again"
        )

    def _holders(self) -> str:
        found = []
        for file in self.workspace.locks.glob("*.json"):
            lock = json.loads(file.read_text())
            found.append(f"{lock.get('username')}@{lock.get('hostname')} (pid {lock.get('pid')})")
        return ", ".join(found) or "unknown"

    def _recover(self) -> None:
        """Clear locks whose holder is proven dead, and the pending operations that it left."""
        for file in self.workspace.locks.glob("*.json"):
            lock = json.loads(file.read_text())
            if lock.get("hostname") == socket.gethostname() and not _holds(int(lock["pid"]), file):
                self.progress(f"clearing the lock of a dead update (pid {lock['pid']})")
                file.unlink()
        if not self.workspace.state_file.exists():
            return
        state = json.loads(self.workspace.state_file.read_text())
        latest = (state.get("checkpoint") or {}).get("latest") or {}
        if latest.get("pending_operations"):
            from pulumi import automation

            self.progress("clearing operations that an interrupted update left pending")
            stack = self._stack()
            deployment = stack.export_stack()
            cleared = {**(deployment.deployment or {}), "pending_operations": []}
            stack.import_stack(automation.Deployment(deployment.version, cleared))


def _holds(pid: int, lock: Path) -> bool:
    """Whether the process that took a lock still lives: not a zombie, and not a later one of its number."""
    import psutil

    try:
        process = psutil.Process(pid)
        taken = lock.stat().st_mtime
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= taken + 1)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Let the engine, not us, end an update: it hears Ctrl-C itself; SIGTERM is passed on as SIGINT."""
    received: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        received.append(number)
        if number == signal.SIGTERM:
            import psutil

            for child in psutil.Process().children():
                child.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plain(text: str) -> str:
    """A diagnostic without the engine's colour markup (`<{%reset%}>`)."""
    import re

    return re.sub(r"<\{%[^%]*%\}>", "", text).strip()
