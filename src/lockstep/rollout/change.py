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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lockstep.deploy import Engine, Touch
from lockstep.errors import Denied, IntegrityError, LockstepError
from lockstep.ledger import Ledger, waits
from lockstep.stackfile import write_atomic
from lockstep.table import Table
from lockstep.workspace import Workspace

Progress = Callable[[str], None]
ALWAYS_TOUCHED = ("PromotionGate", "PromotionReceipt")


@dataclass(frozen=True)
class Change:
    """What may be changed. model: of whose services and routes; None for any resource."""

    workspace: Workspace
    engine: Engine
    ledger: Ledger
    progress: Progress

    def apply(self, table: Table, *, model: str | None) -> list[Touch]:
        """Make `table` the declared and the live one. See the module docstring for the order."""
        file = self.workspace.file
        data = file.with_table(table)
        file.settings(data)  # (0)
        self.judge(table)  # (1)
        size = self.ledger.size()
        before = file.read_bytes()
        self._keep(before, size)  # (2)
        file.write(data)
        try:
            if model is not None:
                self._require_scope(model)  # (3)
            touched = self.engine.up()  # (4)
        except LockstepError as error:
            raise self._undo(error, before, size) from None
        self._forget()
        require_outcome(self.ledger, table)  # (5)
        return touched

    def judge(self, table: Table) -> None:
        """Ask policy about a table ahead of the engine, and record a denial."""
        self.ledger.state(fresh=True)
        judged = self.ledger.judge(table)
        if judged is None or judged[1].allow or waits(*judged):
            return
        if self.ledger.stack.alive():
            self.ledger.record_denied(*judged)
        raise Denied(judged[1].violations)

    def _require_scope(self, model: str) -> None:
        alive = self.ledger.stack.alive()
        allowed = {f"{model}-{region}" for region in self.workspace.file.settings().regions}
        extra = [
            touch
            for touch in self.engine.preview()
            if touch.type.rsplit(":", 1)[-1] not in ALWAYS_TOUCHED
            and touch.name not in allowed
            and touch.name.rsplit("-", 1)[0] not in allowed
            and not (touch.op == "update" and _process_of(touch) not in alive)
        ]
        if extra:
            raise LockstepError(
                "the update would touch more than this change: " + ", ".join(map(str, extra)),
                code="change.touches_more",
                remedy="run `./lockstep up` for those first",
            )

    def _undo(self, error: LockstepError, before: bytes, size: int) -> LockstepError:
        if not intent_since(self.ledger, size):
            self.workspace.file.write(before)
            self._forget()
            return error
        self._forget()
        try:
            self.ledger.close_interrupted("the update failed")
        except LockstepError as second:
            error.args = (f"{error.args[0]}\nand its intent stays open: {second.message}",)
        error.message += (
            f"\nthe intent is recorded, so {self.workspace.file.path.name} keeps the new table; "
            "the record says `interrupted`"
        )
        return error

    @property
    def _kept(self) -> Path:
        return self.workspace.paths.stack(self.workspace.stack).root / "stack-file-before.json"

    def _keep(self, before: bytes, size: int) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        aside = {"size": size, "before": base64.b64encode(before).decode()}
        write_atomic(self._kept, json.dumps(aside).encode())

    def _forget(self) -> None:
        self._kept.unlink(missing_ok=True)

    def recover(self) -> None:
        """Put a stack file back that a killed command left rewritten without an intent."""
        if not self._kept.exists():
            return
        aside = json.loads(self._kept.read_bytes())
        if not intent_since(self.ledger, int(aside["size"])):
            self.progress(
                f"putting {self.workspace.file.path.name} back: a command was killed before its intent"
            )
            self.workspace.file.write(base64.b64decode(aside["before"]))
        self._forget()


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
