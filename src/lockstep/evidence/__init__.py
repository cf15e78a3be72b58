"""Evidence: signed statements about a release digest, and who may make them.

`collect` is loaded when it is first asked for, so that who needs only a key does not pay for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockstep.evidence.verified import Evidence, collect

__all__ = ["Evidence", "collect"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from lockstep.evidence import verified

        return getattr(verified, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
