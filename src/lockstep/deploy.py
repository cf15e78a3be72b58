"""The engine: the only user of Pulumi's Automation API.

It runs updates and says what they touched and why they failed. It knows nothing of policies or
records; callers read those from the log.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lockstep.engine_locks import COMMAND, EngineLocks
from lockstep.engine_state import EngineState
from lockstep.errors import Cancelled, Denied, LockstepError, Violation
from lockstep.shared_locks import SharedLocks
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


@dataclass(frozen=True)
class Planned:
    """One resource as a preview declares it. parent: its URN, the stack's for a root; inputs: without
    secrets, and with the engine's word for what a preview cannot know."""

    op: str
    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]


@dataclass
class _Watch:
    """Collects what the engine says while it runs. warn: hears each warning once."""

    progress: Progress
    warn: Progress = lambda _: None
    touched: list[Touch] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        step = event.resource_pre_event
        if step is not None:
            op = str(getattr(step.metadata.op, "value", step.metadata.op))
            kind, name = step.metadata.type, step.metadata.urn.rsplit("::", 1)[-1]
            if (new := step.metadata.new) is not None:
                planned = Planned(op, kind, name, step.metadata.urn, new.parent, dict(new.inputs or {}))
                self.planned.append(planned)
            if op not in SAME and not kind.startswith("pulumi:"):
                touch = Touch(op, kind, name)
                self.touched.append(touch)
                self.progress(str(touch))
        diagnostic = event.diagnostic_event
        if diagnostic is not None and diagnostic.severity == "error":
            self.errors.append(_plain(diagnostic.message))
        if diagnostic is not None and diagnostic.severity == "warning":
            about = (diagnostic.urn or "").rsplit("::", 1)[-1]
            said = _plain(diagnostic.message)
            if said not in self.warnings:
                self.warn(f"warning: {said}")
            self.warnings.setdefault(said, []).append(about)


@dataclass(frozen=True)
class Plan:
    """What a preview declares, in the order of its steps. warnings: what it warns of -> the names of the
    resources that this is about."""

    resources: list[Planned]
    warnings: Mapping[str, list[str]]


@dataclass(frozen=True)
class Engine:
    workspace: Workspace
    toolchain: Callable[[], Toolchain]
    """Gets what is missing when the engine is first needed, and not before."""
    progress: Progress
    more: Mapping[str, str] = field(default_factory=dict)
    """Variables beyond the workspace's own, for the engine and all that it starts."""

    def preview(self, only: Sequence[str] = ()) -> list[Touch]:
        """What an update would touch, without saying so; of the whole stack, with what the engine warns of.
        Raises LockstepError `engine.*`."""
        quiet, target = replace(self, progress=lambda _: None), list(only) or None
        watch = _Watch(quiet.progress, quiet.progress if only else self.progress)

        def preview(stack: Stack, watch: _Watch) -> None:
            stack.preview(target=target, on_event=watch, color="never")

        return quiet._watched("preview", watch, preview)

    def plan(self) -> Plan:
        """Every resource that an update would leave. Raises LockstepError `engine.*`, Denied."""
        watch = _Watch(lambda _: None)
        self._watched("preview", watch, lambda stack, watch: stack.preview(on_event=watch, color="never"))
        return Plan(watch.planned, watch.warnings)

    def known(self) -> dict[str, dict[str, Any]]:
        """What the engine's state has: `type::name` -> the resource. Raises LockstepError `engine.*`."""
        found: dict[str, dict[str, Any]] = {}

        def export(stack: Stack, _watch: _Watch) -> None:
            resources = (stack.export_stack().deployment or {}).get("resources") or []
            found.update({each["urn"].split("::", 2)[2].rsplit("$", 1)[-1]: each for each in resources})

        self._run("export", export)
        return found

    def up(self, only: Sequence[str] = ()) -> list[Touch]:
        """Run an update. only: patterns of URNs; nobody is asked about any other resource, which stays as it
        is; empty: of the whole stack. Raises LockstepError `engine.*`, Denied, Cancelled."""

        def update(stack: Stack, watch: _Watch) -> None:
            self._recover(stack)
            stack.up(target=list(only) or None, on_event=watch, color="never", show_secrets=False)

        return self._run("update", update)

    def destroy(self) -> list[Touch]:
        """Run a destroy. Raises as `up`."""

        def destroy(stack: Stack, watch: _Watch) -> None:
            self._recover(stack)
            stack.destroy(on_event=watch, color="never", show_secrets=False)

        return self._run("destroy", destroy)

    def ensure_stack(self) -> None:
        """Make the stack in the backend if it is not there, and select it for plain `pulumi`."""
        if not self.workspace.state_file.exists():
            self._stack(create=True)

    def _stack(self, *, create: bool = False) -> Stack:
        from pulumi import automation

        own = self.workspace.environment(self.toolchain())
        environment = {**own, **self.more, COMMAND: str(os.getpid())}
        os.environ["PATH"] = environment["PATH"]  # where the Automation API looks for the CLI
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
        return self._watched(verb, _Watch(self.progress, self.progress), call)

    def _watched(self, verb: str, watch: _Watch, call: Callable[[Stack, _Watch], Any]) -> list[Touch]:
        from pulumi.automation.errors import CommandError

        with interruptible() as interrupted:
            try:
                self._clear_leftovers()
                call(self._stack(), watch)
            except CommandError as error:
                raise self._failure(verb, watch, str(error), interrupted) from None
            if interrupted:
                raise self._failure(verb, watch, "", interrupted)
        return watch.touched

    def _failure(self, verb: str, watch: _Watch, raw: str, interrupted: list[int]) -> LockstepError:
        if interrupted:
            return Cancelled(
                f"the {verb} was interrupted", code="engine.cancelled", remedy="run `./lockstep up` to go on"
            )
        if LOCKED in raw:
            return self._locked()
        said = "\n".join(dict.fromkeys(watch.errors)) or raw.strip()[-2000:]
        if "[gate.denied]" in said or "[destroy.not_allowed]" in said:
            return Denied([Violation("gate.denied", said, "do what the rules above say, then run it again")])
        return LockstepError(
            f"the {verb} failed:\n{said}", code="engine.failed", remedy="mend what it says and run it again"
        )

    def require_alone(self) -> None:
        """Raises LockstepError `engine.locked` while somebody else's update of this stack runs."""
        self._locks.clear_dead()
        if self._locks.taken():
            raise self._locked()

    def _locked(self) -> LockstepError:
        try:
            holders = self._locks.holders()
        except LockstepError:  # that it is locked the engine knows; by whom is one more question
            holders = "unknown"
        return LockstepError(
            f"another update of {self.workspace.stack} is running: {holders}",
            code="engine.locked",
            remedy=self._locks.remedy,
        )

    @property
    def _locks(self) -> EngineLocks | SharedLocks:
        if bucket := self.workspace.state_bucket:
            return SharedLocks(bucket, self.workspace.stack)
        return EngineLocks(self.workspace.locks, self.progress)

    def _clear_leftovers(self) -> None:
        """What a killed or starved update left in the backend must stop none that comes after it. In a bucket
        it cannot be told from what somebody is at."""
        if self.workspace.state_bucket:
            return
        self._locks.clear_dead()
        if not self._locks.taken():
            paths, name = self.workspace.paths, self.workspace.stack
            copies = (paths.history(name), paths.backups(name))
            EngineState(self.workspace.state_file, copies, self.progress).mend()

    def _recover(self, stack: Stack) -> None:
        """Clear the operations that a dead update left pending; creates adopt what it started.

        A state that others write to, too, is left alone: whether its update is dead or goes on elsewhere
        cannot be told from here, and the engine itself warns.
        """
        from pulumi import automation

        if self.workspace.in_cloud or self._locks.taken():
            return  # where somebody is at it, the engine will say who
        deployment = None if self._nothing_pending() else stack.export_stack()
        if deployment is not None and (deployment.deployment or {}).get("pending_operations"):
            self.progress("clearing operations that an interrupted update left pending")
            cleared = {**(deployment.deployment or {}), "pending_operations": []}
            stack.import_stack(automation.Deployment(deployment.version, cleared))

    def _nothing_pending(self) -> bool:
        state = json.loads(self.workspace.state_file.read_text())
        latest = (state.get("checkpoint") or {}).get("latest") or {}
        return not latest.get("pending_operations")


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Let the engine, not us, end an update: it hears Ctrl-C itself; SIGTERM is passed on as SIGINT.

    Gives the signals that came. Without it a KeyboardInterrupt can be lost: code that is imported or called
    back in the middle of an update may catch everything.
    """
    received: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        received.append(number)
        if number == signal.SIGTERM:
            import psutil

            for child in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):  # it has ended since it was listed
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

    return re.sub(r"<\{%[^%]*%\}>", "", text).strip().removeprefix("Unexpected failure: ")
