"""Which stack a name, a target and a home region mean: the one place that knows every target."""

from __future__ import annotations

from lockstep.errors import UsageError
from lockstep.ledger.stack import Stack
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths

LOCAL = "local"


def stack_of(paths: Paths, name: str, *, target: str, home: str) -> Stack:
    """The stack of this name. home: the region of its audit bucket; one machine has no such thing.

    Raises UsageError `config.no_target`.
    """
    if target == LOCAL:
        return LocalStack(paths, name)
    raise UsageError(
        f"the target {target!r} is not part of this version",
        code="config.no_target",
        remedy="use a stack with lockstep:target local",
    )
