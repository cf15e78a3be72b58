"""An update of the whole stack takes over what a destroyed one of its name left, and says so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from lockstep.cli.context import Context
from lockstep.cli.output import say
from lockstep.errors import UsageError
from lockstep.ledger.ledger import BY_DESTROY
from lockstep.table import SLOTS, cells, release_in
from lockstep.workspace import BACKEND, unready

if TYPE_CHECKING:
    from lockstep.deploy import Engine
    from lockstep.ledger import Ledger


def taking_over(context: Context) -> Engine:
    """The engine, told to take over what its state does not have and the account does. Who has set
    LOCKSTEP_ADOPT has decided already, and nothing is looked for.

    Raises what `lockstep.aws.left.left_behind` raises, and UsageError `adopt.in_force`, or `stack.unready`
    for a stack file that takes back what the state has: nothing was changed then.
    """
    from infra.config import ADOPT

    engine, settings = context.engine, context.settings
    if settings.cloud is None or os.environ.get(ADOPT):
        return engine
    from infra.aws.outliving import AUDIT, outliving, tags_of
    from lockstep.aws.left import left_behind
    from lockstep.checks.recorded import taken_back

    known = engine.known()
    if found := list(taken_back(context.workspace.stack, settings, known.values())):
        raise unready(context.workspace.stack, found, "; ".join(each.remedy for each in found))
    left = left_behind(
        outliving(settings), set(known), tags=tags_of(settings), account=settings.cloud.account
    )
    if not left:
        return engine
    if AUDIT not in known:
        require_destroyed(context.ledger, context.workspace.stack)
    kept = f" ({', '.join(left.names)})" if left.names else ""
    say(f"taking over what an earlier stack of this name left: {', '.join(left.parts)}{kept}")
    return replace(engine, more={**engine.more, ADOPT: ",".join(left.parts)})


def require_destroyed(ledger: Ledger, stack: str) -> None:
    """The newest outcome is that of a destroy, or of a failure that left nothing, or there is none. Else
    somebody points to another state than the stack's own, and would make all of it anew.

    Raises UsageError `adopt.in_force`.
    """
    recorded, audit = ledger.state(fresh=True), ledger.audit()
    if recorded is None or audit is None:
        return
    outcome, newest = recorded.newest_outcome, recorded.open_intent or recorded.newest_outcome
    if newest is None:
        return
    left = [cell for *_, cell in cells(recorded.table) if any(release_in(cell, slot) for slot in SLOTS)]
    if outcome is newest and not left:
        by_destroy = audit.log.read(outcome["intent"])["decision"]["by"] == BY_DESTROY
        if by_destroy or outcome["result"] != "complete":
            return
    raise UsageError(
        f"by record {newest.index} of its log {stack} was not destroyed, and the state has nothing of it",
        code="adopt.in_force",
        remedy=f"see that {BACKEND} names the state that {stack} was made with; where that is lost, "
        "LOCKSTEP_ADOPT=1 decides to go on without it",
    )
