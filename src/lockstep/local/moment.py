"""What several looks at a stack share, so that nobody is asked twice for the same.

A moment is short: whoever has changed something, or looks again later, begins another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstep.local.stack import LocalStack


@dataclass
class Moment:
    """One stack, now."""

    stack: LocalStack
    _environments: dict[Path, list[str]] = field(default_factory=dict)

    @cached_property
    def processes(self) -> dict[str, tuple[str, int]]:
        """Program name -> state name and process id, as supervisord says; empty when it does not answer."""
        return self.stack.supervisor.look()

    def changed_files(self, environment: Path) -> list[str]:
        """What was changed in a serving environment, which services share; see `environments`."""
        from lockstep.local.environments import changed_files

        if environment not in self._environments:
            self._environments[environment] = changed_files(environment)
        return self._environments[environment]
