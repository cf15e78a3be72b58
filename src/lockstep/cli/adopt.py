"""An update of the whole stack takes over what a destroyed one of its name left, and says so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from lockstep.cli.context import Context
from lockstep.cli.output import say

if TYPE_CHECKING:
    from lockstep.deploy import Engine


def taking_over(context: Context) -> Engine:
    """The engine, told to take over what its state does not have and the account does. Who has set
    LOCKSTEP_ADOPT has decided already, and nothing is looked for.

    Raises what `lockstep.aws.left.left_behind` raises: nothing was changed then.
    """
    from infra.config import ADOPT

    engine, settings = context.engine, context.settings
    if settings.cloud is None or os.environ.get(ADOPT):
        return engine
    from infra.aws.outliving import outliving, tags_of
    from lockstep.aws.left import left_behind

    left = left_behind(
        outliving(settings), engine.known(), tags=tags_of(settings), account=settings.cloud.account
    )
    if not left:
        return engine
    kept = f" ({', '.join(left.names)})" if left.names else ""
    say(f"taking over what an earlier stack of this name left: {', '.join(left.parts)}{kept}")
    return replace(engine, more={**engine.more, ADOPT: ",".join(left.parts)})
