"""An update of the whole stack takes over what a destroyed one of its name left, and says so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from lockstep.cli.context import Context
from lockstep.cli.output import say
from lockstep.errors import UsageError
from lockstep.table import SLOTS, cells, release_in
from lockstep.workspace import BACKEND

if TYPE_CHECKING:
    from lockstep.audit.state import State
    from lockstep.deploy import Engine


def taking_over(context: Context) -> Engine:
    """The engine, told to take over what its state does not have and the account does. Who has set
    LOCKSTEP_ADOPT has decided already, and nothing is looked for.

    Raises what `lockstep.aws.left.left_behind` raises, and UsageError `adopt.in_force`: nothing was changed
    then.
    """
    from infra.config import ADOPT

    engine, settings = context.engine, context.settings
    if settings.cloud is None or os.environ.get(ADOPT):
        return engine
    from infra.aws.outliving import AUDIT, outliving, tags_of
    from lockstep.aws.left import left_behind

    known = engine.known()
    left = left_behind(outliving(settings), known, tags=tags_of(settings), account=settings.cloud.account)
    if not left:
        return engine
    if AUDIT not in known:
        require_destroyed(context.ledger.state(fresh=True), context.workspace.stack)
    kept = f" ({', '.join(left.names)})" if left.names else ""
    say(f"taking over what an earlier stack of this name left: {', '.join(left.parts)}{kept}")
    return replace(engine, more={**engine.more, ADOPT: ",".join(left.parts)})


def require_destroyed(recorded: State | None, stack: str) -> None:
    """A log whose newest outcome still has releases is no destroyed stack's: somebody points to another
    state than the stack's own, and would make all of it anew. Raises UsageError `adopt.in_force`."""
    serving = [
        f"{model} in {region}"
        for model, region, cell in cells({} if recorded is None else recorded.table)
        if any(release_in(cell, slot) is not None for slot in SLOTS)
    ]
    if serving or (recorded is not None and recorded.open_intent is not None):
        raise UsageError(
            f"by its log {stack} was not destroyed ({', '.join(serving) or 'an intent is open'}), and the "
            "engine's state knows nothing of it",
            code="adopt.in_force",
            remedy=f"see that {BACKEND} names the state that {stack} was made with; where that is lost, "
            "LOCKSTEP_ADOPT=1 decides to go on without it",
        )
