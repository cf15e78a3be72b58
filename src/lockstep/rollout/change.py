"""One change of the table, from the stack file to its outcome record.

The steps of `apply`, in order; each failure leaves things as the step before left them:
(0) the new file must be a valid stack file; nothing is written yet
(1) policy is asked; a denial leaves a `denied` record, if there is a log, and nothing else
(2) the old bytes are kept aside and the stack file is rewritten
(3) the preview may touch only what the change is about
(4) the update runs: the gate records the intent, the receipt the outcome
(5) the newest outcome must be complete and say this table

A failure before the intent puts the old bytes back. After the intent the file keeps the new table, the
open intent is closed as `interrupted`, and the error says so.
"""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.canonical import digest
from lockstep.deploy import Engine, Touch, interruptible
from lockstep.errors import Cancelled, Denied, IntegrityError, LockstepError, Unavailable
from lockstep.files import NoRegularFile, read_regular, sweep, write_atomic
from lockstep.jsontext import from_json
from lockstep.ledger import Ledger, waits
from lockstep.lock import LockHeld, holder, locked
from lockstep.table import SLOTS, Table, cells, release_in
from lockstep.workspace import Workspace

if TYPE_CHECKING:
    from lockstep.gate.decision import Decision
    from lockstep.gate.judge import Plan

Progress = Callable[[str], None]
PROCESSES = (":AuditBucket", ":Gateway", ":ModelService", ":EntryPoint")
"""Kinds that an update may start again, because they were declared already and died."""
ALWAYS_TOUCHED = ("PromotionGate", "PromotionReceipt")


@dataclass(frozen=True)
class _Aside:
    """The stack file before a change. size: of the log then; written: digest of what took its place."""

    size: int
    written: str
    before: bytes


@dataclass(frozen=True)
class Change:
    """What may be changed. model: of whose services and routes; None for any resource."""

    workspace: Workspace
    engine: Engine
    ledger: Ledger
    progress: Progress

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else changes this stack meanwhile; a stack file left by a killed command is put back first.

        Raises LockstepError `change.locked`, naming who does.
        """
        lock = self._root / "change.lock"
        try:
            with locked(lock, deadline_s=0, note=command_line()):
                self._recover()
                yield
        except LockHeld:
            raise LockstepError(
                f"another command is changing the stack {self.workspace.stack}: {holder(lock)}",
                code="change.locked",
                remedy="wait for it to end; a killed one holds nothing",
            ) from None

    def apply(self, table: Table, *, model: str | None) -> list[Touch]:
        """Make `table` the declared and the live one; to be called within `exclusive`."""
        file = self.workspace.file
        data = file.with_table(table)
        file.settings(data)  # (0)
        self.judge(table)  # (1)
        size = self.ledger.size()
        before = file.read_bytes()
        with interruptible() as interrupted:
            self._keep(before, data, size)  # (2)
            file.write(data)
            try:
                only = () if model is None else self._around_silence(model, table)
                if model is not None:
                    self._require_scope(model, only)  # (3)
                if interrupted:
                    raise Cancelled("interrupted before the update began", code="change.cancelled")
                touched = self.engine.up(only)  # (4)
            except BaseException as error:
                note = self.undo(size, error)
                if isinstance(error, LockstepError):
                    error.message += note
                raise
        self._forget()
        require_outcome(self.ledger, table)  # (5)
        return touched

    def judge(self, table: Table, *, record: bool = True) -> None:
        """Ask policy about a table ahead of the engine. Raises Denied, which `record` leaves in the log."""
        self.ledger.state(fresh=True)
        self.ledger.require_place()
        judged = self.ledger.judge(table)
        if judged is None or judged[1].allow or waits(*judged):
            return
        if record:
            self.record_denied(*judged)
        raise Denied(judged[1].violations)

    def record_denied(self, proposed: Plan, decision: Decision) -> None:
        """Leave a denial in the log, if the log can be written to; the denial stands in any case."""
        if not self.ledger.stack.answers:
            return
        try:
            self.ledger.record_denied(proposed, decision)
        except Unavailable as error:
            self.progress(f"this denial is not in the log: {error.message}")

    def _around_silence(self, model: str, table: Table) -> Sequence[str]:
        """What an update is about while a region of a cloud stack does not answer: gate, receipt, and what is
        the model's in the others. Its provider cannot even compare what it has there, and would fail all of
        the update. Nothing is left out while all regions answer, even where one cannot tell what is routed:
        a proxy that hangs keeps nobody from writing the route for the others."""
        if not self.workspace.in_cloud:
            return ()
        seen = self.ledger.look(self.ledger.state(), table)
        silent = {place[1] for place, cell in seen.live.items() if cell is None and place not in seen.doubts}
        if not silent:
            return ()
        self.progress(f"left as it is, because it does not answer: {', '.join(sorted(silent))}")
        return reached(model, [each for each in self.workspace.file.settings().regions if each not in silent])

    def _require_scope(self, model: str, only: Sequence[str]) -> None:
        alive = self.ledger.stack.alive()
        allowed = {f"{model}-{region}" for region in self.workspace.file.settings().regions}
        extra = [
            touch
            for touch in self.engine.preview(only)
            if touch.type.rsplit(":", 1)[-1] not in ALWAYS_TOUCHED
            and touch.name not in allowed
            and touch.name.rsplit("-", 1)[0] not in allowed
            and not (touch.type.endswith(PROCESSES) and _process_of(touch) not in alive)
        ]
        if extra:
            # Mending what somebody did is no change of what is declared: a rollback must not wait for it.
            drifted = self._drifted()
            extra = [touch for touch in extra if touch.op != "update" or _process_of(touch) not in drifted]
        if extra:
            raise LockstepError(
                "the update would touch more than this change: " + ", ".join(map(str, extra)),
                code="change.touches_more",
                remedy="run `./lockstep up` for those first",
            )

    def _drifted(self) -> set[str]:
        state, settings = self.ledger.state(), self.workspace.file.settings()
        found = self.ledger.stack.drift(
            {} if state is None else state.table,
            bucket=settings.bucket,
            port=settings.port,
            regions=settings.regions,
            runtime=settings.runtime,
        )
        return {each.process for each in found}

    def undo(self, size: int, error: BaseException) -> str:
        """After a failure: the old stack file, or, if an intent was recorded since, its outcome.

        Returns what to add to the error's message. An intent that came while somebody else's update ran is
        that one's: whoever closed it here would have the routes moved after their record.
        """
        if isinstance(error, LockstepError) and error.code == "engine.locked":
            self._restore()
            return ""
        try:
            recorded = intent_since(self.ledger, size)
        except LockstepError as second:  # the bytes stay aside, and the next command asks the log again
            return f"\nand the log cannot be read, so the next command settles it: {second.message}"
        if not recorded:
            self._restore()
            return ""
        self._forget()
        kept = f"\nthe intent is recorded, so {self.workspace.file.path.name} keeps the new table; "
        try:
            self.ledger.close_interrupted("the update failed")
        except LockstepError as second:
            return kept + f"and it stays open, because it cannot be closed: {second.message}"
        return kept + "the record says `interrupted`"

    @property
    def _root(self) -> Path:
        return self.workspace.paths.stack(self.workspace.stack).root

    @property
    def _kept(self) -> Path:
        return self._root / "stack-file-before.json"

    def _keep(self, before: bytes, data: bytes, size: int) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        aside = {"size": size, "written": digest(data), "before": base64.b64encode(before).decode()}
        write_atomic(self._kept, json.dumps(aside).encode())

    def _aside(self) -> _Aside | None:
        """What `_keep` has kept; None where there is nothing.

        Raises IntegrityError `change.kept_malformed`: without it nobody can tell whether the stack file is as
        somebody declared it, or as a killed command left it.
        """
        try:
            said = from_json(read_regular(self._kept))
            size, written, before = said["size"], said["written"], said["before"]
            if isinstance(size, int) and size >= 0 and isinstance(written, str) and before:
                return _Aside(size, written, base64.b64decode(before, validate=True))
        except FileNotFoundError:
            return None
        except (NoRegularFile, ValueError, KeyError, TypeError):
            pass
        name = self.workspace.file.path.name
        raise IntegrityError(
            f"{self._kept}, in which a killed command has kept {name} as it was, cannot be read",
            code="change.kept_malformed",
            remedy=f"see whether {name} says what you want (`./lockstep status` shows the record), then "
            f"remove the copy and run the command again: rm '{self._kept}'",
        )

    def _restore(self) -> bool:
        """Put the kept bytes back, unless somebody has edited the file since. Whether it was done."""
        aside = self._aside()
        if aside is None:
            return False
        untouched = digest(self.workspace.file.read_bytes()) == aside.written
        if untouched:
            self.workspace.file.write(aside.before)
        self._forget()
        return untouched

    def _forget(self) -> None:
        self._kept.unlink(missing_ok=True)

    def _recover(self) -> None:
        """Put a stack file back that a killed command left rewritten without an intent."""
        for written in (self.workspace.file.path, self._kept):
            sweep(written)
        aside = self._aside()
        if aside is None:
            return
        if intent_since(self.ledger, aside.size):
            self._forget()
        elif self._restore():
            name = self.workspace.file.path.name
            self.progress(f"{name} is as it was: a command was killed before its intent")


def reached(model: str, regions: Sequence[str]) -> list[str]:
    """Patterns of URNs: gate, receipt, and a model's routes and services in these regions."""
    names = [name for each in regions for name in (f"{model}-{each}", f"{model}-{each}-*")]
    return [f"**::{name}" for name in ("gate", *names, "receipt")]


def command_line() -> str:
    """What this process was asked to do, as one types it."""
    return shlex.join(["./lockstep", *sys.argv[1:]])


def _process_of(touch: Touch) -> str:
    return {"audit": "audit-bucket"}.get(touch.name, touch.name)


def intent_since(ledger: Ledger, size: int) -> bool:
    """Whether the log has an intent at or after index `size`."""
    state = ledger.state(fresh=True)
    if state is None:
        return False
    newest = state.newest_outcome
    return (state.open_intent is not None and state.open_intent.index >= size) or (
        newest is not None and newest["intent"] >= size
    )


def require_outcome(ledger: Ledger, table: Table) -> None:
    """The newest outcome is complete and its table is this one. Raises IntegrityError otherwise.

    The engine's word that an update succeeded is not enough.
    """
    state = ledger.state(fresh=True)
    outcome = None if state is None else state.newest_outcome
    if (
        state is None
        or outcome is None
        or state.open_intent is not None
        or outcome["result"] != "complete"
        or state.table != table
    ):
        raise IntegrityError(
            "the engine is done, but no outcome record says that this table is in force",
            code="change.no_outcome",
            remedy="see `./lockstep status` and `./lockstep audit show`, then run `./lockstep up`",
        )


def require_withdrawn(ledger: Ledger) -> None:
    """After a destroy the record has nothing with traffic. Raises IntegrityError otherwise."""
    state = ledger.state(fresh=True)
    if state is None:
        return
    served = [
        f"{model} in {region}"
        for model, region, cell in cells(state.table)
        if any(release_in(cell, slot) is not None for slot in SLOTS)
    ]
    if state.open_intent is not None or served:
        raise IntegrityError(
            f"the engine is done, but the record still has {', '.join(served) or 'an open intent'}",
            code="change.no_outcome",
            remedy="see `./lockstep status` and `./lockstep audit show`",
        )
