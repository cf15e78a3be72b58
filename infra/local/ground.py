"""What a stack on one machine stands on: the machine, and nothing to declare."""

from dataclasses import dataclass

from infra.config import Settings


@dataclass(frozen=True)
class Ground:
    settings: Settings

    @property
    def store(self) -> str:
        """URL of the release store; empty: the checkout's own."""
        return self.settings.store


def ground(settings: Settings) -> Ground:
    return Ground(settings)
