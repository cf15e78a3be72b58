"""Which stack a name, a target and a home region mean: the one place that knows every target.

LOCKSTEP_OFFLINE, with the folder of a sample, puts the stack that asks nobody in place of any other, so that
an offline preview never finds its way to an account.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import UsageError
from lockstep.ledger.stack import Stack
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths

if TYPE_CHECKING:
    from infra.config import Settings

LOCAL, AWS = "local", "aws"
OFFLINE = "LOCKSTEP_OFFLINE"


def stack_of(paths: Paths, name: str, *, target: str, environment: str, home: str) -> Stack:
    """The stack of this name. home: the region of its audit bucket; one machine has no such thing.

    Raises UsageError `config.no_target`.
    """
    offline = os.environ.get(OFFLINE)
    if offline is not None:
        from lockstep.standin.offline import OfflineStack

        return OfflineStack(paths, name, Path(offline))
    if target == LOCAL:
        return LocalStack(paths, name)
    if target == AWS:
        from lockstep.aws.stack import AwsStack

        return AwsStack(paths, name, home, environment)
    raise UsageError(
        f"the target {target!r} is not part of this version",
        code="config.no_target",
        remedy=f"set lockstep:target to {LOCAL} or {AWS}",
    )


def declared_stack(paths: Paths, name: str, settings: Settings) -> Stack:
    """The stack that a stack file declares."""
    return stack_of(paths, name, target=settings.target, environment=settings.environment, home=settings.home)
